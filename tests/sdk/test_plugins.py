"""Plugins and resources given to an engine by a program."""

from __future__ import annotations

from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.model.resources import ResourceLimit
from asyncflow.plugins.resources import PluginConfig, ResourceManager
from asyncflow.plugins.tasks import Context, TaskType


class Tray(PluginConfig):
    tray: int
    password: str = ""


class Gate(ResourceManager):
    """Limits only."""

    Config = Tray


class Greet(TaskType):
    name = "GREET"

    async def run(self, ctx: Context, given: object) -> dict[str, object]:
        return {"greeted": given}


async def test_a_program_brings_its_own_types() -> None:
    task = {"name": "greet", "taskReferenceName": "greet", "type": "GREET", "inputParameters": {"a": 1}}
    workflow: dict[str, object] = {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [task]}

    async with af.Engine(plugins=[Greet]) as engine:
        assert await engine.run(workflow) == {"greeted": {"a": 1}}


async def test_a_program_names_its_resources(tmp_path: Path) -> None:
    printer = af.Resource(
        "printer", type="gate", max_concurrent=1, reserve_after="2m", tray=3, password="hunter2"
    )

    async with af.Engine(plugins={"gate": Gate}, resources=[printer]) as engine:
        usage = engine.service.engine.admission.usage()

    assert usage["printer"]["limit"] == 1
    assert printer.settings.limit == ResourceLimit(1, 0, 0, 120_000)
    assert printer.settings.config["tray"] == 3
    assert repr(printer) == "<resource printer of type gate>"


def test_what_does_not_fit_is_told_when_it_is_said() -> None:
    with pytest.raises(af.InvalidInput, match=r"resources\.printer\.max_concurrent"):
        af.Resource("printer", max_concurrent=-1)
    with pytest.raises(af.InvalidInput, match=r"resources\.printer\.tray: Field required"):
        af.Engine(plugins={"gate": Gate}, resources=[af.Resource("printer", type="gate")])
    with pytest.raises(af.InvalidInput, match=r"resources\.printer\.type: 'gaet': no plugin of this name"):
        af.Engine(resources=[af.Resource("printer", type="gaet")])
    with pytest.raises(af.InvalidInput, match=r"resources\.a: given twice"):
        af.Engine(plugins={"gate": Gate}, resources=[af.Resource("a"), af.Resource("a")])
    with pytest.raises(af.InvalidInput, match=r"Gate has no name of its own: give plugins={'name': Gate}"):
        af.Engine(plugins=[Gate])
    with pytest.raises(af.InvalidInput, match="is no class of a plugin"):
        af.Engine(plugins=[object()])  # type: ignore[list-item]
