"""Every wait is told by `asyncflow why` in a phrase: whom it is for, since when, and what comes next."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from asyncflow.app.options import EngineSettings
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.plugins.registry import Registry
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.services import TASK_TYPE, JobService, ServiceManager
from tests.cli.making import Json, task, workflow
from tests.cli.remote_calls import Shell
from tests.http.conftest import serving
from tests.http.undecided import undecided_server

JOB = task("job", TASK_TYPE, inputParameters={"name": "job"})
LIMITS = {
    "one": ResourceLimit(1),
    "slow": ResourceLimit(rate=1, rate_window_ms=60_000),
    "heavy": ResourceLimit(2),
}


def listed(shape: Json, name: str) -> list[Json]:
    """The objects of a list that a command printed."""
    found = shape[name]
    assert isinstance(found, list)
    return found


def next_of(told: Json) -> Json:
    """What comes next, as `why` prints it."""
    found = told["next"]
    assert isinstance(found, dict)
    return found


def needing(name: str, reference: str = "pack", **need: object) -> Json:
    """A definition with one task of a worker that needs a resource."""
    resources = [{"name": name, **need}]
    return workflow(task(reference, "SIMPLE", asyncflow={"resources": resources}), name=f"needs-{reference}")


class Jam:
    """A command line at a server in virtual time, with a service of jobs behind it."""

    def __init__(self, shell: Shell, clock: VirtualClock, jobs: JobService) -> None:
        self.shell, self.clock, self.jobs = shell, clock, jobs

    async def begin(self, definition: Json) -> str:
        """Register and start."""
        await self.shell.registered(definition)
        return await self.shell.started(str(definition["name"]))

    async def poll(self, name: str = "pack") -> object:
        return await self.shell.server.services.workers.poll(name, worker_id="w1", timeout_ms=0)

    async def why(self, execution: str) -> str:
        """The one phrase about an execution."""
        done = await self.shell("why", execution)
        _, line = done.stdout.splitlines()
        return line

    async def told(self, execution: str) -> Json:
        (row,) = await self.shell.rows("why", execution)
        return row


@asynccontextmanager
async def jammed() -> AsyncIterator[Jam]:
    clock = VirtualClock(auto=False)
    jobs = JobService(clock, lambda: clock.now().elapsed_ms, duration_s=1_000)

    class Manager(ServiceManager):
        service = jobs

    registry = Registry.built_in().with_classes(resources={"fake": Manager}, listeners={})
    settings = EngineSettings(
        installation="test", registry=registry, resources={**LIMITS, "emr": ResourceSettings("fake")}
    )
    async with serving(engine=settings, clock=clock) as server:
        clock.attach(server.services.executions.engine)
        clock.on_rest(_nothing)
        try:
            yield Jam(Shell(server), clock, jobs)
        finally:
            clock.detach(_nothing)


def _nothing() -> bool:
    return False


async def test_a_slot_names_its_holder_its_task_and_the_place_in_line() -> None:
    async with jammed() as jam:
        first = await jam.begin(needing("one"))
        assert await jam.poll()
        second, third = [await jam.begin(needing("one")) for _ in range(2)]
        assert not await jam.poll()
        line, told = await jam.why(third), await jam.told(third)
        held = await jam.shell.one("resource", "get", "one")

    assert f"held by task pack of needs-pack {first} since " in line
    assert "which waits for worker w1" in line
    assert "number 2 in line" in line
    assert next_of(told)["kind"] == "release"
    assert listed(told, "holders")[0]["task"] == "pack"
    assert [each["execution_id"] for each in listed(held, "waited_by")] == [second, third]
    assert listed(held, "held_by")[0]["workflow"] == "needs-pack"


async def test_a_holder_that_is_a_job_is_named_by_its_task() -> None:
    async with jammed() as jam:
        await jam.shell("resource", "resize", "emr", "--max-concurrent", "1")
        first = await jam.begin(workflow(JOB, name="a"))
        await jam.clock.advance(2)
        second = await jam.begin(workflow(JOB, name="b"))
        await jam.clock.advance(1)
        line, told = await jam.why(second), await jam.told(second)

    (holder,) = listed(told, "holders")
    assert isinstance(holder["number"], int)
    assert holder["number"] < 0
    assert (holder["what"], holder["task"], holder["handle"]) == ("job", "job", "job-1")
    assert f"held by job job of a {first}" in line
    assert "which waits for job job-1 of emr, waits for poll; next poll in " in line


async def test_a_rate_says_when_it_allows_the_next_start() -> None:
    async with jammed() as jam:
        await jam.begin(needing("slow"))
        assert await jam.poll()
        second = await jam.begin(needing("slow", "pack2"))
        assert not await jam.poll("pack2")
        line, told = await jam.why(second), await jam.told(second)
        now_ms = jam.clock.now().elapsed_ms

    assert "the rate of slow, which allows the next start at " in line
    at_ms = next_of(told)["atMs"]
    assert isinstance(at_ms, int)
    assert now_ms < at_ms <= now_ms + 60_000


async def test_a_drain_names_who_drained_it_and_why() -> None:
    async with jammed() as jam:
        await jam.shell("resource", "drain", "one", "--reason", "toner")
        execution = await jam.begin(needing("one"))
        assert not await jam.poll()
        line, told = await jam.why(execution), await jam.told(execution)

    assert "one, which is drained by anonymous: toner; it goes on when it is resumed" in line
    assert told["next"] == {"kind": "resume"}


async def test_a_weight_that_never_fits_says_so() -> None:
    async with jammed() as jam:
        execution = await jam.begin(needing("heavy", weight=2))
        await jam.shell("resource", "resize", "heavy", "--max-concurrent", "1")
        assert not await jam.poll()
        line = await jam.why(execution)

    assert "weight 2 of heavy, whose limit is 1: it has to be resized" in line


async def test_an_instance_that_nobody_can_tell_about_and_a_job_are_a_persons_business() -> None:
    async with undecided_server(creates=True) as (made, server):
        shell = Shell(server)
        execution = await made.stuck(server)
        instance = await shell("why", execution)
    async with undecided_server() as (made, server):
        shell = Shell(server)
        execution = await made.stuck(server)
        job = await shell("why", await made.task_id(server, execution))

    assert "fake, which is closed: nobody knows whether its instance was created" in instance.stdout
    assert "fake/1 undecided since " in instance.stdout
    assert "a person's decision (resubmit, adopt, fail, complete) on its job of fake: it may" in job.stdout


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("throttled", "the service throttles us: too many calls, asked again in "),
        ("denied", "the service refuses our credentials: who are you, asked again in "),
    ],
)
async def test_a_service_that_holds_us_back_is_named(fault: str, said: str) -> None:
    async with jammed() as jam:
        jam.jobs.fail("submit", fault, times=1_000)  # type: ignore[arg-type]  # one of them
        execution = await jam.begin(workflow(JOB, name="a"))
        await jam.clock.advance(3)
        line = await jam.why(execution)

    assert "waits to be handed in" in line
    assert said in line


@pytest.mark.parametrize(
    ("tasks", "said"),
    [
        ([task("hold", "WAIT")], "a signal or an update from outside"),
        ([task("hold", "HUMAN")], "a signal or an update from outside"),
        ([task("nap", "WAIT", inputParameters={"duration": "1 hour"})], "the time 2"),
        ([task("ship", "SIMPLE")], "a worker for ship, which none ever polled for"),
    ],
)
async def test_what_comes_from_outside_is_said_in_words(tasks: list[Json], said: str) -> None:
    async with jammed() as jam:
        line = await jam.why(await jam.begin(workflow(*tasks, name="w")))

    assert said in line


async def test_a_retry_says_when_it_begins() -> None:
    async with jammed() as jam:
        definition = {"name": "ship", "retryCount": 3, "retryDelaySeconds": 600, "responseTimeoutSeconds": 60}
        execution = await jam.begin(
            workflow(task("ship", "SIMPLE", taskDefinition=definition), name="retried")
        )
        (polled,) = await jam.shell.server.services.workers.poll("ship", worker_id="w1", timeout_ms=0)
        await jam.shell("task", "fail", str(polled["taskId"]))
        line = await jam.why(execution)

    assert "a worker for ship" in line
    assert "; not before 2" in line


async def test_a_paused_execution_and_one_that_ended_say_so() -> None:
    async with jammed() as jam:
        execution = await jam.begin(workflow(task("hold", "WAIT"), name="w"))
        await jam.shell("workflow", "pause", execution)
        paused = await jam.shell("why", execution)
        await jam.shell("workflow", "terminate", execution, "--yes")
        ended = await jam.shell("why", execution)
        missing = await jam.shell("why", "01999999-0000-7000-8000-000000000000", code=2)

    assert "the execution to be resumed: it is paused" in paused.stdout
    assert "nothing waits, it is TERMINATED" in ended.stderr
    assert "no such task" in missing.stderr
