"""What the suites of the resource contract share: the manager under test, its fake, jobs and orders.

Nothing is tested here; a plugin's tests see it through `testing/resource_contract`.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import ClassVar

import pytest

from asyncflow.ids import attempt_token
from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import CredentialsRefused, Rejected, ServiceError, Throttled
from asyncflow.plugins.jobs import InstanceOrder, Job, JobWord, handle_of
from asyncflow.plugins.resources import ResourceManager, has_instances, takes_jobs
from asyncflow.testing.faults import ALL_FAULTS, Call, FakeService, Fault

NOTHING_DONE: tuple[Fault, ...] = ("cut_before", "throttled", "denied", "refused", "broken")
DONE: tuple[Fault, ...] = ("cut_after", "garbage")
MEANS: dict[Fault, type[ServiceError]] = {
    "throttled": Throttled,
    "denied": CredentialsRefused,
    "refused": Rejected,
}


class ContractSetting:
    """A manager, its fake, and what is handed in. A subclass has a fixture `service` and the method `make`.

    Attributes:
        faults: what the fake can do; tests of others are skipped.
        offline: calls that the manager answers by itself; their faults are skipped.
        input: of the jobs that are submitted.
        task_type: of these jobs; the manager's only one by default.
        secrets: texts of the settings that may be in no error and no `repr`.
        page: entries the service lists at once; 0 where it knows no pages.
        many: jobs that are polled at once, if the manager's `poll_batch` allows as many.
        unknown_handle: one that the service never gave.
        words: how the fake can let a job end.
    """

    faults: ClassVar[frozenset[Fault]] = ALL_FAULTS
    offline: ClassVar[frozenset[Call]] = frozenset()
    input: ClassVar[JsonObject] = {}
    task_type: ClassVar[str] = ""
    secrets: ClassVar[Sequence[str]] = ()
    page: ClassVar[int] = 0
    many: ClassVar[int] = 60
    unknown_handle: ClassVar[str] = "no-such-handle"
    words: ClassVar[tuple[JobWord, ...]] = ("succeeded", "failed", "cancelled")

    def make(self, service: FakeService) -> ResourceManager:
        """A manager for the service, not opened; called several times in one test."""
        raise NotImplementedError

    @pytest.fixture
    async def manager(self, service: FakeService) -> AsyncIterator[ResourceManager]:
        """An opened manager."""
        async with self.opened(service) as manager:
            yield manager

    @contextlib.asynccontextmanager
    async def opened(self, service: FakeService) -> AsyncIterator[ResourceManager]:
        """A manager of its own, as after a restart of the engine."""
        manager = self.make(service)
        try:
            await manager.open()
            yield manager
        finally:
            await manager.close()

    def a_job(self, number: int, instance: str = "", *, payload: str = "0a1b2c3d") -> Job:
        """Job number so-and-so, each with a token of its own."""
        kind = self.task_type
        return Job(
            token=attempt_token("contract", "an-execution", "a task", attempt=number, epoch=0),
            payload_hash=payload,
            input=dict(self.input),
            task_type=kind,
            instance=instance,
            execution_id="00000000-0000-4000-8000-000000000000",
            workflow_name="a workflow",
            ref="a_task",
            attempt=number,
        )

    def an_order(self, number: int) -> InstanceOrder:
        """The order for instance number so-and-so."""
        token = attempt_token("contract", "resource", "instance", attempt=number, epoch=0)
        return InstanceOrder(token, "contract", number, "a test wants it")

    async def an_instance(self, manager: ResourceManager, service: FakeService) -> str:
        """A ready instance, "" where the resource has none."""
        if not has_instances(type(manager)):
            return ""
        handle = await manager.create(self.an_order(1))
        service.settle()
        return handle

    async def submitted(
        self, manager: ResourceManager, service: FakeService, number: int = 1
    ) -> tuple[Job, str]:
        """A job that the service has, and its handle."""
        needs_jobs(manager)
        job = self.a_job(number, await self.an_instance(manager, service))
        return job, handle_of(await manager.submit(job))

    def can(self, fault: Fault, call: Call) -> None:
        """Skip the test where the fake does not know the fault, or the call goes nowhere."""
        if fault not in self.faults or call in self.offline:
            pytest.skip(f"this service knows no fault {fault!r}")

    async def raised(
        self, service: FakeService, call: Call, fault: Fault, work: Awaitable[object]
    ) -> ServiceError:
        """What a call raises that meets this fault; no secret is in it."""
        service.fail(call, fault)
        with pytest.raises(ServiceError) as told:
            await work
        self.keeps_secrets(told.value)
        return told.value

    def keeps_secrets(self, error: ServiceError) -> None:
        """No secret is in the error, nor in what it came from."""
        chain: BaseException | None = error
        while chain is not None:
            assert [one for one in self.secrets if one in f"{chain!r} {chain}"] == []
            chain = chain.__cause__


def needs_jobs(manager: ResourceManager) -> None:
    """Skip the test where there are none."""
    if not takes_jobs(type(manager)):
        pytest.skip("the manager takes no jobs")


def needs_instances(manager: ResourceManager) -> None:
    """Skip the test where there are none."""
    if not has_instances(type(manager)):
        pytest.skip("the manager has no instances")
