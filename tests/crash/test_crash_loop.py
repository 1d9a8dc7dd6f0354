"""R40: what kills process after process is set aside, listed and released; everything else runs.

Law: an execution that processes in a row were at when they died is held by the next start, whatever of it was
deadly, unless it came further in between.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from asyncflow.app.options import EngineSettings
from asyncflow.app.service import StartRequest
from asyncflow.app.services import Services, open_services
from asyncflow.errors import StoreError
from asyncflow.model.definition import parse_workflow
from asyncflow.runtime.crash_guard import CrashGuard
from asyncflow.runtime.last_touched import DECIDING, PERFORMING, READING, Death, LastTouched
from asyncflow.sdk.tasks import task
from tests.cli.making import HELLO, begin

BASE = """
import os, signal
import asyncflow as af

def die():
    os.kill(os.getpid(), signal.SIGKILL)

@af.task
{define} deadly() -> dict:
    {body}

with af.Workflow("deadly", version=1) as deadly_one:
    deadly_one >> deadly.node("deadly")
"""
DECIDES = """
from asyncflow.runtime import deciding
real = deciding.decide

def planted(state, given, context):
    if type(given).__name__ == "AttemptEnded":
        die()
    return real(state, given, context)

deciding.decide = planted
"""
READS = """
from asyncflow.runtime import recovery

def planted(state, event, at_ms):
    die()

recovery.evolve = planted
"""
WAYS = {
    "step": (BASE.format(define="async def", body="die()"), "performing a task of it"),
    "thread": (BASE.format(define="def", body="die()"), "performing a task of it"),
    "decision": (BASE.format(define="async def", body="return {}") + DECIDES, "deciding it"),
    "history": (BASE.format(define="async def", body="die()") + READS, "reading its history"),
}


@task
async def deadly() -> dict[str, object]:
    """The same function, mended."""
    return {}


def deaths(folder: Path, code: str, times: int) -> None:
    (folder / "deadly.py").write_text(code)
    for _ in range(times):
        with begin("run", "deadly.py", "--db", "flow.db", cwd=folder) as process:
            _, err = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, err


async def the_deadly(services: Services) -> dict[str, object]:
    """What is set aside, which is one execution."""
    listed = await services.quarantine.listed()
    assert listed["totalHits"] == 1
    results = listed["results"]
    assert isinstance(results, list)
    found = results[0]
    assert isinstance(found, dict)
    return found


@pytest.mark.scenario("R40")
@pytest.mark.parametrize("way", WAYS)
async def test_it_is_set_aside_after_as_many_deaths_and_others_run(tmp_path: Path, way: str) -> None:
    code, words = WAYS[way]
    deaths(tmp_path, code, 2)
    settings, functions = EngineSettings(crash_limit=2), {"deadly": deadly}
    async with open_services(tmp_path / "flow.db", functions=functions, settings=settings) as services:
        found = await the_deadly(services)
        identity = str(found["workflowId"])
        with pytest.raises(StoreError, match="quarantined"):
            await services.executions.get(identity)
        other = await services.executions.start(StartRequest(definition=parse_workflow(HELLO)))
        assert (await services.executions.ended(other)).status == "COMPLETED"
    async with open_services(tmp_path / "flow.db", functions=functions, settings=settings) as services:
        assert (await the_deadly(services))["workflowId"] == identity, "a clean stop releases nobody"
        await services.quarantine.release(identity)
        state = await services.executions.ended(identity)

    assert found["kind"] == "crash"
    assert found["reason"] == f"the process died 2 times in a row while {words}"
    assert state.status == "COMPLETED"
    assert not (tmp_path / "flow.db.touched").exists()


@pytest.mark.parametrize(("limit", "times"), [(3, 1), (0, 2)])
async def test_it_goes_on_after_fewer_deaths_or_without_a_limit(
    tmp_path: Path, limit: int, times: int
) -> None:
    deaths(tmp_path, WAYS["step"][0], times)
    settings = EngineSettings(crash_limit=limit)
    async with open_services(
        tmp_path / "flow.db", functions={"deadly": deadly}, settings=settings
    ) as services:
        assert not services.executions.engine.turns.quarantined
        [identity] = services.executions.engine.turns.states
        state = await services.executions.ended(identity)

    assert state.status == "COMPLETED"


async def test_one_that_came_further_counts_from_one_again(tmp_path: Path) -> None:
    async with open_services() as services:
        identity = await services.executions.start(StartRequest(definition=parse_workflow(HELLO)))
        state = await services.executions.ended(identity)
        found = {}
        for progress in (0, 1):
            touched = LastTouched(tmp_path / "touched")
            touched.deaths[identity] = Death(3, progress, "d")
            guard = CrashGuard(touched, services.executions.engine._store, 3, 0)
            held = await guard.hold_deadly({identity: state})
            found[progress] = (set(held), touched.deaths)

    assert found[0] == (set(), {identity: Death(1, 1, "d")}), "one task has ended since"
    assert found[1] == ({identity}, {})


# --- the file -----------------------------------------------------------------------------------


def died(path: Path, doing: bytes, stream: str) -> LastTouched:
    """A process that reads what the one before was at, and dies while it is at this."""
    touched = LastTouched(path)
    touched.open()
    touched.at(doing, stream)
    return touched


def test_only_deaths_in_a_row_count(tmp_path: Path) -> None:
    path = tmp_path / "touched"
    died(path, DECIDING, "a")
    died(path, READING, "a")
    second = died(path, PERFORMING, "b")
    third = LastTouched(path)
    third.open()

    assert {stream: death.times for stream, death in second.deaths.items()} == {"a": 2}
    assert {stream: death.times for stream, death in third.deaths.items()} == {"b": 1}


def test_what_the_loop_left_and_what_threads_ended_is_nobodys_fault(tmp_path: Path) -> None:
    path = tmp_path / "touched"
    touched = died(path, DECIDING, "a")
    touched.left()
    assert touched.threaded("b", lambda: 7)() == 7
    seen: list[set[str]] = []

    def look() -> None:
        after = LastTouched(path.with_name("copy"))
        path.with_name("copy").write_bytes(path.read_bytes())
        after.open()
        seen.append(set(after.deaths))

    touched.threaded("c", look)()
    after = LastTouched(path)
    after.open()

    assert seen == [{"c"}], "while it runs it is told of"
    assert not after.deaths


@pytest.mark.parametrize(
    "content", [b"", b"torn", b"{" + bytes(40_000), bytes(100_000), b"[1]\0" + bytes(70_000)]
)
def test_a_file_that_says_nothing_harms_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "touched").write_bytes(content)
    touched = died(tmp_path / "touched", DECIDING, "a")

    assert touched.is_open
    assert not touched.deaths


def test_a_file_that_cannot_be_made_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "touched").mkdir()
    touched = died(tmp_path / "touched", DECIDING, "a")
    touched.close()

    assert not touched.is_open


def test_a_clean_stop_leaves_no_file(tmp_path: Path) -> None:
    died(tmp_path / "touched", DECIDING, "a").close()

    assert not (tmp_path / "touched").exists()
