"""What `every_step` kills: how each scenario begins, how what is left goes on, and what came of it.

An outcome is to be the same wherever it was killed, so it counts what may happen once and leaves out what may
differ. Functions log their calls into a file beside the database.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import asyncflow as af
from asyncflow.app.options import LocalFunction
from asyncflow.app.service import StartRequest
from asyncflow.app.services import Services, open_services
from asyncflow.errors import AsyncflowError
from asyncflow.model.events import LoopAdvanced
from asyncflow.model.values import JsonObject
from asyncflow.runtime.open_turn import OpenTurn
from asyncflow.runtime.points import AFTER_COMMIT, AFTER_DECIDE, AFTER_RELEASE, BEFORE_COMMIT
from asyncflow.store.records import Page
from asyncflow.store.sqlite import SqliteStore
from asyncflow.testing.clock import START_MS, VirtualClock
from tests.crash.histories import Shape, shape_of
from tests.crash.mixed_workflows import child, simple, task, workflow
from tests.crash.shared_log import lines_of, log_to, write

Arm = Callable[[], None]
"""Called once everything is set up: from here on a process may die."""

STEPS = (AFTER_DECIDE, BEFORE_COMMIT, AFTER_COMMIT, AFTER_RELEASE)
LATER_S = 3_600
LONG = 5_000


@dataclass(frozen=True)
class Place:
    """Where one run of a scenario has its files."""

    folder: Path

    @property
    def database(self) -> Path:
        return self.folder / "flow.db"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def outcome(self) -> Path:
        return self.folder / "outcome"


class Scenario:
    """One execution, started with a key by whoever lives, and so once.

    Attributes:
        definitions: the first is that of the execution, the others are its children's.
        lasts_s: how long it goes on in the first life.
        later_s, rest_s: when the second begins, and how long it lasts.
        steps, most: the kinds of steps at which it is killed, and how many of each; 0 for all.
    """

    lasts_s = 130
    later_s, rest_s = LATER_S, 130
    steps: Sequence[str] = STEPS
    most = 0

    def __init__(self, *definitions: JsonObject) -> None:
        """Of these workflows."""
        self.definitions = definitions

    async def prepare(self, place: Place) -> None:
        """What is there before anything may die; the first process begins on a copy of it."""

    async def begin(self, place: Place, arm: Arm) -> None:
        """The first life."""
        async with awake(place, 0) as (services, clock):
            for definition in self.definitions:
                await services.executions.register_workflow(definition)
            await clock.rest()
            await self.go_on(services, clock, arm)

    async def go_on(self, services: Services, clock: VirtualClock, arm: Arm) -> None:
        """What the first life does from where it may die."""
        arm()
        await self.start(services)
        await clock.advance(self.lasts_s)

    async def finish(self, place: Place) -> JsonObject:
        """The second life, and what came of both."""
        async with awake(place, self.later_s) as (services, clock):
            await self.start(services)
            await self.help(services, place)
            await clock.advance(self.rest_s)
        return await self.outcome(place)

    async def help(self, services: Services, place: Place) -> None:
        """What somebody outside does in the second life."""

    async def start(self, services: Services) -> str:
        """Start the execution, or find it; the key is always the same."""
        request = StartRequest(
            name=str(self.definitions[0]["name"]), input={"n": 3}, idempotency_key="k", request_hash="h"
        )
        found = await services.executing.start(request, "RETURN_EXISTING")
        write("ack", found)
        return found

    async def outcome(self, place: Place) -> JsonObject:
        """How it ended and in what shape."""
        async with SqliteStore.open(place.database) as store:
            assert await store.find_faults() == []
            rows = await store.list_executions((), Page(limit=-1))
            histories = await store.read_streams([row.execution_id for row in rows])
        mains = [row for row in rows if not row.parent_id]
        shape = shape_of(mains[0].execution_id, histories)
        return {
            "mains": len(mains),
            "all": len(rows),
            "acknowledged": len({words[0] for words in lines_of(place.log, "ack")}),
            "status": sorted({row.status for row in rows}),
            "repeated": sorted(str(what) for what, count in shape.items() if count > 1),
            "shape": _summed(shape),
        }


@asynccontextmanager
async def awake(place: Place, at_s: float) -> AsyncIterator[tuple[Services, VirtualClock]]:
    """Everything on the file, so long after the begin of virtual time."""
    clock = VirtualClock(START_MS + int(at_s * 1000), auto=False)
    log_to(place.log)
    async with open_services(place.database, functions=_functions(clock), clock=clock) as services:
        clock.attach(services.executions.engine)
        clock.on_rest(_nothing)
        await clock.rest()
        yield services, clock
        clock.detach(_nothing)


def _nothing() -> bool:
    return False


def _summed(shape: Shape) -> list[str]:
    """What happened how often, all iterations of a loop together."""
    summed: Counter[str] = Counter()
    for (kind, name, *more), count in shape.items():
        said = more if kind == "ended" else ()
        summed[" ".join(map(str, (kind, str(name).partition("__")[0], *said)))] += count
    return sorted(f"{what}: {count}" for what, count in summed.items())


def _functions(clock: VirtualClock) -> dict[str, LocalFunction]:
    @af.task(name="double", retries=0)
    async def double(n: int) -> JsonObject:
        return {"n": 2 * n}

    @af.task(name="flaky")
    async def flaky(ctx: af.TaskContext) -> JsonObject:
        write("try", ctx.attempt, clock.now().elapsed_ms - START_MS)
        if ctx.attempt == 1:
            raise af.TaskFailed("not yet")
        return {}

    return {each.name: each for each in (double, flaky)}


class Overdue(Scenario):
    """A timer that comes due while nobody lives; the second life is too short to wait for it anew."""

    rest_s = 5

    async def go_on(self, services: Services, clock: VirtualClock, arm: Arm) -> None:
        """See the parent."""
        await self.start(services)
        await clock.rest()
        arm()
        await clock.advance(self.lasts_s)


class Signalled(Scenario):
    """A WAIT that is told to end, by one who tells again where nobody answered."""

    async def go_on(self, services: Services, clock: VirtualClock, arm: Arm) -> None:
        """See the parent."""
        execution = await self.start(services)
        await clock.rest()
        arm()
        await services.executions.signal(execution, "hold", {"n": 7})
        write("told", execution)
        await clock.advance(self.lasts_s)

    async def help(self, services: Services, place: Place) -> None:
        """See the parent."""
        if not lines_of(place.log, "told"):
            execution = await self.start(services)
            with suppress(AsyncflowError):  # it may have been heard
                await services.executions.signal(execution, "hold", {"n": 7})


class BackedOff(Scenario):
    """A retry after 100 s; the second life begins after 60."""

    later_s = 60

    async def outcome(self, place: Place) -> JsonObject:
        """How long it waited after the failure that counts, and which attempt succeeded."""
        tries = [(int(attempt), int(at_ms)) for attempt, at_ms in lines_of(place.log, "try")]
        failed_ms = max(at_ms for attempt, at_ms in tries if attempt == 1)
        last = tries[-1]
        return {**await super().outcome(place), "attempt": last[0], "waited_ms": last[1] - failed_ms}


class LongLoop(Scenario):
    """Killed when nearly all of its iterations are done, on both sides of a commit."""

    steps, most = (BEFORE_COMMIT, AFTER_COMMIT), 1

    async def prepare(self, place: Place) -> None:
        """Die where two iterations are left."""
        async with awake(place, 0) as (services, clock):
            turns = services.executions.engine.turns
            told = turns.committed

            def committed(turn: OpenTurn) -> None:
                told(turn)
                if any(
                    isinstance(event, LoopAdvanced) and event.iteration >= LONG - 2
                    for entry in turn.entries.values()
                    for event in entry.events
                ):
                    os.kill(os.getpid(), signal.SIGKILL)

            turns.committed = committed
            await services.executions.register_workflow(self.definitions[0])
            await self.start(services)
            await clock.advance(self.lasts_s)

    async def begin(self, place: Place, arm: Arm) -> None:
        """Go on from there; a process may die from its first step on."""
        arm()
        async with awake(place, 0) as (_, clock):
            await clock.advance(self.lasts_s)


_BACKED_OFF = {
    **simple("flaky", "again", 1),
    "taskDefinition": {"name": "flaky", "retryCount": 1, "retryDelaySeconds": 100},
}
_LOOP = task(
    "DO_WHILE",
    "loop",
    loopCondition=f"$.loop['iteration'] < {LONG}",
    loopOver=[simple("double", "body", 1)],
)

SCENARIOS: dict[str, Scenario] = {
    "chain": Scenario(
        workflow(
            "chain",
            [simple("double", "first", "${workflow.input.n}"), simple("double", "last", "${first.output.n}")],
            {"n": "${last.output.n}"},
        )
    ),
    "join": Scenario(
        workflow(
            "join",
            [
                task(
                    "FORK_JOIN",
                    "fork",
                    forkTasks=[[simple("double", f"b{branch}", branch)] for branch in range(3)],
                ),
                task("JOIN", "join", joinOn=["b0", "b1", "b2"]),
                simple("double", "after", "${b2.output.n}"),
            ],
            {"n": "${after.output.n}"},
        )
    ),
    "child": Scenario(
        workflow("parent", [child("down", "inner"), simple("double", "after", 1)], {}),
        workflow("inner", [simple("double", "only", "${workflow.input.n}")], {"n": "${only.output.n}"}),
    ),
    "timer": Overdue(
        workflow(
            "timer",
            [task("WAIT", "wait", inputParameters={"duration": "60 seconds"}), simple("double", "after", 1)],
            {},
        )
    ),
    "signal": Signalled(
        workflow(
            "signal",
            [task("WAIT", "hold"), simple("double", "after", "${hold.output.n}")],
            {"n": "${after.output.n}"},
        )
    ),
    "backoff": BackedOff(workflow("backoff", [_BACKED_OFF], {})),
    "long-loop": LongLoop(workflow("long", [_LOOP], {"n": "${loop.output.iteration}"})),
}
