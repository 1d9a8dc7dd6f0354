"""W3: jobs in flight on a resource for twenty seconds, handed in one by one, polled in batches, all durable.

The service is in this process and answers at once, so that what is measured is ours; what a submit and a
poll of it cost by themselves is told as `service_us_per_job`. 10 executions of a fork each, and executions
of one job each. The ideal is the moment at which the last job has ended at the service; memory is what the
process grew by until all were in flight.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

import asyncflow as af
from asyncflow.app.process import tune_process
from asyncflow.model.events import ExecutionEnded
from asyncflow.plugins.jobs import Job, JobStatus, Tier
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime.open_turn import OpenTurn
from bench.floors import on_uvloop
from bench.harness import Case, Measured, when_asked

EXECUTIONS = 10
AT_ONCE = 1_000
STAY_S = 20.0
LONG_S = 90.0
"""Where executions are started one by one: the first must not end before the last is started."""
POLL_S = 5.0
_RUNNING, _DONE = JobStatus("running"), JobStatus("succeeded")


class Nothing(BaseModel):
    """Any input."""

    model_config = ConfigDict(extra="allow")


class Books:
    """What the service keeps of the sample.

    Attributes:
        ends: when each job ends, by the number in its handle.
        seconds: what submits and polls took by themselves.
        polls: how many calls asked for jobs.
    """

    def __init__(self, stay_s: float = STAY_S) -> None:
        """Nothing was handed in; a job takes so long."""
        self.stay_s = stay_s
        self.ends: list[float] = []
        self.seconds, self.polls = 0.0, 0


books = Books()


class Sleepers(ResourceManager):
    """Jobs that are over some time after they were handed in."""

    tasks: ClassVar[Mapping[str, type[BaseModel]]] = {"SLEEPER": Nothing}
    tier: ClassVar[Tier] = "token"
    poll_batch: ClassVar[int] = 0

    async def submit(self, job: Job) -> str:
        """Note when it ends."""
        del job
        began = time.perf_counter()
        books.ends.append(began + books.stay_s)
        handle = f"job-{len(books.ends) - 1}"
        books.seconds += time.perf_counter() - began
        return handle

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """Those whose time has come have succeeded."""
        del instance
        now, ends = time.perf_counter(), books.ends
        books.polls += 1
        answer = {each: _DONE if ends[int(each[4:])] <= now else _RUNNING for each in handles}
        books.seconds += time.perf_counter() - now
        return answer


FORK: dict[str, object] = {
    "name": "sleepers",
    "version": 1,
    "tasks": [
        {
            "name": "fork",
            "taskReferenceName": "fork",
            "type": "FORK_JOIN_DYNAMIC",
            "inputParameters": {
                "forkTaskName": "sleeper",
                "forkTaskType": "SLEEPER",
                "forkTaskInputs": "${workflow.input.items}",
            },
        },
        {"name": "join", "taskReferenceName": "join", "type": "JOIN"},
    ],
    "outputParameters": {"first": "${join.output._branch_0}"},
}
ONE: dict[str, object] = {
    "name": "one_sleeper",
    "version": 1,
    "tasks": [{"name": "sleeper", "taskReferenceName": "sleeper", "type": "SLEEPER"}],
}


def _engine(database: Path) -> af.Engine:
    sleepers = af.Resource("sleepers", type="sleepers", poll={"first": f"{POLL_S:g}s", "max": f"{POLL_S:g}s"})
    return af.Engine(database, resources=[sleepers], plugins={"sleepers": Sleepers})


def _rss_mb() -> float:
    """What the process has in memory now."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


async def in_flight(folder: Path, executions: int, width: int) -> Measured:
    """How late the last job was known to have ended, and what each cost; width 0 is a job without a fork."""
    jobs = executions * max(width, 1)
    books.__init__(STAY_S if width else LONG_S)  # type: ignore[misc]  # begun anew
    async with _engine(folder / "w3.db") as engine:
        await engine.register(FORK)
        await engine.register(ONE)
        gc.collect()
        before_mb, began, busy = _rss_mb(), time.perf_counter(), time.process_time()
        given: dict[str, object] = {"items": [{}] * width} if width else {}
        name = "sleepers" if width else "one_sleeper"
        told = engine.service.engine.turns.committed
        plateau_mb = 0.0
        handed_in_s = 0.0
        ended, over = set[str](), asyncio.Event()

        def committed(turn: OpenTurn) -> None:
            nonlocal plateau_mb, handed_in_s
            told(turn)
            for entry in turn.entries.values():
                if any(isinstance(event, ExecutionEnded) for event in entry.events):
                    ended.add(entry.stream)
            if len(ended) == executions:
                over.set()
            if not plateau_mb and len(books.ends) == jobs:
                handed_in_s = time.perf_counter() - began
                plateau_mb = _rss_mb()

        engine.service.engine.turns.committed = committed
        for first in range(0, executions, AT_ONCE):
            many = range(first, min(executions, first + AT_ONCE))
            await asyncio.gather(*(engine.start(name, given) for _ in many))
        await over.wait()  # results of those that left memory would be read from the journal
        done = time.perf_counter()
        await engine.service.engine.views_caught_up()
        shown_s = time.perf_counter() - began
        cpu_s = time.process_time() - busy
    return Measured(
        done - max(books.ends),
        {
            "seconds": done - began,
            "shown_s": shown_s,
            "handed_in_s": handed_in_s,
            "cpu_us_per_job": cpu_s / jobs * 1e6,
            "service_us_per_job": books.seconds / jobs * 1e6,
            "bytes_per_job": (plateau_mb - before_mb) * 1e6 / jobs,
            "plateau_mb": plateau_mb,
            "polls": books.polls,
        },
    )


def measure(folder: Path, executions: int, width: int) -> Measured:
    """One sample; its figure is the lateness in poll intervals."""
    tune_process()
    measured = on_uvloop(lambda: in_flight(folder, executions, width))
    return Measured(measured.value / POLL_S, measured.detail)


def _case(name: str, executions: int, width: int) -> Case:
    return Case(
        name,
        "poll intervals late",
        lambda folder: measure(folder, executions, width),
        target=1.0,
        higher_is_better=False,
        seconds=35,
    )


CASES = (
    _case("forks-100k", EXECUTIONS, 10_000),
    *when_asked(240, _case("forks-1m", EXECUTIONS, 100_000), _case("executions-100k", 100_000, 0)),
)
