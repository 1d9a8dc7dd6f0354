"""The managers for services over HTTP keep the contract, and the rules for addresses and credentials."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

import pytest

from asyncflow.ids import attempt_token
from asyncflow.managers.http_service import HttpServiceConfig, HttpServiceManager
from asyncflow.managers.limit import LimitManager
from asyncflow.managers.workflow_server import WorkflowServerConfig, WorkflowServerManager
from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import Rejected
from asyncflow.plugins.jobs import Job
from asyncflow.plugins.resources import PluginConfig, ResourceContext, ResourceManager
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


def a_job(**changes: object) -> Job:
    token = attempt_token("i", "e", "r", attempt=1, epoch=0)
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
