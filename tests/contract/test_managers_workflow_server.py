"""Workflows of another server are jobs: against a real `asyncflow serve`, known as one and not."""

from __future__ import annotations

import dataclasses
import json
import urllib.request
from collections.abc import AsyncIterator, Iterator
from itertools import count
from typing import ClassVar, Literal
from urllib.parse import quote

import pytest

from asyncflow.managers.workflow_server import (
    AsyncflowServerManager,
    WorkflowServerConfig,
    WorkflowServerManager,
)
from asyncflow.plugins.errors import Duplicate
from asyncflow.plugins.jobs import Job, JobWord
from asyncflow.testing.faults import Call, FakeService
from asyncflow.testing.resource_contract import ResourceManagerContract
from tests.cli.making import task, workflow
from tests.contract.cutting_proxy import CuttingProxy
from tests.http.test_processes import serve

_NUMBERS = count(1)
STATES: dict[JobWord, str] = {"succeeded": "COMPLETED", "failed": "FAILED_WITH_TERMINAL_ERROR"}


class RealServer(CuttingProxy):
    """The server behind its proxy, for one workflow; what it is asked here does not pass the proxy."""

    def __init__(self, target: str) -> None:
        super().__init__(target, call_of)
        self.name = f"waits{next(_NUMBERS)}"
        body = workflow(task("wait", "WAIT", inputParameters={"duration": "1 hours"}), name=self.name)
        self.ask("POST", "/metadata/workflow", body)

    def ask(self, method: str, path: str, body: object = None) -> object:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.target}/api{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            told = answer.read()
        return json.loads(told) if told.startswith((b"{", b"[")) else told.decode()

    def jobs(self, token: str) -> int:
        marks = [f"{token}-{payload}" for payload in ("0a1b2c3d", "ffffffff")]
        paths = [f"/workflow/{self.name}/correlated/{each}?includeClosed=true" for each in marks]
        listed = [self.ask("GET", path) for path in paths]
        return sum(len(each) for each in listed if isinstance(each, list))

    def instances(self, token: str) -> int:
        return 0

    def end_job(self, handle: str, word: JobWord) -> None:
        if word == "cancelled":
            self.ask("DELETE", f"/workflow/{handle}")
        else:
            self.ask("POST", f"/tasks/{handle}/{quote('wait')}/{STATES[word]}", {})

    def settle(self) -> None:
        pass


def call_of(method: str, path: str) -> Call:
    if method == "GET":
        return "find" if "/correlated/" in path else "poll"
    return "submit" if method == "POST" else "cancel"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(tmp_path_factory.mktemp("served")) as (_, url):
        yield url


class OfARealServer(ResourceManagerContract):
    """What both kinds promise."""

    server: ClassVar[Literal["asyncflow", "conductor"]]
    task_type = "REMOTE_WORKFLOW"
    many = 8

    @pytest.fixture
    async def service(self, server: str) -> AsyncIterator[RealServer]:
        async with RealServer(server) as service:
            self.workflow = service.name
            yield service

    def a_job(self, number: int, instance: str = "", *, payload: str = "0a1b2c3d") -> Job:
        made = super().a_job(number, instance, payload=payload)
        return dataclasses.replace(made, input={"name": self.workflow, "input": {"a": 1}})

    def make(self, service: FakeService) -> WorkflowServerManager:
        assert isinstance(service, RealServer)
        config = WorkflowServerConfig.model_validate({"url": f"{service.url}/api", "server": self.server})
        return WorkflowServerManager(config, service.context())


class TestTakenForAsyncflow(OfARealServer):
    server = "asyncflow"

    async def test_token_with_another_payload_is_no_second_job(self, service: RealServer) -> None:
        async with self.opened(service) as manager:
            assert isinstance(manager, AsyncflowServerManager)
            await manager.submit(self.a_job(1))
            other = self.a_job(1, payload="ffffffff")
            with pytest.raises(Duplicate):
                await manager.submit(other)

        assert service.jobs(other.token) == 1


class TestTakenForAny(OfARealServer):
    server = "conductor"

    async def test_mark_is_on_the_job_and_found(self, service: RealServer) -> None:  # type: ignore[override]
        """The whole mark is the correlation id: another payload is another id, and is looked for alone."""
        async with self.opened(service) as manager:
            job, handle = await self.submitted(manager, service)
            before = await manager.find(job, 0)
            service.end_job(handle, "succeeded")
            after = await manager.find(job, 0)

        assert [(one.handle, one.mark, one.is_open) for one in before] == [(handle, job.mark, True)]
        assert [(one.handle, one.mark, one.is_open) for one in after] == [(handle, job.mark, False)]
