"""One life of an engine whose jobs go to another process: what it starts, cancels, decides, and waits for."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import asyncflow as af
from asyncflow.model.inputs import DecideJob
from asyncflow.model.jobs import JobState
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.runtime import points
from asyncflow.runtime.engine import EngineSettings
from asyncflow.runtime.open_turn import OpenTurn
from asyncflow.testing.services import TASK_TYPE
from tests.crash.job_managers import ask, registry, resource
from tests.crash.mixed_workflows import log_to, write
from tests.crash.quick_clock import QuickClock

RESOURCE = "outside"
KINDS = ("one", "fork", "flaky", "late", "early")
"""One job, then three side by side, one that fails first, one cancelled while it runs, one at once."""

POLICY: dict[str, object] = {"retryCount": 2, "retryDelaySeconds": 0}


def _job(ref: str) -> JsonObject:
    return {
        "name": ref,
        "taskReferenceName": ref,
        "type": TASK_TYPE,
        "inputParameters": {"name": ref, "n": "${workflow.input.n}"},
        "taskDefinition": {"name": ref, **POLICY},
    }


def definition(kind: str) -> JsonObject:
    """The workflow of a kind."""
    if kind == "fork":
        branches = [[_job(f"branch{index}")] for index in range(3)]
        fork: JsonObject = {"type": "FORK_JOIN", "forkTasks": branches}
        join: JsonObject = {"type": "JOIN", "joinOn": [f"branch{index}" for index in range(3)]}
        tasks = [{"name": n, "taskReferenceName": n, **t} for n, t in (("fork", fork), ("join", join))]
    else:
        tasks = [_job("flaky" if kind == "flaky" else "job"), _job("after")]
    return {"name": kind, "version": 1, "tasks": tasks}


@dataclass(frozen=True)
class Chain:
    """What all processes of a chain are told.

    Attributes:
        began_ms: of the quick clock.
        executions: how many there are in the end.
    """

    folder: Path
    tier: str
    port: int
    began_ms: int
    executions: int

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def database(self) -> Path:
        return self.folder / "flow.db"

    @property
    def truth(self) -> Path:
        return self.folder / "truth"

    def of_log(self, kind: str) -> list[list[str]]:
        """What was logged of a kind, without it."""
        lines = [line.split() for line in self.log.read_text(encoding="utf-8").splitlines()]
        return [words[1:] for words in lines if words[0] == kind]


@dataclass
class Life:
    """An engine from its start until all is over, or until it is killed."""

    chain: Chain
    engine: af.Engine
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def watch(self) -> None:
        """Have `moved` set by every commit."""
        turns = self.engine.service.engine.turns
        told = turns.committed

        def committed(turn: OpenTurn) -> None:
            told(turn)
            self.moved.set()

        turns.committed = committed

    def _open(self) -> list[tuple[ExecutionState, JobState]]:
        states = self.engine.service.engine.turns.states.values()
        return [(state, job) for state in states for job in state.jobs.values()]

    async def act(self) -> None:
        """Cancel what is to be cancelled and decide what nobody can tell, until no job is open."""
        while True:
            self.moved.clear()
            found = self._open()
            if not found and all(s.is_ended for s in self.engine.service.engine.turns.states.values()):
                return
            for state, job in found:
                if state.name == "late" and job.phase == "submitted" and not state.is_ended:
                    await self.engine.execution(state.execution_id).cancel("not wanted any more")
                elif job.phase == "undecided":
                    await self._decide(state, job)
            await self.moved.wait()

    async def _decide(self, state: ExecutionState, job: JobState) -> None:
        """Be the person who looks: the job is there, or it is not."""
        engine = self.engine.service.engine
        token = engine.jobs._around.preparing.token(state.execution_id, job)
        handles = await ask(self.chain.port, "look", token=token)
        assert isinstance(handles, list)
        found = str(handles[0]) if handles else ""
        write("decided", "adopt" if found else "resubmit")
        decision = DecideJob(job.number, "adopt" if found else "resubmit", job.serial, found)
        await engine.submit(state.execution_id, decision)

    async def start(self, upto: int) -> None:
        """Start what no earlier life was told is started."""
        acknowledged = {words[0] for words in self.chain.of_log("ack")}
        for index in range(upto):
            if str(index) not in acknowledged:
                kind = KINDS[index % len(KINDS)]
                execution = await self.engine.start(kind, {"n": index})
                write("ack", index, kind, execution.id)
                if kind == "early":
                    await execution.cancel("never mind")
                points.reach("started")


async def live(chain: Chain, upto: int) -> None:
    """Start so many executions in all, and wait for the ends of all their jobs."""
    log_to(chain.log)
    settings = EngineSettings(
        resources={RESOURCE: resource(chain.tier, chain.port)},
        registry=registry(chain.tier),
        keep_ended=4,
        turn_log_bytes=48_000,
    )
    clock = QuickClock(chain.began_ms)
    async with af.Engine(chain.database, durability="normal", settings=settings, clock=clock) as engine:
        life = Life(chain, engine)
        life.watch()
        for kind in KINDS:
            await engine.register(definition(kind))
        await life.start(upto)
        await life.act()
