"""Checklist, time: C78, C131 and C134 on virtual time, each against the numbers of its rule."""

from __future__ import annotations

from itertools import pairwise

import pytest

from asyncflow.model.statuses import COMPLETED, FAILED, TIMED_OUT
from asyncflow.testing.kit import run_definition
from asyncflow.testing.outcomes import Outcome
from asyncflow.testing.runs import TestRun
from tests.integration.hostile import Json, task, workflow


def gaps(run: TestRun, ref: str = "t") -> list[float]:
    """Seconds from the end of each attempt to the begin of the next."""
    attempts = run.attempts(ref)
    return [(later.started or 0) - (earlier.ended or 0) for earlier, later in pairwise(attempts)]


async def failing(**policy: object) -> TestRun:
    body = workflow(task(ref="t", taskDefinition={"name": "t", **policy}))
    return await run_definition(body, outcomes={"t": [Outcome.fail()] * 12})


async def test_c78_explicit_list_waits_five_minutes_then_ten_then_gives_up() -> None:
    run = await failing(retryCount=2, asyncflow={"retryDelays": [300, 600]})

    assert gaps(run) == [300, 600]
    assert (run.status, len(run.attempts("t"))) == (FAILED, 3)
    assert run.duration == 900


async def test_c78_last_entry_of_the_list_holds_for_all_further_attempts() -> None:
    definition = {"name": "t", "asyncflow": {"retryDelays": [1, 2]}}
    body = workflow(task(ref="t", retryCount=4, taskDefinition=definition))
    run = await run_definition(body, outcomes={"t": [Outcome.fail()] * 5})

    assert gaps(run) == [1, 2, 2, 2]


async def test_c78_success_ends_the_retries() -> None:
    body = workflow(
        task(ref="t", taskDefinition={"name": "t", "retryCount": 2, "asyncflow": {"retryDelays": [300, 600]}})
    )
    run = await run_definition(body, outcomes={"t": [Outcome.fail(), Outcome.complete({"n": 1})]})

    assert (run.status, run.duration) == (COMPLETED, 300)


RETRIES: list[tuple[Json, list[float]]] = [
    ({"retryLogic": "FIXED", "retryDelaySeconds": 7}, [7, 7, 7, 7]),
    ({"retryLogic": "FIXED", "retryDelaySeconds": 0}, [0, 0, 0, 0]),
    ({"retryLogic": "LINEAR_BACKOFF", "retryDelaySeconds": 5, "backoffScaleFactor": 1}, [5, 10, 15, 20]),
    ({"retryLogic": "LINEAR_BACKOFF", "retryDelaySeconds": 5, "backoffScaleFactor": 3}, [15, 30, 45, 60]),
    ({"retryLogic": "EXPONENTIAL_BACKOFF", "retryDelaySeconds": 5}, [5, 10, 20, 40]),
    (
        {"retryLogic": "EXPONENTIAL_BACKOFF", "retryDelaySeconds": 5, "maxRetryDelaySeconds": 12},
        [5, 10, 12, 12],
    ),
]


@pytest.mark.parametrize(("policy", "expected"), RETRIES)
async def test_c131_delays_follow_their_formula(policy: Json, expected: list[float]) -> None:
    run = await failing(retryCount=4, **policy)

    assert gaps(run) == expected
    assert run.status == FAILED


async def test_c131_jitter_lies_between_nothing_and_its_bound() -> None:
    run = await failing(retryCount=10, retryLogic="FIXED", retryDelaySeconds=10, backoffJitterMs=5_000)

    assert all(10 <= gap <= 15 for gap in gaps(run))
    assert len(set(gaps(run))) > 3


async def test_c131_no_retries_means_one_attempt() -> None:
    assert len((await failing(retryCount=0)).attempts("t")) == 1


TIMEOUTS: list[tuple[str, Json, Outcome, float]] = [
    ("poll", {"pollTimeoutSeconds": 20}, Outcome.not_taken(), 20),
    ("response", {"responseTimeoutSeconds": 30, "timeoutSeconds": 300}, Outcome.never(), 30),
    ("task", {"timeoutSeconds": 40, "responseTimeoutSeconds": 40}, Outcome.delayed(5_000, heartbeat=5), 40),
]
IDS = [kind for kind, *_ in TIMEOUTS]


async def timed(fields: Json, policy: str, outcome: Outcome, **more: object) -> TestRun:
    definition = {"name": "t", "retryCount": 0, "responseTimeoutSeconds": 0, **fields, **more}
    body = workflow(task(ref="t", taskDefinition={**definition, "timeoutPolicy": policy}))
    outcomes = {"t": [outcome, Outcome.complete({"n": 1})]}
    return await run_definition(body, outcomes=outcomes, until=1_000, on_unanswered="wait")


@pytest.mark.parametrize(("kind", "fields", "outcome", "after"), TIMEOUTS, ids=IDS)
async def test_c134_policy_time_out_wf_ends_the_workflow(
    kind: str, fields: Json, outcome: Outcome, after: float
) -> None:
    run = await timed(fields, "TIME_OUT_WF", outcome, retryCount=3)

    if kind == "response":  # a lost worker is replaced under every policy, as in Conductor
        assert (run.status, run.duration) == (COMPLETED, after + 60)
    else:
        assert (run.status, run.duration) == (TIMED_OUT, after)
        assert run.task("t").status == TIMED_OUT


@pytest.mark.parametrize(("kind", "fields", "outcome", "after"), TIMEOUTS, ids=IDS)
async def test_c134_policy_retry_tries_again_after_the_delay(
    kind: str, fields: Json, outcome: Outcome, after: float
) -> None:
    run = await timed(fields, "RETRY", outcome, retryCount=1, retryDelaySeconds=6)

    assert (run.status, run.duration) == (COMPLETED, after + 6)
    assert [attempt.status for attempt in run.attempts("t")] == [TIMED_OUT, COMPLETED]


@pytest.mark.parametrize(("kind", "fields", "outcome", "after"), TIMEOUTS, ids=IDS)
async def test_c134_policy_alert_only_changes_nothing(
    kind: str, fields: Json, outcome: Outcome, after: float
) -> None:
    run = await timed(fields, "ALERT_ONLY", outcome)

    if kind == "response":
        assert run.status != "RUNNING"
    else:
        assert (run.status, run.duration) == ("RUNNING", 1_000)


async def test_c134_heartbeats_hold_the_response_timeout_off() -> None:
    fields: Json = {"responseTimeoutSeconds": 10, "timeoutSeconds": 0}
    outcome = Outcome.delayed(100, Outcome.complete({"n": 1}), heartbeat=5)

    assert (await timed(fields, "RETRY", outcome)).duration == 100


async def test_c134_workflow_timeout_ends_it() -> None:
    body = workflow(task("HUMAN", "h"), timeoutSeconds=50, timeoutPolicy="TIME_OUT_WF")
    run = await run_definition(body, until=1_000, on_unanswered="wait")

    assert (run.status, run.duration) == (TIMED_OUT, 50)
