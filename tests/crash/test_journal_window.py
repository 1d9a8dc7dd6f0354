"""Law: what follows from a step finds it in the journal file, in the moments too in which an engine opens."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path

import asyncflow as af
from asyncflow.app.build import open_engine
from asyncflow.app.journaling import journal_files
from asyncflow.app.local import LocalOptions, open_local
from asyncflow.app.recovering import put_in, read_file
from asyncflow.app.service import StartRequest
from asyncflow.model.definition import parse_workflow
from asyncflow.model.statuses import COMPLETED
from asyncflow.sdk.tasks import TaskFunction
from asyncflow.store.records import StoreSettings
from tests.crash.journal_shapes import in_child_of

STEPS = ("first", "second", "third")
DEFINITION = parse_workflow(
    {
        "name": "steps",
        "version": 1,
        "schemaVersion": 2,
        "tasks": [{"name": ref, "taskReferenceName": ref, "type": "SIMPLE"} for ref in STEPS],
    }
)


def steps(folder: Path, deadly: str) -> dict[str, TaskFunction[..., object]]:
    """Functions that write down that they began; one of them kills the process."""
    begun = os.open(folder / "begun", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def step(name: str) -> TaskFunction[..., object]:
        @af.task(name=name, retries=0)
        async def body() -> None:
            os.write(begun, f"{name}\n".encode())
            if name == deadly:
                os.kill(os.getpid(), signal.SIGKILL)

        return body

    return {name: step(name) for name in STEPS}


async def run(folder: Path, deadly: str) -> None:
    """Begin, or go on from the file, as `run` and `recover` do."""
    options = LocalOptions(durability="normal", journal=folder / "journal")
    files = [*(folder / "journal").glob("*.log")]
    for file in files:
        await put_in(folder / "a.db", await read_file(file))
    async with open_local(folder / "a.db" if files else None, steps(folder, deadly), options) as service:
        state = next(iter(service.engine.turns.states.values()), None)
        identity = state.execution_id if state else await service.start(StartRequest(definition=DEFINITION))
        await service.ended(identity)


async def run_before_files_are_opened(folder: Path, deadly: str) -> None:
    """The same, and the process dies in the moments between the engine's opening and that of its files."""
    (file,) = (folder / "journal").glob("*.log")
    database = folder / "b.db"
    await put_in(database, await read_file(file))
    store = StoreSettings(durability="normal", journal=folder / "journal", journal_must=True)
    async with (
        journal_files(store) as files,
        open_engine(database, functions=steps(folder, deadly), store=store, prepare=files.attach) as (
            engine,
            _,
        ),
    ):
        await engine.ended((await read_file(file)).execution_id)


def begun(folder: Path) -> Counter[str]:
    return Counter((folder / "begun").read_text(encoding="ascii").split())


def test_a_kill_before_files_are_opened_costs_no_step_that_led_on(tmp_path: Path) -> None:
    assert not in_child_of(run(tmp_path, "first"))
    assert not in_child_of(run_before_files_are_opened(tmp_path, "second"))

    assert in_child_of(run(tmp_path, ""))
    assert begun(tmp_path) == {"first": 2, "second": 2, "third": 1}
    (file,) = (tmp_path / "journal").glob("*.log")
    assert asyncio.run(read_file(file)).state.status == COMPLETED
