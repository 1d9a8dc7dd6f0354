"""The manager of EMR Serverless keeps the contract, and what the contract does not ask."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
from asyncflow_emr_serverless import EmrServerlessManager

from asyncflow.ids import attempt_token
from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import OutcomeOpen
from asyncflow.plugins.jobs import Job
from asyncflow.testing.emr_serverless import ServerlessEndpoint
from asyncflow.testing.faults import FakeService
from asyncflow.testing.made import SECRET, made_of
from asyncflow.testing.resource_contract import ResourceManagerContract

NOW_MS = 1_800_000_000_000


def the_manager(url: str, application: object = "00f1abcdefghijkl") -> EmrServerlessManager:
    logs = {"monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": "s3://b/l/"}}}
    role = "arn:aws:iam::123456789012:role/emr-runtime"
    keys = {"region": "eu-central-1", "access_key": "AKTEST", "secret_key": SECRET, "endpoint_url": url}
    given = {"application": application, "role": role, "overrides": logs, **keys}
    return made_of(EmrServerlessManager, given)


class TestEmrServerless(ResourceManagerContract):
    """Job runs."""

    input: ClassVar[JsonObject] = {"entry_point": "s3://b/report.py", "args": ["--day", "1"]}
    task_type = "EMR_SERVERLESS_JOB"
    secrets = (SECRET,)
    page = 5
    unknown_handle = "00f9999999999999"

    @pytest.fixture
    async def service(self) -> AsyncIterator[ServerlessEndpoint]:
        async with ServerlessEndpoint(lambda: NOW_MS, page=self.page) as endpoint:
            yield endpoint

    def make(self, service: FakeService) -> EmrServerlessManager:
        assert isinstance(service, ServerlessEndpoint)
        return the_manager(service.url)


@pytest.fixture
async def aws() -> AsyncIterator[ServerlessEndpoint]:
    async with ServerlessEndpoint(lambda: NOW_MS) as endpoint:
        yield endpoint


@pytest.fixture
async def manager(aws: ServerlessEndpoint) -> AsyncIterator[EmrServerlessManager]:
    made = the_manager(aws.url)
    await made.open()
    yield made
    await made.close()


def job(number: int) -> Job:
    token = attempt_token("i", "e", "r", attempt=number, epoch=0)
    return Job(token, "01234567", {"entry_point": "x", "timeout_minutes": 7}, "EMR_SERVERLESS_JOB")


async def test_polls_of_many_cost_pages_and_one_call_for_each_end(
    manager: EmrServerlessManager, aws: ServerlessEndpoint
) -> None:
    runs = [await manager.submit(job(number)) for number in range(1, 201)]
    for run in runs[:3]:
        aws.end_job(run, "succeeded")
    aws.faults.calls.clear()
    told = await manager.poll("", runs)

    assert [told[run].word for run in runs[:4]] == ["succeeded"] * 3 + ["running"]
    assert aws.faults.calls == {"ListJobRuns": 4, "GetJobRun": 3}


async def test_run_is_looked_for_by_its_mark_once_the_token_may_be_forgotten(
    manager: EmrServerlessManager, aws: ServerlessEndpoint
) -> None:
    aws.fail("submit", "cut_after")
    with pytest.raises(OutcomeOpen):
        await manager.submit(job(1))
    aws.end_job(next(iter(aws.runs)), "succeeded")
    (found,) = await manager.find(job(1), NOW_MS)

    assert (found.handle, found.mark, found.is_open) == (next(iter(aws.runs)), job(1).mark, False)
    assert list(await manager.find(job(1), NOW_MS + 3_600_000)) == []


async def test_what_is_asked_is_what_the_task_says(
    manager: EmrServerlessManager, aws: ServerlessEndpoint
) -> None:
    run = aws.runs[await manager.submit(job(1))]

    assert run.asked["executionTimeoutMinutes"] == 7
    assert run.asked["jobDriver"] == {"sparkSubmit": {"entryPoint": "x", "entryPointArguments": []}}
    assert run.asked["configurationOverrides"]


async def test_moto_understands_what_is_asked() -> None:
    """Another's fake takes the same requests: the shapes are the service's, not ours."""
    server = pytest.importorskip("moto.server")
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        made = the_manager(f"http://{host}:{port}")
        await made.open()
        answer = await made.call(
            "create_application", releaseLabel="emr-7.9.0", type="SPARK", clientToken="x"
        )
        await made.close()
        other = the_manager(f"http://{host}:{port}", answer["applicationId"])
        await other.open()
        run = await other.submit(job(1))

        assert [one.handle for one in await other.find(job(1), 0)] == [run]
        assert list(await other.poll("", [run])) == [run]
        await other.cancel("", run)
        await other.close()
    finally:
        moto.stop()
