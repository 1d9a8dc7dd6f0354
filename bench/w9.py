"""W9: an execution of many tasks run again where one of them changed, or where nothing did.

The plan is timed alone for 1,000, 10,000 and 100,000 tasks, in milliseconds per 10,000 of them. Then, as
shares of the time that a run took: plan and carry out with nothing changed, in the engine that ran it and
in one that opens the file first; and a first task done again with the result that it had.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import asyncflow as af
from asyncflow.app import journal_ends, recovering, recovery_shown
from asyncflow.app.local import LocalOptions, open_local
from asyncflow.app.process import tune_process
from asyncflow.app.reruns import Reruns
from asyncflow.app.service import StartRequest
from asyncflow.model.definition import parse_workflow
from asyncflow.model.events import TaskScheduled
from asyncflow.model.values import JsonObject
from bench.floors import on_uvloop
from bench.harness import Case, Measured, when_asked

_PADDING = "x" * 180
_BRANCHES: dict[str, object] = {
    "forkTaskName": "branch",
    "forkTaskInputs": "${workflow.input.items}",
}
WIDE: dict[str, object] = {
    "name": "wide",
    "version": 1,
    "tasks": [
        {"name": "head", "taskReferenceName": "head", "type": "SIMPLE"},
        {
            "name": "fork",
            "taskReferenceName": "fork",
            "type": "FORK_JOIN_DYNAMIC",
            "inputParameters": _BRANCHES,
        },
        {"name": "join", "taskReferenceName": "join", "type": "JOIN"},
        {"name": "tail", "taskReferenceName": "tail", "type": "SIMPLE"},
    ],
    "outputParameters": {"first": "${join.output._branch_0.text}"},
}


@af.task(retries=0)
async def head() -> dict[str, str]:
    """Give the same each time."""
    return {"text": "head"}


@af.task(retries=0)
async def branch(**_given: object) -> dict[str, str]:
    """Give 200 bytes."""
    return {"text": _PADDING}


@af.task(retries=0)
async def tail() -> dict[str, str]:
    """Give the same each time."""
    return {"text": "tail"}


def engine(folder: Path) -> af.Engine:
    """An engine on the file of this folder."""
    return af.Engine(folder / "w9.db", tasks=[head, branch, tail])


async def finished(opened: af.Engine, width: int) -> tuple[str, float]:
    """A finished run of so many branches, and the seconds until views showed it."""
    began = time.perf_counter()
    execution = await opened.start(WIDE, {"items": [{"n": n} for n in range(width)]})
    await execution.result()
    await opened.service.engine.views_caught_up()
    return execution.id, time.perf_counter() - began


async def plan_alone(folder: Path, width: int) -> Measured:
    """Milliseconds per 10,000 tasks of a plan with one changed branch."""
    async with engine(folder) as opened:
        identity, _ = await finished(opened, width)
        reruns = Reruns(opened.service)
        began = time.perf_counter()
        plan = await reruns.plan(identity, {"changed": ["ref:_branch_7"]})
        took_s = time.perf_counter() - began
    counts = plan["counts"]
    assert counts == {"reuse": width + 1, "redo": 3, "ask": 0}, counts  # the branch, join and tail
    return Measured(took_s * 1e3 * 10_000 / width, {"ms": took_s * 1e3})


async def carried_out(opened: af.Engine, identity: str, width: int, changes: JsonObject) -> None:
    """Plan, carry out, and wait for the end."""
    reruns = Reruns(opened.service)
    await reruns.apply(identity, await reruns.plan(identity, changes))
    state = await opened.service.ended(identity)
    assert state.status == "COMPLETED"
    assert len(state.tasks) == width + 4


async def again(folder: Path, changes: JsonObject, *, restarted: bool = False) -> Measured:
    """What a rerun of 10,000 branches takes of what the run took; with opening the file, if restarted."""
    width = 10_000
    async with engine(folder) as opened:
        identity, ran_s = await finished(opened, width)
        began = time.perf_counter()
        if not restarted:
            await carried_out(opened, identity, width, changes)
            took_s = time.perf_counter() - began
    if restarted:
        began = time.perf_counter()
        async with engine(folder) as opened:
            await carried_out(opened, identity, width, changes)
            took_s = time.perf_counter() - began
    return Measured(took_s / ran_s, {"run_s": ran_s, "rerun_s": took_s})


async def recovered(folder: Path) -> Measured:
    """What it takes of what a journaled run took to learn from its file that it is over, and how.

    That is what `asyncflow recover FILE` does in its process; `folded_s` is what folding all of it takes, as
    `-o json` and files of older versions need.
    """
    functions = {each.name: each for each in (head, branch, tail)}
    began = time.perf_counter()
    async with open_local(None, functions, LocalOptions(durability="normal", journal=folder)) as service:
        given: JsonObject = {"items": [{"n": n} for n in range(10_000)]}
        identity = await service.start(StartRequest(definition=parse_workflow(WIDE), input=given))
        await service.ended(identity)
    ran_s = time.perf_counter() - began
    file = file_of(folder, identity)
    began = time.perf_counter()
    told = journal_ends.outcome(await recovering.look_at(file))
    took_s = time.perf_counter() - began
    assert told is not None
    assert told.tasks == {"COMPLETED": 10_004}
    assert told.shown["output"] == {"first": _PADDING}
    began = time.perf_counter()
    assert recovery_shown.is_over(await recovering.read_file(file))
    folded_s = time.perf_counter() - began
    return Measured(took_s / ran_s, {"run_s": ran_s, "recover_s": took_s, "folded_s": folded_s})


def file_of(folder: Path, identity: str) -> Path:
    """The journal file of an execution."""
    return next(folder.glob(f"*.{identity}.log"))


async def last_open(folder: Path) -> Measured:
    """Seconds to take up a journal of 10,000 finished branches whose last task is open, and to end it."""
    width = 10_000
    async with af.Engine(folder / "w9.db", tasks=[head, branch]) as opened:
        execution = await opened.start(WIDE, {"items": [{"n": n} for n in range(width)]})
        async for recorded in opened.service.engine.events(execution.id):
            if isinstance(recorded.event, TaskScheduled) and recorded.event.ref == "tail":
                break
    file = await recovering.export(folder / "w9.db", execution.id, folder)
    began = time.perf_counter()
    await recovering.put_in(folder / "new.db", await recovering.read_file(file))
    async with af.Engine(folder / "new.db", tasks=[head, branch, tail]) as opened:
        await opened.service.signal(execution.id, "tail", {"text": "tail"})
        assert (await opened.service.ended(execution.id)).status == "COMPLETED"
        took_s = time.perf_counter() - began
    return Measured(took_s, {"recover_s": took_s})


def measure(folder: Path, work: Callable[[Path], Awaitable[Measured]]) -> Measured:
    """One sample, after a short run to warm up."""

    async def main() -> Measured:
        warm = folder / "warm"
        warm.mkdir()
        async with engine(warm) as opened:
            await finished(opened, 500)
        return await work(folder)

    tune_process()
    return on_uvloop(main)


CASES = when_asked(
    6,
    Case("plan-1k", "ms/10k", lambda f: measure(f, lambda g: plan_alone(g, 1_000)), higher_is_better=False),
    Case("plan-10k", "ms/10k", lambda f: measure(f, lambda g: plan_alone(g, 10_000)), higher_is_better=False),
    Case(
        "plan-100k",
        "ms/10k",
        lambda f: measure(f, lambda g: plan_alone(g, 100_000)),
        floor="w9/plan-1k",
        target=3,
        higher_is_better=False,
    ),
    Case(
        "nothing-changed",
        "of the run",
        lambda f: measure(f, lambda g: again(g, {})),
        target=0.1,
        higher_is_better=False,
    ),
    Case(
        "nothing-changed-restarted",
        "of the run",
        lambda f: measure(f, lambda g: again(g, {}, restarted=True)),
        higher_is_better=False,
    ),
    Case(
        "recovered-finished",
        "of the run",
        lambda f: measure(f, recovered),
        target=0.1,
        higher_is_better=False,
    ),
    Case("recovered-last-open", "s", lambda f: measure(f, last_open), target=1, higher_is_better=False),
    Case(
        "same-result",
        "of the run",
        lambda f: measure(f, lambda g: again(g, {"changed": ["ref:head"]})),
        higher_is_better=False,
    ),
)
