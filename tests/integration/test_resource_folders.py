"""Each resource has a folder of its own beside the database file, which no name can lead out of."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

from asyncflow.app.build import MEMORY, open_service
from asyncflow.app.service import StartRequest
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.values import JsonObject
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime.command_task import CommandPolicy
from asyncflow.runtime.engine import EngineSettings
from tests.integration.waiting import until

NAMES = ("..", "emr", "EMR")


async def _folders(database: str | Path) -> dict[str, Path | None]:
    """The folders that the managers of three resources are given; each leaves a file in its own."""
    given: dict[str, Path | None] = {}

    class Keeping(ResourceManager):
        async def open(self) -> None:
            folder = given[self.context.name] = self.context.folder
            if folder is not None:
                (folder / f"{self.context.name} was here").touch()

    settings = EngineSettings(
        resources={name: ResourceSettings("keeping") for name in NAMES},
        registry=Registry.built_in().with_classes(resources={"keeping": Keeping}),
    )
    async with open_service(database, settings=settings):
        await until(lambda: len(given) == len(NAMES))
    return given


async def test_every_resource_has_its_own_folder_also_after_a_restart(tmp_path: Path) -> None:
    first = await _folders(tmp_path / "flow.db")
    again = await _folders(tmp_path / "flow.db")

    root = tmp_path / "flow.db.resources"
    assert first == again
    assert {each and each.parent for each in first.values()} == {root}
    modes = {stat.S_IMODE(each.stat().st_mode) for each in (root, *root.iterdir())}
    assert modes == {0o700}
    assert [len(list(each.iterdir())) for each in root.iterdir()] == [1, 1, 1]


async def test_engine_in_memory_has_no_place_for_files() -> None:
    assert await _folders(MEMORY) == dict.fromkeys(NAMES)


async def test_command_manager_works_in_the_folder_of_its_resource(tmp_path: Path) -> None:
    settings = EngineSettings(
        resources={"local": ResourceSettings("command", poll_first_s=0.05)},
        commands=CommandPolicy(enabled=True, root=None),
    )
    task: JsonObject = {
        "name": "c",
        "taskReferenceName": "c",
        "type": "COMMAND_JOB",
        "taskDefinition": {"name": "c", "retryCount": 0},
        "inputParameters": {"command": [sys.executable, "-c", "print('done')"]},
    }
    body: JsonObject = {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [task]}
    async with open_service(tmp_path / "flow.db", settings=settings) as service:
        await service.register_workflow(body)
        state = await service.ended(await service.start(StartRequest("w")))
    assert state.status == "COMPLETED", state.tasks[1].reason
    assert len(list((tmp_path / "flow.db.resources").glob("*/jobs/*"))) == 1
