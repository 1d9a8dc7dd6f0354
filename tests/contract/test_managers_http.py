"""The managers for services over HTTP keep the contract, and the rules for addresses and credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from asyncflow.ids import attempt_token
from asyncflow.managers.answers import refusal
from asyncflow.managers.http_service import HttpServiceConfig, HttpServiceManager
from asyncflow.managers.limit import LimitManager
from asyncflow.managers.workflow_server import WorkflowServerConfig, WorkflowServerManager
from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import OutcomeOpen, Rejected, Throttled
from asyncflow.plugins.jobs import Job
from asyncflow.plugins.resources import PluginConfig, ResourceContext, ResourceManager
from asyncflow.plugins.surroundings import HttpAnswer
from asyncflow.testing.faults import FakeService
from asyncflow.testing.resource_contract import ResourceManagerContract
from tests.contract.local_services import SECRET, LocalService, PlainService, WorkflowServer


def plain_manager(service: LocalService, **settings: object) -> HttpServiceManager:
    given = {
        "submit_url": f"{service.url}/jobs",
        "status_url": f"{service.url}/jobs/{{handle}}",
        "cancel_url": f"{service.url}/jobs/{{handle}}",
        "handle_path": "job.id",
        "status_path": "state",
        "output_path": "result",
        "headers": {"Authorization": SECRET},
        **settings,
    }
    return HttpServiceManager(HttpServiceConfig.model_validate(given), service.context())


class TestHttpService(ResourceManagerContract):
    input: ClassVar[JsonObject] = {"body": {"what": "report"}}
    task_type = "HTTP_JOB"
    secrets = (SECRET,)

    @pytest.fixture
    async def service(self) -> AsyncIterator[PlainService]:
        async with PlainService() as service:
            yield service

    def make(self, service: FakeService) -> HttpServiceManager:
        assert isinstance(service, PlainService)
        return plain_manager(service)


class TestWorkflowServer(ResourceManagerContract):
    input: ClassVar[JsonObject] = {"name": "w", "input": {"a": 1}}
    task_type = "REMOTE_WORKFLOW"
    secrets = (SECRET,)

    @pytest.fixture
    async def service(self) -> AsyncIterator[WorkflowServer]:
        async with WorkflowServer() as service:
            yield service

    def make(self, service: FakeService) -> WorkflowServerManager:
        assert isinstance(service, WorkflowServer)
        given = {"url": f"{service.url}/api/", "headers": {"X-Authorization": SECRET}}
        return WorkflowServerManager(WorkflowServerConfig.model_validate(given), service.context())

    async def test_mark_is_on_the_job_and_found(self, manager: ResourceManager, service: FakeService) -> None:
        """The whole mark is the correlation id, so another payload is no match: it is looked for alone."""
        job, handle = await self.submitted(manager, service)

        assert [(one.handle, one.mark) for one in await manager.find(job, 0)] == [(handle, job.mark)]


class TestLimit(ResourceManagerContract):
    @pytest.fixture
    async def service(self) -> AsyncIterator[PlainService]:
        async with PlainService() as service:
            yield service

    def make(self, service: FakeService) -> LimitManager:
        return LimitManager(PluginConfig(), ResourceContext("printer"))


def a_job(number: int = 1) -> Job:
    token = attempt_token("i", "e", "r", attempt=number, epoch=0)
    return Job(token, "01234567", {"body": {"a": 1}}, "HTTP_JOB", callback_url="http://me/callback")


async def test_credentials_go_to_one_origin_only() -> None:
    async with PlainService() as service, PlainService() as other:
        manager = plain_manager(service, status_url="")
        await manager.submit(a_job())
        await manager.poll("", [f"{other.url}/jobs/1"])

        assert service.seen[0].headers["Authorization"] == SECRET
        assert "Authorization" not in other.seen[0].headers


async def test_callback_is_told_where_it_is_asked_for() -> None:
    async with PlainService() as service:
        await plain_manager(service, callback_key="notify").submit(a_job())
        (made,) = service.made.values()

        assert made["body"] == {"a": 1, "notify": "http://me/callback"}


async def test_address_of_an_own_network_is_refused() -> None:
    async with PlainService() as service:
        manager = plain_manager(service, submit_url="http://169.254.169.254/latest", status_url="")
        with pytest.raises(Rejected, match="refused") as told:
            await manager.submit(a_job())

        assert told.value.is_final


async def test_a_job_that_cannot_be_looked_at_hides_none_of_the_others() -> None:
    async with PlainService() as service:
        manager = plain_manager(service)
        handles = [str(await manager.submit(a_job(number))) for number in range(1, 4)]
        for handle in handles:
            service.end_job(handle, "succeeded")
        service.fail("poll", "broken")
        told = await manager.poll("", handles)
        again = await manager.poll("", handles)

    assert sorted(each.word for each in told.values()) == ["succeeded", "succeeded", "unheard"]
    assert [each.word for each in again.values()] == ["succeeded"] * 3


async def test_polls_stop_at_the_first_answer_that_says_too_many() -> None:
    async with PlainService() as service:
        manager = plain_manager(service, polls_at_once=1)
        handles = [str(await manager.submit(a_job(number))) for number in range(1, 6)]
        service.fail("poll", "throttled", skip=1)
        with pytest.raises(Throttled):
            await manager.poll("", handles)

        assert service.faults.calls["poll"] == 2


async def test_a_key_that_is_under_way_elsewhere_is_no_refusal() -> None:
    """As the draft of `Idempotency-Key` has it: the first request with this key is still being done."""
    async with PlainService() as service:
        service.conflicts = 1
        with pytest.raises(OutcomeOpen):
            await plain_manager(service).submit(a_job())
        service.conflicts = 1
        with pytest.raises(Rejected):
            await plain_manager(service, conflict="refused").submit(a_job())


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("7", 7.0),
        ("Sat, 21 Nov 2026 10:01:30 GMT", 90.0),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0.0),
        ("soon", 0.0),
        ("", 0.0),
        ("9" * 400, 999_999_999.0),
    ],
)
def test_a_throttling_service_is_left_alone_for_as_long_as_it_asks(told: str, seconds: float) -> None:
    headers = {"retry-after": told, "date": "Sat, 21 Nov 2026 10:00:00 GMT"}
    error = refusal(HttpAnswer(429, headers, b""))

    assert isinstance(error, Throttled)
    assert error.retry_after_s == seconds
