"""What the contract does not ask: names, foreign steps, clusters that go, errors in EMR's words, moto."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from asyncflow_emr import EmrManager
from botocore.exceptions import ClientError

from asyncflow.ids import attempt_token
from asyncflow.model.values import JsonObject
from asyncflow.plugins import marks
from asyncflow.plugins.errors import (
    CredentialsRefused,
    InstanceGone,
    OutcomeOpen,
    Rejected,
    ServiceError,
    Throttled,
)
from asyncflow.plugins.jobs import InstanceOrder, Job
from asyncflow.testing.aws import AwsEndpoint
from asyncflow.testing.emr_service import Emr
from asyncflow.testing.faults import Fault
from asyncflow.testing.made import SECRET, made_of


def local_manager(url: str, **settings: object) -> EmrManager:
    keys = {"access_key": "AKTEST", "secret_key": SECRET}
    return made_of(EmrManager, {"region": "eu-central-1", "endpoint_url": url, **keys, **settings})


ORDER = InstanceOrder(attempt_token("i", "r", "x", attempt=1, epoch=0), "r", 1)


class Clock:
    """Milliseconds that tests turn."""

    def __init__(self) -> None:
        self.at_ms = 1_800_000_000_000

    def __call__(self) -> int:
        return self.at_ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def aws(clock: Clock) -> AsyncIterator[AwsEndpoint]:
    async with AwsEndpoint(Emr(clock)) as endpoint:
        yield endpoint


@pytest.fixture
async def manager(aws: AwsEndpoint) -> AsyncIterator[EmrManager]:
    made = local_manager(aws.url)
    await made.open()
    yield made
    await made.close()


def job(number: int, instance: str) -> Job:
    token = attempt_token("i", "e", "r", attempt=number, epoch=0)
    return Job(token, "01234567", {"args": ["x"]}, "EMR_STEP", instance, workflow_name="w", ref="r")


def test_names_keep_the_mark_whatever_stands_before_it() -> None:
    long = Job("a" * 32, "01234567", {}, "EMR_STEP")
    name = marks.marked("ü\n" * 300, long.mark, "installation")

    assert len(name) <= 256
    assert marks.mark_in(name) == long.mark
    assert marks.owner_in(name) == marks.owner("installation") != marks.owner("other")


async def test_cluster_with_steps_of_others_is_busy(manager: EmrManager, aws: AwsEndpoint) -> None:
    handle = await manager.create(ORDER)
    await manager.submit(job(1, handle))
    mine = await manager.check(handle)
    aws.emr.perform("AddJobFlowSteps", {"JobFlowId": handle, "Steps": [{"Name": "theirs"}]})
    shared = await manager.check(handle)

    assert (mine.word, shared.word) == ("ready", "busy")
    assert shared.facts["foreign"] == ["theirs"]


async def test_cluster_is_protected_until_it_is_destroyed(manager: EmrManager, aws: AwsEndpoint) -> None:
    handle = await manager.create(ORDER)
    cluster = aws.emr.clusters[handle]

    assert cluster.is_protected
    assert {"Key": "asyncflow-token", "Value": ORDER.token} in cluster.tags
    await manager.destroy(handle)
    assert [one.what for one in aws.emr.truth] == [
        "RunJobFlow", "SetTerminationProtection", "TerminateJobFlows",
    ]  # fmt: skip


async def test_steps_that_went_with_their_cluster_are_to_run_elsewhere(
    manager: EmrManager, aws: AwsEndpoint
) -> None:
    handle = await manager.create(ORDER)
    done, taken = [await manager.submit(job(n, handle)) for n in (1, 2)]
    aws.end_job(done, "succeeded")
    aws.emr.lose(handle)

    told = await manager.poll(handle, [done, taken])
    assert {one: status.word for one, status in told.items()} == {done: "succeeded"}
    with pytest.raises(InstanceGone):
        await manager.poll(handle, [taken])


async def test_step_cancelled_on_a_living_cluster_is_cancelled(manager: EmrManager) -> None:
    handle = await manager.create(ORDER)
    step = await manager.submit(job(1, handle))
    await manager.cancel(handle, step)

    assert (await manager.poll(handle, [step]))[step].word == "cancelled"


@pytest.mark.scenario("R77")
async def test_polls_of_many_steps_cost_pages_not_calls_each(manager: EmrManager, aws: AwsEndpoint) -> None:
    handle = await manager.create(ORDER)
    steps = [await manager.submit(job(n, handle)) for n in range(1, 201)]
    aws.faults.calls.clear()
    told = await manager.poll(handle, steps)

    assert len(told) == 200
    assert aws.faults.calls["ListSteps"] == 4


@pytest.mark.scenario("R85")
@pytest.mark.parametrize("fault", ["broken", "cut_before", "cut_after", "throttled"])
async def test_a_step_is_sent_once_whatever_becomes_of_it(
    manager: EmrManager, aws: AwsEndpoint, fault: Fault
) -> None:
    """The SDK would send it again by itself; at the wire there is one request."""
    handle = await manager.create(ORDER)
    aws.fail("submit", fault)
    with pytest.raises(ServiceError):
        await manager.submit(job(1, handle))

    assert aws.faults.calls["AddJobFlowSteps"] == 1


async def test_look_up_stops_at_steps_older_than_the_intent(
    manager: EmrManager, aws: AwsEndpoint, clock: Clock
) -> None:
    handle = await manager.create(ORDER)
    for number in range(1, 121):
        await manager.submit(job(number, handle))
    clock.at_ms += 3_600_000
    since_ms = clock.at_ms
    await manager.submit(job(500, handle))
    aws.faults.calls.clear()

    assert len(await manager.find(job(500, handle), since_ms)) == 1
    assert aws.faults.calls["ListSteps"] == 1


async def test_step_is_found_once_the_listing_shows_it(aws: AwsEndpoint, clock: Clock) -> None:
    aws.emr.timing = aws.emr.timing._replace(lag=5.0)
    manager = local_manager(aws.url)
    await manager.open()
    handle = await manager.create(ORDER)
    await manager.submit(job(1, handle))
    early = await manager.find(job(1, handle), 0)
    clock.at_ms += 5_000

    assert list(early) == []
    assert len(await manager.find(job(1, handle), 0)) == 1
    assert manager.listing_lag >= 5.0
    await manager.close()


@pytest.mark.parametrize(
    ("code", "message", "status", "kind"),
    [
        ("ThrottlingException", "Rate exceeded", 400, Throttled),
        ("ValidationException", "Maximum number of active steps for cluster exceeded.", 400, Throttled),
        ("ExpiredTokenException", "secret", 400, CredentialsRefused),
        ("Anything", "x", 403, CredentialsRefused),
        ("ValidationException", "Cluster id 'j-1' is not valid.", 400, InstanceGone),
        ("ValidationException", "is shutting down, terminated, or finished", 400, InstanceGone),
        ("ValidationException", "no such release", 400, Rejected),
        ("InternalFailure", "x", 500, OutcomeOpen),
        ("", "", 200, OutcomeOpen),
    ],
)  # fmt: skip
def test_errors_mean_what_was_done(code: str, message: str, status: int, kind: type[ServiceError]) -> None:
    told = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    error = local_manager("http://127.0.0.1:1")._refusal(ClientError(told, "AddJobFlowSteps"))

    assert isinstance(error, kind)
    assert "secret" not in str(error)


async def test_a_request_that_is_not_valid_tells_the_field_and_no_value(aws: AwsEndpoint) -> None:
    cluster = {"Instances": {"InstanceCount": "hush, type: hush"}, "Fleet": 1}
    manager = local_manager(aws.url, cluster=cluster)
    await manager.open()
    with pytest.raises(Rejected) as told:
        await manager.create(ORDER)
    await manager.close()

    assert told.value.is_final
    assert "Instances.InstanceCount" in told.value.reason
    assert "hush" not in told.value.reason


async def test_a_cluster_that_goes_while_it_is_looked_at_is_gone(
    manager: EmrManager, aws: AwsEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = await manager.create(ORDER)
    perform = aws.emr.perform

    def goes(operation: str, given: JsonObject) -> JsonObject:
        if operation == "ListSteps":
            del aws.emr.clusters[handle]
        return perform(operation, given)

    monkeypatch.setattr(aws.emr, "perform", goes)

    assert (await manager.check(handle)).word == "gone"


async def test_moto_understands_what_is_asked() -> None:
    """Another's fake takes the same requests: the shapes are EMR's, not ours."""
    server = pytest.importorskip("moto.server")
    moto = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        manager = local_manager(f"http://{host}:{port}")
        await manager.open()
        handle = await manager.create(ORDER)
        step = await manager.submit(job(1, handle))

        assert [one.handle for one in await manager.find_instance(ORDER, 0)] == [handle]
        assert [one.handle for one in await manager.find(job(1, handle), 0)] == [step]
        assert list(await manager.poll(handle, [step])) == [step]
        assert (await manager.check(handle)).word == "ready"
        await manager.destroy(handle)
        assert (await manager.check(handle)).word == "gone"
        await manager.close()
    finally:
        moto.stop()
