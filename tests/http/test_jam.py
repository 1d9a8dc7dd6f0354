"""Jams made on purpose, over REST and the command line: what is told is true, as freeing the holder shows.

Each test frees what it was told holds the others up, and looks whether the one that was told to be next is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from asyncflow.app.options import EngineSettings
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.plugins.jobs import Found, InstanceOrder, InstanceStatus, InstanceWord
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import PluginConfig, ResourceContext
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.services import TASK_TYPE, JobService, ServiceManager
from tests.cli.remote_calls import Shell
from tests.http.conftest import Server, serving

LEASE = {"name": "table", "mode": "exclusive", "key": "monday"}


@dataclass
class Jam:
    """A server with a scripted service, and time that only the test lets pass."""

    server: Server
    service: JobService
    clock: VirtualClock

    async def start(self, *resources: dict[str, str]) -> str:
        """An execution of one job that needs these."""
        task = {
            "name": "job",
            "taskReferenceName": "job",
            "type": TASK_TYPE,
            "asyncflow": {"resources": [*resources]},
        }
        body = {"name": "w", "version": 1, "tasks": [task]}
        answer = await self.server.post("/api/workflow", json={"name": "w", "workflowDef": body})
        assert answer.status == 200, answer.text
        await self.clock.rest()
        return answer.text

    async def why(self, identity: str) -> Any:
        """What its one task waits for, as REST says; and the command line says the same."""
        path = f"/api/asyncflow/workflow/{identity}/why"
        told: Any = (await self.server.get(path)).json
        shown = await Shell(self.server).rows("workflow", "why", identity)
        (entry,) = told["waitsFor"]
        assert shown == [entry]
        return entry

    async def table(self, identity: str) -> str:
        """What a person sees."""
        return " ".join((await Shell(self.server)("workflow", "why", identity)).stdout.split())

    async def end(self, handle: str) -> None:
        """Let a job end, and its end become known."""
        self.service.end_job(handle, "succeeded")
        await self.clock.advance(11)

    async def status(self, identity: str) -> str:
        return await Shell(self.server).status(identity)


@asynccontextmanager
async def jammed(kind: type[ServiceManager] = ServiceManager, most: int = 0) -> AsyncIterator[Jam]:
    clock = VirtualClock(auto=False)
    scripted = JobService(clock, lambda: clock.now().elapsed_ms, duration_s=10.0**6)

    class Manager(kind):  # type: ignore[valid-type, misc]  # of the kind that the test has
        def __init__(self, config: PluginConfig, context: ResourceContext) -> None:
            super().__init__(config, context)
            self.service = scripted

    fake = ResourceSettings("fake", ResourceLimit(most), poll_first_s=5.0, poll_max_s=5.0)
    settings = EngineSettings(
        resources={"cluster": fake, "table": ResourceLimit()},
        registry=Registry.built_in().with_classes(resources={"fake": Manager}),
    )
    async with serving(engine=settings, clock=clock) as server:
        clock.attach(server.services.executions.engine)
        clock.on_rest(_nothing)
        try:
            yield Jam(server, scripted, clock)
        finally:
            clock.detach(_nothing)


def _nothing() -> bool:
    return False


async def test_lease_held_by_the_job_of_another_execution() -> None:
    async with jammed() as jam:
        first, *others = [await jam.start(LEASE) for _ in range(4)]
        holder, waiting = first, others
        while waiting:
            entries = [await jam.why(each) for each in waiting]
            (held,) = entries[0]["holders"]

            assert [entry["position"] for entry in entries] == [*range(1, len(waiting) + 1)]
            assert {(entry["kind"], entry["reason"], entry["key"]) for entry in entries} == {
                ("admission", "key_held", "monday")
            }
            assert (held["execution_id"], held["task"], held["mode"]) == (holder, "job", "exclusive")
            assert entries[0]["next"]["kind"] == "release"
            assert entries[0]["next"]["by"][0]["handle"] == held["handle"]
            assert holder in await jam.table(waiting[0])

            await jam.end(held["handle"])

            assert await jam.status(holder) == "COMPLETED"
            assert (await jam.why(waiting[0]))["kind"] == "job"
            holder, *waiting = waiting


async def test_holder_is_told_with_what_it_waits_for_itself() -> None:
    async with jammed() as jam:
        await jam.start(LEASE)
        second = await jam.start(LEASE)
        (held,) = (await jam.why(second))["holders"]
        waits = held["waits_for"]

        assert (waits["kind"], waits["now"]["state"]) == ("job", "waits_for_poll")
        jam.service.end_job(waits["now"]["handle"], "succeeded")
        await jam.clock.advance(waits["now"]["next_poll_ms"] / 1000)
        assert (await jam.why(second))["kind"] == "job"


async def test_limit_that_is_full() -> None:
    async with jammed(most=2) as jam:
        started = [await jam.start() for _ in range(4)]
        third, fourth = [await jam.why(each) for each in started[2:]]

        assert (third["reason"], third["resource"], third["limit"], third["free"]) == (
            *("limit_reached", "cluster"),
            *(2, 0),
        )
        assert [held["execution_id"] for held in third["holders"]] == started[:2]
        assert (third["position"], fourth["position"]) == (1, 2)
        await jam.end(third["next"]["by"][1]["handle"])

        assert await jam.status(started[1]) == "COMPLETED"
        assert (await jam.why(started[2]))["kind"] == "job"
        left = await jam.why(started[3])
        assert (left["kind"], left["position"]) == ("admission", 1)
        assert {held["execution_id"] for held in left["holders"]} == {started[0], started[2]}


def slow(stands: list[InstanceWord]) -> type[ServiceManager]:
    """Managers whose instances stand as the list says last."""

    class Slow(ServiceManager):
        async def create(self, order: InstanceOrder) -> str:
            return "j-1"

        async def find_instance(self, order: InstanceOrder, since_ms: int) -> Sequence[Found]:
            return []

        async def check(self, handle: str) -> InstanceStatus:
            return InstanceStatus(stands[-1])

        async def destroy(self, handle: str) -> None:
            stands.append("gone")

    return Slow


async def test_gate_that_is_closed_while_an_instance_is_made() -> None:
    stands: list[InstanceWord] = ["creating"]
    async with jammed(slow(stands)) as jam:
        waiting = [await jam.start() for _ in range(2)]
        await jam.clock.advance(60)
        entry = await jam.why(waiting[0])
        (instance,) = entry["gate"]["instances"]

        assert (entry["reason"], entry["resource"], entry["holder_count"]) == ("closed", "cluster", 0)
        assert (instance["name"], instance["phase"]) == ("cluster/1", "created")
        assert entry["next"] == entry["gate"]["next"]
        assert "cluster/1" in await jam.table(waiting[0])
        stands.append("ready")
        await jam.clock.advance(120)

        assert [(await jam.why(each))["kind"] for each in waiting] == ["job", "job"]


async def test_gate_that_a_person_closed() -> None:
    async with jammed() as jam:
        path = "/api/asyncflow/resources/cluster"
        assert (await jam.server.post(f"{path}/drain", params={"reason": "new release"})).status < 300
        waiting = await jam.start()
        entry = await jam.why(waiting)

        assert entry["reason"] == "closed"
        assert entry["gate"]["drained"] == "new release"
        assert entry["next"] == {"kind": "resume"}
        assert (await jam.server.post(f"{path}/resume")).status < 300
        await jam.clock.rest()
        assert (await jam.why(waiting))["kind"] == "job"


async def test_connection_that_is_throttled() -> None:
    async with jammed() as jam:
        jam.service.retry_after_s = 300.0
        running = await jam.start()
        jam.service.fail("poll", "throttled")
        await jam.clock.advance(7)
        entry = await jam.why(running)
        now = entry["now"]

        assert (entry["kind"], now["held_by"]) == ("job", "throttled")
        assert "too many calls" in now["held_reason"]
        assert now["held_ms"] > 280_000
        jam.service.end_job(now["handle"], "succeeded")
        await jam.clock.advance(now["held_ms"] / 1000 - 1)
        assert await jam.status(running) == "RUNNING"
        await jam.clock.advance(2)
        assert await jam.status(running) == "COMPLETED"
