"""Clusters that are given back when idle, against executions that come just then; run as a program.

    python -m tests.plugins.interleavings --seeds 10000

Engine and EMR plugin are the real ones; time is virtual, and EMR is in this process. Each seed is a history:
every call takes a while before and after it does something, answers are lost, clusters die, others use them
too, engines are killed. A seed says what happens, though not in which turn of the loop it is met. What must
never happen is in `World` and `faults_of`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import random
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from asyncflow_emr import EmrManager
from botocore.exceptions import ClientError

from asyncflow.errors import StoreError
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.values import JsonObject
from asyncflow.plugins.registry import Registry
from asyncflow.runtime.engine import EngineSettings
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.emr_service import AwsRefusal, Cluster, Emr, Step, Timing
from asyncflow.testing.kit import VirtualEngine

IDLE_S, KEPT_S = 60.0, 120.0
"""An idle cluster is given back after `IDLE_S`, and never kept for `KEPT_S` more than that."""

RACES = 3
_GOING = ("TERMINATING", "TERMINATED", "TERMINATED_WITH_ERRORS")


class Killed(StoreError):
    """The engine ends here: nothing that is not committed is ever known."""


@dataclass
class World:
    """One seed: the service, the engines one after the other, and what was seen.

    Attributes:
        ended_by_us: clusters that the engine had terminated.
        wrong: what must not be.
        going: clusters whose end the engine has begun: from there on there is no way back.
        listed_ms: by cluster, when the engine last looked before that whether others use it.
    """

    seed: int
    folder: Path
    clock: VirtualClock = field(default_factory=lambda: VirtualClock(auto=False))
    ended_by_us: set[str] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)
    going: set[str] = field(default_factory=set)
    listed_ms: dict[str, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    started: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        timing = Timing(boot=30.0, stop=self.dice.choice((0.0, 20.0)), lag=self.dice.choice((0.0, 4.0)))
        self.emr = Emr(lambda: self.clock.now().wall_ms, timing=timing, behaviour=self._behaviour)
        self.latency_s = self.dice.choice((0.0, 0.5, 3.0))
        self.fault_rate = self.dice.choice((0.0, 0.0, 0.05))

    def _behaviour(self, step: Step) -> tuple[float, str]:
        return (45.0 if step.name == "foreign" else self.dice.uniform(2, 60)), "COMPLETED"

    # --- the service, as the engine meets it --------------------------------------------------------

    async def call(self, operation: str, given: JsonObject) -> JsonObject:
        """A request: it takes a while, is done, takes a while, and may be lost before or after."""
        await self.clock.sleep(self.dice.uniform(0, self.latency_s))
        lost = self.dice.random() < self.fault_rate
        if lost and self.dice.random() < 0.5:
            raise ConnectionResetError("lost on its way")
        self._look(operation, given)
        try:
            answer = self.emr.perform(operation, given)
        except AwsRefusal as refusal:
            error = {"Error": {"Code": refusal.code, "Message": refusal.message}}
            answered = {"ResponseMetadata": {"HTTPStatusCode": refusal.status}}
            raise ClientError({**error, **answered}, operation) from None
        await self.clock.sleep(self.dice.uniform(0, self.latency_s))
        if lost:
            raise ConnectionResetError("lost on its way back")
        return answer

    def _look(self, operation: str, given: JsonObject) -> None:
        """What the request means for the promises, at the moment it is done."""
        self.counts[operation] += 1
        now_ms = self.clock.now().wall_ms
        if operation == "AddJobFlowSteps" and given["JobFlowId"] in self.ended_by_us:
            self.wrong.append(f"a step for {given['JobFlowId']}, which we terminated")
        elif operation == "ListSteps" and given.get("StepStates"):
            if given["ClusterId"] not in self.going:
                self.listed_ms[str(given["ClusterId"])] = now_ms
        elif operation == "SetTerminationProtection":
            self.going.update(given["JobFlowIds"])  # type: ignore[arg-type]  # a list
        elif operation == "TerminateJobFlows":
            for each in given["JobFlowIds"]:  # type: ignore[attr-defined]  # a list
                self._ends(self.emr.clusters[each])

    def _ends(self, cluster: Cluster) -> None:
        self.emr.perform("DescribeCluster", {"ClusterId": cluster.id})
        looked_ms = self.listed_ms.get(cluster.id, 0)
        if cluster.state in _GOING:
            return
        self.ended_by_us.add(cluster.id)
        for step in [*cluster.pending, *(entry[2] for entry in cluster.running)]:
            if step.name != "foreign":
                self.wrong.append(f"{cluster.id} terminated with {step.id} of ours on it")
            elif step.created_ms + self.emr.timing.lag * 1000 < looked_ms:
                self.wrong.append(f"{cluster.id} terminated with a step of others that could be seen")

    def strangers_come(self) -> None:
        """Somebody else uses the newest cluster."""
        for cluster in [*self.emr.clusters.values()][-1:]:
            with contextlib.suppress(AwsRefusal):
                self.emr.perform("AddJobFlowSteps", {"JobFlowId": cluster.id, "Steps": [{"Name": "foreign"}]})
                self.counts["foreign"] += 1

    def cluster_dies(self) -> None:
        """The newest cluster goes by itself, if it is not going."""
        for cluster in [*self.emr.clusters.values()][-1:]:
            if cluster.state not in _GOING:
                self.emr.lose(cluster.id)
                self.counts["died"] += 1

    # --- the engine ---------------------------------------------------------------------------------

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[VirtualEngine]:
        """An engine on the file of this world, until the end of the block."""
        resource = ResourceSettings(
            "emr", config={"region": "r"}, idle_after_s=IDLE_S, poll_first_s=3.0, poll_max_s=10.0
        )
        registry = Registry.built_in().with_classes(resources={"emr": manager_in(self)})
        settings = EngineSettings(resources={"cluster": resource}, registry=registry)
        async with VirtualEngine(self.folder / "f.db", settings=settings, clock=self.clock) as engine:
            engine.service.engine.jobs._around.rng.seed(self.dice.random())  # polls are spread by it
            await engine.register_all(WORKFLOW)
            yield engine

    async def live(self, use: Callable[[VirtualEngine], object], kill_after_s: float | None) -> bool:
        """One life; whether the engine was killed in it."""
        with contextlib.suppress(Killed):
            async with self.engine() as engine:
                turns = engine.service.engine.turns
                if kill_after_s is not None:
                    at_ms = self.clock.now().elapsed_ms + int(kill_after_s * 1000)
                    self.clock.call_at(at_ms, lambda: turns.fail(Killed("killed")))
                await use(engine)  # type: ignore[misc]  # a coroutine function
                return False
        self.counts["killed"] += 1
        return True


class Client:
    """EMR as the plugin calls it: methods in Python's spelling, moments as datetimes."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __getattr__(self, name: str) -> Callable[..., object]:
        operation = "".join(part.capitalize() for part in name.split("_"))

        async def call(**given: object) -> object:
            plain = {k: v.timestamp() if isinstance(v, datetime) else v for k, v in given.items()}
            return _with_moments(await self._world.call(operation, plain))

        return call


def _with_moments(value: object) -> object:
    if isinstance(value, dict):
        return {
            key: datetime.fromtimestamp(part, UTC) if key.endswith("DateTime") else _with_moments(part)
            for key, part in value.items()
        }
    return [_with_moments(part) for part in value] if isinstance(value, list) else value


def manager_in(world: World) -> type[EmrManager]:
    """The plugin, with its client connected to this world."""

    class Connected(EmrManager):
        async def open(self) -> None:
            self._client = Client(world)

    return Connected


WORKFLOW: JsonObject = {
    "name": "w",
    "version": 1,
    "tasks": [
        {
            "name": "step",
            "taskReferenceName": "step",
            "type": "EMR_STEP",
            "inputParameters": {"args": ["x"]},
            "taskDefinition": {"name": "step", "retryCount": 0},
        }
    ],
}


async def run_seed(seed: int, folder: Path) -> World:
    """Races until all is over, and the clusters are gone."""
    world = World(seed, folder)
    dice = world.dice

    async def race(engine: VirtualEngine) -> None:
        for _ in range(dice.randint(1, 3)):
            world.started.append((await engine.start("w")).id)
        states = engine.service.engine.turns.states
        for at_s, what in ((0.05, world.cluster_dies), (0.15, world.strangers_come)):
            if dice.random() < at_s:
                due_ms = world.clock.now().elapsed_ms + int(dice.uniform(0, 2 * IDLE_S) * 1000)
                world.clock.call_at(due_ms, what)
        await engine.clock.run(lambda: all(state.is_ended for state in states.values()), seconds=7_200)
        await engine.clock.advance(IDLE_S + dice.uniform(-12, 30))

    for _ in range(RACES):
        kill_after_s = dice.uniform(0, 4 * IDLE_S) if dice.random() < 0.3 else None
        await world.live(race, kill_after_s)

    async def end(engine: VirtualEngine) -> None:
        states = engine.service.engine.turns.states
        await engine.clock.run(lambda: all(state.is_ended for state in states.values()), seconds=7_200)
        await engine.clock.advance(IDLE_S + KEPT_S + 45)
        for each in world.started:
            status = (await engine.service.engine.state(each)).status
            if status != "COMPLETED":
                world.wrong.append(f"an execution is {status}")

    await world.live(end, None)
    world.wrong += faults_of(world)
    return world


def faults_of(world: World) -> list[str]:
    """What must not be, seen from the service's own books."""
    wrong = []
    for cluster in world.emr.clusters.values():
        world.emr.perform("DescribeCluster", {"ClusterId": cluster.id})
        ended_ms = cluster.ended_ms or world.clock.now().wall_ms
        if cluster.state not in _GOING:
            wrong.append(f"{cluster.id} is left behind")
        idle_from_ms = cluster.ready_ms
        for begins_ms, ends_ms in [
            *((s.created_ms, s.ended_ms) for s in cluster.steps),
            (ended_ms, ended_ms),
        ]:
            idle_s = (begins_ms - idle_from_ms) / 1000
            if idle_s > IDLE_S + KEPT_S:
                wrong.append(f"{cluster.id} was idle for {idle_s:.0f} s")
            idle_from_ms = max(idle_from_ms, ends_ms)
    per_mark = Counter(step.name for step in world.emr.steps.values() if step.name != "foreign")
    for name, times in per_mark.items():
        if times > 1:
            wrong.append(f"{times} steps for one attempt: {name[-41:]}")
    return wrong


def run_one(seed: int) -> tuple[int, list[str], Counter[str]]:
    """A seed in a process of a pool."""
    with tempfile.TemporaryDirectory() as folder:
        world = asyncio.run(run_seed(seed, Path(folder)))
    world.counts["clusters"] = len(world.emr.clusters)
    world.counts["terminated"] = len(world.ended_by_us)
    world.counts["executions"] = len(world.started)
    world.counts["races"] = RACES
    return seed, world.wrong, world.counts


def main() -> int:
    """So many seeds on all cores; 1 if anything happened that must not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0)
    given = parser.parse_args()
    counts: Counter[str] = Counter()
    broken = 0
    with multiprocessing.get_context("spawn").Pool() as pool:
        seeds = range(given.first, given.first + given.seeds)
        for done, (seed, wrong, found) in enumerate(pool.imap_unordered(run_one, seeds, chunksize=20), 1):
            counts.update(found)
            broken += bool(wrong)
            if wrong:
                sys.stdout.write(f"seed {seed}: {wrong}\n")
            if done % 1_000 == 0:
                sys.stdout.write(f"{done} seeds, {broken} broken, {dict(counts)}\n")
                sys.stdout.flush()
    sys.stdout.write(f"{given.seeds} seeds, {broken} broken, {dict(counts)}\n")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
