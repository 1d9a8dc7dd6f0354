"""One seed: engines one after the other on one file, their clients, and the services that outlive them.

Everything that happens is drawn from the seed. An engine dies between any two effects; then nothing of it
is left but the file. What must hold at the end is in `audit`.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncflow as af
from asyncflow.errors import AsyncflowError, StoreError
from asyncflow.model.inputs import DecideJob
from asyncflow.model.jobs import JobState
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import IN_PROGRESS, PAUSED, RUNNING
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import EngineSettings
from asyncflow.sdk.tasks import TaskFunction
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.kit import VirtualEngine
from tests.simulation.inline import Mortal
from tests.simulation.plans import TIERS, TRIED_AGAIN, Plan, draw_plan, step_of
from tests.simulation.service import LANDS_AFTER_S, Outside, managers, resources

MOST_LIVES = 6
TICK_S = 5.0
_HOUR_S = 3_600.0
_REACTION_MS = int((LANDS_AFTER_S + 30) * 1000)


class Killed(StoreError):
    """The process is no more."""


class PeopleClock(VirtualClock):
    """Time that also stands while somebody outside the engine is about to do something."""

    def __init__(self) -> None:
        super().__init__(auto=False)
        self._busy: set[asyncio.Task[None]] = set()

    def have_done(self, act: Awaitable[None]) -> asyncio.Task[None]:
        """Do this now, in a task of its own."""
        task = asyncio.ensure_future(act)
        self._busy.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._busy.discard(task)
        self._wake()

    def _is_under_way(self) -> bool:
        return bool(self._busy) or super()._is_under_way()


@dataclass(eq=False)
class World:
    """All of a seed.

    Attributes:
        plans: by the correlation id of their executions.
        acknowledged: the executions that a client was told of, with their plan.
        cancelled: the executions whose end a client was acknowledged.
        wrong: what must not have been.
    """

    seed: int
    folder: Path
    dice: random.Random = field(init=False)
    mortal: Mortal = field(default_factory=Mortal)
    clock: PeopleClock = field(default_factory=PeopleClock)
    acknowledged: dict[str, str] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.services = {tier: Outside(tier, self.clock, self.dice, self.mortal) for tier in TIERS}
        drawn = [draw_plan(self.dice, f"p{index}") for index in range(self.dice.randint(1, 4))]
        self.plans: dict[str, Plan] = {plan.name: plan for plan in drawn}

    @property
    def installation(self) -> str:
        """A part of all tokens; drawn by the file itself, it would differ from run to run."""
        return f"seed {self.seed}"

    @property
    def file(self) -> Path:
        """The database of all engines."""
        return self.folder / "flow.db"

    def fair(self) -> None:
        """Let no call fail from here on."""
        for service in self.services.values():
            service.faults.rate = 0.0

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[VirtualEngine]:
        """An engine on the file, until the end of the block."""
        settings = EngineSettings(
            resources=resources(self.services),
            registry=managers(self.services),
            installation=self.installation,
            keep_ended=self.dice.choice((0, 4, 1_000)),
            turn_log_bytes=self.dice.choice((10_000, 64 << 20)),
        )
        engine = VirtualEngine(self.file, tasks=self._functions(), settings=settings, clock=self.clock)
        async with engine:
            yield engine

    def _functions(self) -> list[TaskFunction[..., Any]]:
        """The tasks of plans, for one life."""
        inside: list[str] = []

        @af.task(retries=0)
        async def step(ctx: af.TaskContext, n: int, number: int) -> JsonObject:
            self.counts["calls"] += 1
            return {"n": step_of(number, n)}

        @af.task(retries=3, retry_delay=2)
        async def flaky(ctx: af.TaskContext, n: int, number: int, fails: int) -> JsonObject:
            if ctx.attempt <= fails:
                raise af.TaskFailed("not yet")
            return {"n": step_of(number, n)}

        @af.task(retries=0)
        async def locked(ctx: af.TaskContext, n: int, number: int) -> JsonObject:
            if inside:
                self.wrong.append(f"{ctx.execution_id} came into the lock that {inside} held")
            inside.append(ctx.execution_id)
            try:
                await self.clock.sleep(self.dice.uniform(0, 4))
            finally:
                inside.remove(ctx.execution_id)
            return {"n": step_of(number, n)}

        @af.task(retries=0)
        async def add(parts: list[int], n: str, number: int) -> JsonObject:
            return {"n": step_of(number, sum(parts))}

        return [step, flaky, locked, add]

    async def live(self, use: Callable[[VirtualEngine], Awaitable[None]], moments: int) -> bool:
        """One life of so many moments, or as long as it takes with 0; whether it came to its end."""
        mortal = self.mortal
        mortal.is_dead = False
        mortal.dies_at = mortal.moments + moments if moments else 0
        mortal.on_death = lambda: None
        try:
            async with self.engine() as engine:
                turns = engine.service.engine.turns
                mortal.on_death = lambda: turns.fail(Killed("killed"))
                await use(engine)
        except Exception:
            if not mortal.is_dead:
                raise
        finally:
            mortal.on_death = lambda: None
        self.counts["kills"] += mortal.is_dead
        left = asyncio.all_tasks() - {asyncio.current_task()}
        if left:
            self.wrong.append(f"left behind: {sorted(task.get_name() for task in left)}")
        return not mortal.is_dead


class Clients:
    """Those who start executions and look after them, in one life of the engine."""

    def __init__(self, world: World, engine: VirtualEngine, *, is_last: bool) -> None:
        self._world, self._engine, self._is_last = world, engine, is_last
        self._tasks: set[asyncio.Task[None]] = set()
        self._undecided_ms: dict[tuple[str, int], int] = {}

    async def see_through(self) -> None:
        """Start what is not acknowledged, and look after all until it is over."""
        world = self._world
        for name in world.plans.keys() - world.acknowledged.values():
            self._at(world.dice.uniform(0, 20), lambda name=name: self._start(name))  # type: ignore[misc]  # now
        for name, plan in world.plans.items():
            if plan.terminates:
                self._at(world.dice.uniform(0, 200), lambda name=name: self._terminate(name))  # type: ignore[misc]
        self._at(TICK_S, self._tick)
        try:
            await self._engine.clock.run(self._is_over, seconds=6 * _HOUR_S)
        finally:  # killed, nobody acts on it any more
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _is_over(self) -> bool:
        states = self._states()
        started = len(self._world.acknowledged) == len(self._world.plans)
        return started and not self._tasks and all(state.is_ended and not state.jobs for state in states)

    def _states(self) -> list[ExecutionState]:
        return [*self._engine.service.engine.turns.states.values()]

    def _at(self, after_s: float, act: Callable[[], Awaitable[None]]) -> None:
        at_ms = self._world.clock.now().elapsed_ms + int(after_s * 1000)
        self._world.clock.call_at(at_ms, lambda: self._spawn(act))

    def _spawn(self, act: Callable[[], Awaitable[None]]) -> None:
        task = self._world.clock.have_done(self._acting(act))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _acting(self, act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except StoreError as error:
            if not self._world.mortal.is_dead:
                self._world.wrong.append(f"a client was told {error!r}")
        except AsyncflowError:
            self._world.counts["refused"] += 1  # it ended meanwhile

    async def _start(self, name: str) -> None:
        plan = self._world.plans[name]
        await self._engine.register_all(TRIED_AGAIN, *([plan.definition] if plan.is_registered else ()))
        body = name if plan.is_registered else plan.definition
        execution = await self._engine.start(body, plan.given, correlation_id=name)
        self._world.acknowledged[execution.id] = name

    async def _terminate(self, name: str) -> None:
        for execution, plan in [*self._world.acknowledged.items()]:
            if plan == name:
                await self._engine.execution(execution).cancel("not wanted")
                self._world.cancelled.add(execution)

    async def _tick(self) -> None:
        """What a person does who looks every few seconds."""
        self._at(TICK_S, self._tick)
        for state in self._states():
            if state.status == PAUSED:
                await self._engine.execution(state.execution_id).resume()
            elif state.status == RUNNING and not self._is_last and self._world.dice.random() < 0.02:
                await self._engine.execution(state.execution_id).pause()
            for task in [*state.tasks.values()]:
                if task.node.type == "HUMAN" and task.status == IN_PROGRESS:
                    await self._engine.execution(state.execution_id).signal(task.ref, dict(task.input))
            for job in [*state.jobs.values()]:
                if job.phase == "undecided":
                    await self._look_into(state, job)

    async def _look_into(self, state: ExecutionState, job: JobState) -> None:
        """Say what became of a job, once what was on its way must have arrived."""
        now_ms = self._world.clock.now().elapsed_ms
        if now_ms < self._undecided_ms.setdefault((state.execution_id, job.serial), now_ms) + _REACTION_MS:
            return
        engine = self._engine.service.engine
        token = engine.jobs._around.preparing.token(state.execution_id, job)
        made = [each for each in self._world.services["once"].made.values() if each.token == token]
        found = made[0].handle if made else ""
        decision = DecideJob(job.number, "adopt" if found else "resubmit", job.serial, found)
        await engine.submit(state.execution_id, decision)
        self._world.counts["decided"] += 1


async def run_world(world: World) -> None:
    """All lives of a seed, the last of them to the end."""
    dice = world.dice
    for _ in range(dice.randint(1, MOST_LIVES)):
        moments = dice.randint(1, dice.choice((30, 200, 1_500)))

        async def use(engine: VirtualEngine) -> None:
            await Clients(world, engine, is_last=False).see_through()

        if await world.live(use, moments):
            break
        if dice.random() < 0.5:
            world.clock.suspend(dice.choice((1.0, 30.0, _HOUR_S)))  # nobody is there meanwhile
        if dice.random() < 0.3:
            world.clock.set_wall_forward(dice.choice((-_HOUR_S, _HOUR_S)))
    world.fair()

    async def end(engine: VirtualEngine) -> None:
        await Clients(world, engine, is_last=True).see_through()

    await world.live(end, 0)
