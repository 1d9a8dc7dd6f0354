"""One life of an engine under a load: what it starts, signals, cancels and decides, and what it waits for.

It goes on until everything is over, or it is killed. It logs what it was told and what it promised; whether
all of that is true in the end is asked by `auditor`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

from pydantic_core import to_json

from asyncflow.app.options import EngineSettings, StoreSettings
from asyncflow.app.service import StartRequest
from asyncflow.app.services import Services, open_services
from asyncflow.model.events import TaskEnded
from asyncflow.model.inputs import DecideJob
from asyncflow.model.jobs import JobState
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.runtime import points
from asyncflow.runtime.open_turn import OpenTurn
from tests.crash import mixed_workflows as mixed
from tests.crash.job_managers import ask, registry, resource
from tests.crash.job_workflows import CLUSTER, EARLY, LATE
from tests.crash.loads import LOADS, Load
from tests.crash.quick_clock import QuickClock
from tests.crash.shared_log import lines_of, log_to, write

CANARY = "kanarienvogel-7d1f"
"""A secret; found nowhere in what is stored or said."""

SCHEDULE, PERIOD_S = "ticking", 10
_SCHEDULE: JsonObject = {
    "name": SCHEDULE,
    "cronExpression": f"*/{PERIOD_S} * * * * ?",
    "startWorkflowRequest": {"name": "tick"},
    "runCatchupScheduleInstances": True,
}


@dataclass(frozen=True)
class Chain:
    """What all processes of a chain are told.

    Attributes:
        load: its name.
        port: of the service; 0 where the load uses none.
        began_ms: of the quick clock.
        executions: how many there are in the end.
    """

    folder: Path
    load: str
    port: int
    began_ms: int
    executions: int

    @property
    def of(self) -> Load:
        return LOADS[self.load]

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def errors(self) -> Path:
        return self.folder / "errors"

    @property
    def database(self) -> Path:
        return self.folder / "flow.db"

    @property
    def truth(self) -> Path:
        return self.folder / "truth"

    def kind(self, index: int) -> str:
        """The workflow of an execution."""
        return self.of.kinds[index % len(self.of.kinds)]


@dataclass
class Life:
    """An engine from its start until all is over, or until it is killed."""

    chain: Chain
    services: Services
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    waiting: int = 0

    def watch(self) -> None:
        """Log every task that ended well once that is durable, and have `moved` set by every commit."""
        turns = self.services.executions.engine.turns
        told = turns.committed

        def committed(turn: OpenTurn) -> None:
            for entry in turn.entries.values():
                for event in entry.events:
                    if isinstance(event, TaskEnded) and event.status == "COMPLETED":
                        write("end", entry.stream, event.number)
            told(turn)
            self.moved.set()

        turns.committed = committed

    @property
    def _states(self) -> list[ExecutionState]:
        return [*self.services.executions.engine.turns.states.values()]

    async def register(self) -> None:
        """Make known what is not yet."""
        for definition in self.chain.of.definitions:
            await self.services.executions.register_workflow(definition)
        if self.chain.of.has_schedule and not self.services.schedules.all():
            await self.services.schedules.save(_SCHEDULE)

    async def start(self, upto: int) -> None:
        """Start what no earlier life was told is started, and see to the ends of all."""
        acknowledged = {words[0]: words[2] for words in lines_of(self.chain.log, "ack")}
        ended = {words[0] for words in lines_of(self.chain.log, "output")}
        self.waiting = upto - len(ended)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._attend())
            for index in range(upto):
                if str(index) in ended:
                    continue
                identity = acknowledged.get(str(index)) or await self._begin(index)
                group.create_task(self._see_end(index, identity))
            points.reach("started")

    async def _begin(self, index: int) -> str:
        kind = self.chain.kind(index)
        executions = self.services.executions
        identity = await executions.start(StartRequest(name=kind, input={"n": index}))
        write("ack", index, kind, identity)
        if kind.startswith(EARLY):
            await executions.terminate(identity, "never mind")
        return identity

    async def _see_end(self, index: int, identity: str) -> None:
        state = await self.services.executions.ended(identity)
        write("output", index, state.status, to_json(state.output).decode().replace(" ", ""))
        self.waiting -= 1
        self.moved.set()

    # --- what nobody but a person or another system does ------------------------------------------

    async def _attend(self) -> None:
        """Cancel, signal and decide what is to be, until nothing is open any more."""
        signalled = {words[0] for words in lines_of(self.chain.log, "signalled")}
        while True:
            self.moved.clear()
            for state in self._states:
                if state.name == "signal" and state.execution_id not in signalled:
                    await self._signal(state, signalled)
                for job in [*state.jobs.values()]:
                    await self._see_to(state, job)
            if not self.waiting and not self.open():
                return
            await self.moved.wait()

    def open(self) -> list[str]:
        """Executions that have not ended or have jobs left, but for those that the calendar started."""
        return [
            f"{state.name}:{state.execution_id}"
            for state in self._states
            if (state.jobs or not state.is_ended) and state.name != "tick"
        ]

    async def _signal(self, state: ExecutionState, signalled: set[str]) -> None:
        waits = [each for each in state.tasks.values() if each.ref == "hold" and each.status == "IN_PROGRESS"]
        if waits and not state.is_ended:
            signalled.add(state.execution_id)
            given: JsonObject = {"n": 7}
            await self.services.executions.signal(state.execution_id, "hold", given)
            write("signalled", state.execution_id)

    async def _see_to(self, state: ExecutionState, job: JobState) -> None:
        if state.name.startswith(LATE) and job.phase == "submitted" and not state.is_ended:
            await self.services.executions.terminate(state.execution_id, "not wanted any more")
        elif job.phase == "undecided":
            await self._decide(state, job)

    async def _decide(self, state: ExecutionState, job: JobState) -> None:
        """Be the person who looks: the job is there, or it is not."""
        engine = self.services.executions.engine
        token = engine.jobs._around.preparing.token(state.execution_id, job)
        handles = await ask(self.chain.port, "look", token=token)
        assert isinstance(handles, list)
        found = str(handles[0]) if handles else ""
        write("decided", "adopt" if found else "resubmit")
        decision = DecideJob(job.number, "adopt" if found else "resubmit", job.serial, found)
        await engine.submit(state.execution_id, decision)

    # --- the end ----------------------------------------------------------------------------------

    async def finish(self) -> None:
        """Stop the calendar, wait for what it started, and log whatever is still held."""
        if self.chain.of.has_schedule:
            await self.services.schedules.pause(SCHEDULE)
            for state in self._states:
                if not state.is_ended:
                    await self.services.executions.ended(state.execution_id)
        for name, usage in self.services.executions.engine.admission.usage().items():
            if usage["in_use"] or usage["holders"] or usage["waiting"]:
                write("held", name, usage["in_use"], usage["holders"], usage["waiting"])
        for state in self._states:
            if state.jobs or not state.is_ended or any(state.wanted.values()):
                write("wanted", state.name, state.execution_id)

    async def give_back(self) -> None:
        """Wait until every instance was given back."""
        while CLUSTER in self.chain.of.tiers:
            self.moved.clear()
            if not await ask(self.chain.port, "clusters"):
                return
            await self.moved.wait()


async def live(chain: Chain, upto: int, patience_s: float | None = None) -> None:
    """Start so many executions in all, and wait for the ends of all.

    Args:
        patience_s: the last life logs what is stuck by then, and ends; others are killed.
    """
    log_to(chain.log)
    settings = EngineSettings(
        resources={tier: resource(tier, chain.port) for tier in chain.of.tiers},
        registry=registry(),
        secrets={"canary": CANARY},
        keep_ended=4,
        turn_log_bytes=24_000,
    )
    functions = {each.name: each for each in mixed.FUNCTIONS}
    async with open_services(
        chain.database,
        functions=functions,
        settings=settings,
        store=StoreSettings(durability="normal"),
        clock=QuickClock(chain.began_ms),
    ) as services:
        life = Life(chain, services)
        life.watch()
        await life.register()
        try:
            async with asyncio.timeout(patience_s):
                await life.start(upto)
                await life.give_back()
                if patience_s is not None:
                    await life.finish()
        except TimeoutError:
            write("stuck", *life.open())
