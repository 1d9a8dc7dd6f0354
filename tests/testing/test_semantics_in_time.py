"""Retries, timeouts, waits and pauses at their virtual times, through the real engine.

The law: what `semantics.md` of the reference says of delays and deadlines holds to the
millisecond, whoever performs the task.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest

import asyncflow as af
from asyncflow.model.values import JsonObject
from asyncflow.testing.kit import VirtualEngine, run_definition
from asyncflow.testing.outcomes import Outcome
from asyncflow.testing.runs import TestRun

FAIL = Outcome.fail("boom")
HTTP: JsonObject = {"http_request": {"uri": "http://service.invalid/", "method": "GET"}}


def workflow(*tasks: JsonObject, **fields: object) -> JsonObject:
    return {"name": "timed", "version": 1, "schemaVersion": 2, "tasks": list(tasks), **fields}


def simple(
    ref: str = "a",
    *,
    on: str = "SIMPLE",
    definition: JsonObject | None = None,
    fields: JsonObject | None = None,
) -> JsonObject:
    """A task whose definition grants no retry unless the case says so, by a number or by a list."""
    shared: JsonObject = {"name": ref, "responseTimeoutSeconds": 0, **(definition or {})}
    if "asyncflow" not in shared:
        shared.setdefault("retryCount", 0)
    given = HTTP if on == "HTTP" else {}
    return {
        "name": ref, "taskReferenceName": ref, "type": on, "inputParameters": given,
        "taskDefinition": shared, **(fields or {}),
    }  # fmt: skip


def wait(given: JsonObject | None = None, ref: str = "w") -> JsonObject:
    return {"name": ref, "taskReferenceName": ref, "type": "WAIT", "inputParameters": given or {}}


def starts(run: TestRun, ref: str = "a") -> list[float | None]:
    return [task.started for task in run.attempts(ref)]


# --- retries ------------------------------------------------------------------------------------


class Retries(NamedTuple):
    """A task that always fails: when its attempts start, in seconds."""

    policy: JsonObject
    starts: list[float]
    task: JsonObject = {}  # noqa: RUF012 - of a named tuple, never changed


RETRIES = {
    "fixed": Retries({"retryCount": 3, "retryDelaySeconds": 5}, [0, 5, 10, 15]),
    "fixed, capped": Retries(
        {"retryCount": 2, "retryDelaySeconds": 10, "maxRetryDelaySeconds": 4}, [0, 4, 8]
    ),
    "no delay": Retries({"retryCount": 2, "retryDelaySeconds": 0}, [0, 0, 0]),
    "none": Retries({"retryCount": 0}, [0]),
    "linear": Retries(
        {"retryCount": 3, "retryLogic": "LINEAR_BACKOFF", "retryDelaySeconds": 2}, [0, 2, 6, 12]
    ),
    "linear, scaled": Retries(
        {
            "retryCount": 2, "retryLogic": "LINEAR_BACKOFF", "retryDelaySeconds": 2,
            "backoffScaleFactor": 3,
        },
        [0, 6, 18],
    ),
    "exponential": Retries(
        {"retryCount": 3, "retryLogic": "EXPONENTIAL_BACKOFF", "retryDelaySeconds": 1}, [0, 1, 3, 7]
    ),
    "exponential, capped": Retries(
        {
            "retryCount": 3, "retryLogic": "EXPONENTIAL_BACKOFF", "retryDelaySeconds": 2,
            "maxRetryDelaySeconds": 3,
        },
        [0, 2, 5, 8],
    ),
    "listed": Retries({"asyncflow": {"retryDelays": [300, 600]}}, [0, 300, 900]),
    "listed, fractions": Retries({"asyncflow": {"retryDelays": [0.5, 0.25]}}, [0, 0.5, 0.75]),
    "listed, the last repeats": Retries(
        {"asyncflow": {"retryDelays": [300, 600]}}, [0, 300, 900, 1500], {"retryCount": 3}
    ),
    "listed, counted": Retries(
        {"retryCount": 4, "asyncflow": {"retryDelays": [1, 2]}}, [0, 1, 3, 5, 7]
    ),
    "listed, fewer counted": Retries({"retryCount": 1, "asyncflow": {"retryDelays": [1, 2]}}, [0, 1]),
    "listed, counted as by default": Retries(
        {"retryCount": 3, "asyncflow": {"retryDelays": [1]}}, [0, 1, 2, 3]
    ),
    "listed by the task": Retries(
        {"retryCount": 5}, [0, 1, 3], {"asyncflow": {"retryDelays": [1, 2]}}
    ),
    "listed by the task, counted there": Retries(
        {"retryCount": 5}, [0, 1, 3, 5], {"retryCount": 3, "asyncflow": {"retryDelays": [1, 2]}}
    ),
    "count of the task": Retries({"retryCount": 5, "retryDelaySeconds": 1}, [0, 1], {"retryCount": 1}),
}  # fmt: skip


@pytest.mark.parametrize("kind", ["SIMPLE", "HTTP"])
@pytest.mark.parametrize("case", RETRIES.values(), ids=RETRIES.keys())
async def test_attempts_start_when_the_policy_says(case: Retries, kind: str) -> None:
    task = simple(on=kind, definition=case.policy, fields=case.task)
    run = await run_definition(workflow(task), outcomes={"a": FAIL})

    assert starts(run) == case.starts
    assert (run.status, run.duration) == ("FAILED", case.starts[-1])
    assert "boom" in (run.reason or "")


@pytest.mark.parametrize("case", RETRIES.values(), ids=RETRIES.keys())
async def test_functions_of_this_process_are_retried_at_the_same_times(case: Retries) -> None:
    @af.task(name="a")
    async def always_failing() -> None:
        raise af.TaskFailed("boom")

    task = simple(definition=case.policy, fields=case.task)
    run = await run_definition(workflow(task), tasks=[always_failing])

    assert starts(run) == case.starts
    assert run.status == "FAILED"


async def test_delay_counts_from_the_end_of_the_attempt() -> None:
    slow_failure = Outcome.delayed(3, FAIL)
    policy: JsonObject = {"retryCount": 2, "retryDelaySeconds": 5}
    run = await run_definition(
        workflow(simple(definition=policy)), outcomes={"a": [slow_failure, slow_failure, {"ok": True}]}
    )

    assert [(task.started, task.ended) for task in run.attempts("a")] == [(0, 3), (8, 11), (16, 16)]
    assert (run.status, run.output) == ("COMPLETED", {"ok": True})


async def test_terminal_failure_is_not_retried() -> None:
    policy: JsonObject = {"retryCount": 5, "retryDelaySeconds": 5}
    run = await run_definition(
        workflow(simple(definition=policy)), outcomes={"a": Outcome.fail_terminally("no such account")}
    )

    assert starts(run) == [0]
    assert run.task("a").status == "FAILED_WITH_TERMINAL_ERROR"


async def test_jitter_is_added_to_the_delay_and_no_more_than_allowed() -> None:
    policy: JsonObject = {"retryCount": 20, "retryDelaySeconds": 2, "backoffJitterMs": 500}
    run = await run_definition(workflow(simple(definition=policy)), outcomes={"a": FAIL})
    times = [time for time in starts(run) if time is not None]
    delays = [round(after - before, 3) for before, after in pairwise(times)]

    assert len(delays) == 20
    assert all(2 <= delay <= 2.5 for delay in delays)
    assert len(set(delays)) > 1


# --- timeouts -----------------------------------------------------------------------------------


class Timeout(NamedTuple):
    """What one attempt after another does, and when and how each and the execution end."""

    policy: JsonObject
    outcomes: list[Outcome]
    ends: list[tuple[str, float | None]]
    status: str
    fields: JsonObject = {}  # noqa: RUF012 - of a named tuple, never changed


NEVER = Outcome.never()
TIMEOUTS = {
    "task, retried": Timeout(
        {"timeoutSeconds": 10, "timeoutPolicy": "RETRY", "retryCount": 1, "retryDelaySeconds": 5},
        [NEVER], [("TIMED_OUT", 10), ("TIMED_OUT", 25)], "TIMED_OUT",
    ),
    "task, second attempt in time": Timeout(
        {"timeoutSeconds": 10, "timeoutPolicy": "RETRY", "retryCount": 1, "retryDelaySeconds": 5},
        [NEVER, Outcome.delayed(9)], [("TIMED_OUT", 10), ("COMPLETED", 24)], "COMPLETED",
    ),
    "task, ends the workflow": Timeout(
        {"timeoutSeconds": 10, "timeoutPolicy": "TIME_OUT_WF", "retryCount": 3},
        [NEVER], [("TIMED_OUT", 10)], "TIMED_OUT",
    ),
    "task, alert only": Timeout(
        {"timeoutSeconds": 10, "timeoutPolicy": "ALERT_ONLY"},
        [Outcome.delayed(30)], [("COMPLETED", 30)], "COMPLETED",
    ),
    "task, a moment before": Timeout(
        {"timeoutSeconds": 10, "timeoutPolicy": "TIME_OUT_WF"},
        [Outcome.delayed(9.999)], [("COMPLETED", 9.999)], "COMPLETED",
    ),
    "response, silent worker": Timeout(
        {"responseTimeoutSeconds": 5, "retryCount": 1, "retryDelaySeconds": 1},
        [NEVER], [("TIMED_OUT", 5), ("TIMED_OUT", 11)], "TIMED_OUT",
    ),
    "response, signs of life": Timeout(
        {"responseTimeoutSeconds": 5},
        [Outcome.delayed(12, heartbeat=4)], [("COMPLETED", 12)], "COMPLETED",
    ),
    "response, signs of life too rare": Timeout(
        {"responseTimeoutSeconds": 5},
        [Outcome.delayed(12, heartbeat=6)], [("TIMED_OUT", 5)], "TIMED_OUT",
    ),
    "response, progress reported": Timeout(
        {"responseTimeoutSeconds": 5},
        [Outcome.delayed(4, Outcome.in_progress({"done": 1})), Outcome.delayed(4)],
        [("COMPLETED", 8)], "COMPLETED",
    ),
    "poll, nobody takes it": Timeout(
        {"pollTimeoutSeconds": 7, "timeoutPolicy": "RETRY", "retryCount": 1, "retryDelaySeconds": 2},
        [Outcome.not_taken()], [("TIMED_OUT", 7), ("TIMED_OUT", 16)], "TIMED_OUT",
    ),
    "poll, taken in time": Timeout(
        {"pollTimeoutSeconds": 7, "timeoutPolicy": "TIME_OUT_WF"},
        [Outcome(queued=6, after=100)], [("COMPLETED", 106)], "COMPLETED",
    ),
    "total, over all attempts": Timeout(
        {"totalTimeoutSeconds": 20, "timeoutPolicy": "RETRY", "retryCount": 9, "retryDelaySeconds": 5},
        [Outcome.delayed(4, FAIL)], [("FAILED", 4), ("FAILED", 13), ("TIMED_OUT", 20)], "TIMED_OUT",
    ),
    "workflow": Timeout(
        {}, [NEVER], [("CANCELED", 30)], "TIMED_OUT",
        {"timeoutSeconds": 30, "timeoutPolicy": "TIME_OUT_WF"},
    ),
    "workflow, alert only": Timeout(
        {}, [Outcome.delayed(40)], [("COMPLETED", 40)], "COMPLETED",
        {"timeoutSeconds": 30, "timeoutPolicy": "ALERT_ONLY"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", TIMEOUTS.values(), ids=TIMEOUTS.keys())
async def test_attempts_end_when_their_time_is_up(case: Timeout) -> None:
    run = await run_definition(
        workflow(simple(definition=case.policy), **case.fields), outcomes={"a": case.outcomes}
    )

    assert [(task.status, task.ended) for task in run.attempts("a")] == case.ends
    assert (run.status, run.duration) == (case.status, case.ends[-1][1])


async def test_hanging_function_is_broken_off_by_its_timeout() -> None:
    async with VirtualEngine(outcomes={}) as engine:

        @af.task(name="a", timeout=10, retries=0)
        async def hanging() -> None:
            await engine.clock.sleep(1_000_000)

        with af.Workflow("hanging") as built:
            built >> hanging.node("a")
        execution = await engine.begin(built)
        run = await engine.finish(execution)

    assert [(task.status, task.ended) for task in run.attempts("a")] == [("TIMED_OUT", 10)]
    assert run.status == "TIMED_OUT"


async def test_start_delay_holds_the_first_attempt_back() -> None:
    run = await run_definition(workflow(simple(fields={"startDelay": 20})), outcomes={"a": {}})

    assert (run.task("a").scheduled, run.task("a").started, run.duration) == (0, 20, 20)


# --- waits --------------------------------------------------------------------------------------

WAITS: dict[str, tuple[JsonObject, float]] = {
    "hours and minutes": ({"duration": "1 hours 30 minutes"}, 5400),
    "seconds": ({"duration": "3 seconds"}, 3),
    "days": ({"duration": "2 days"}, 172_800),
    "until a day": ({"until": "2030-01-02"}, 86_400),
    "until a minute": ({"until": "2030-01-01 00:10"}, 600),
    "until the past": ({"until": "2029-12-31"}, 0),
}


@pytest.mark.parametrize(("given", "seconds"), WAITS.values(), ids=WAITS.keys())
async def test_wait_ends_at_its_moment(given: JsonObject, seconds: float) -> None:
    run = await run_definition(workflow(wait(given)))

    assert (run.status, run.duration) == ("COMPLETED", seconds)


async def test_signal_ends_a_wait_before_its_moment() -> None:
    async with VirtualEngine() as engine:
        execution = await engine.begin(workflow(wait({"duration": "1 hours"})))
        await engine.clock.advance(60)
        await execution.signal("w", {"by": "hand"})
        run = await engine.finish(execution)

    assert (run.status, run.duration, run.output) == ("COMPLETED", 60, {"by": "hand"})


async def test_waits_end_in_the_order_of_their_moments() -> None:
    branches = [[wait({"duration": f"{seconds} seconds"}, f"w{seconds}")] for seconds in (30, 10, 20)]
    fork: JsonObject = {
        "name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": branches,
    }  # fmt: skip
    join: JsonObject = {
        "name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["w30", "w10", "w20"],
    }  # fmt: skip
    run = await run_definition(workflow(fork, join))
    ended = sorted((task.ended or 0, task.ref) for task in run.tasks if task.type == "WAIT")

    assert ended == [(10, "w10"), (20, "w20"), (30, "w30")]
    assert run.task("j").ended == 30


# --- pause and resume ---------------------------------------------------------------------------


async def test_pause_holds_back_what_follows_until_the_resume() -> None:
    async with VirtualEngine(outcomes={"b": {}}) as engine:
        execution = await engine.begin(workflow(wait({"duration": "10 seconds"}), simple("b")))
        await engine.clock.advance(5)
        await execution.pause("lunch")
        await engine.clock.advance(100)
        paused = await engine.picture(execution)
        await execution.resume()
        run = await engine.finish(execution)

    assert (paused.status, paused.task("w").ended, paused.refs) == ("PAUSED", 10, ["w"])
    assert (run.status, run.task("b").scheduled, run.duration) == ("COMPLETED", 105, 105)


async def test_failure_during_a_pause_is_retried_after_the_resume() -> None:
    policy: JsonObject = {"retryCount": 1, "retryDelaySeconds": 5}
    async with VirtualEngine(outcomes={"a": [Outcome.delayed(3, FAIL), {}]}) as engine:
        execution = await engine.begin(workflow(simple(definition=policy)))
        await engine.clock.advance(1)
        await execution.pause()
        await engine.clock.advance(59)
        paused = await engine.picture(execution)
        await execution.resume()
        run = await engine.finish(execution)

    assert [task.status for task in paused.tasks] == ["FAILED"]
    assert [(task.status, task.started) for task in run.tasks] == [("FAILED", 0), ("COMPLETED", 65)]


async def test_workflow_timeout_stands_during_a_pause_and_begins_anew() -> None:
    timed = workflow(wait(), timeoutSeconds=30, timeoutPolicy="TIME_OUT_WF")
    async with VirtualEngine() as engine:
        engine.answering.expect_silence()
        execution = await engine.begin(timed)
        await engine.clock.advance(20)
        await execution.pause()
        await engine.clock.advance(1000)
        paused = await engine.picture(execution)
        await execution.resume()
        run = await engine.finish(execution)

    assert paused.status == "PAUSED"
    assert (run.status, run.duration) == ("TIMED_OUT", 1050)


# --- limits -------------------------------------------------------------------------------------


LIMITS: dict[str, tuple[JsonObject, list[float]]] = {
    "one at a time": ({"concurrentExecLimit": 1}, [0, 5, 10, 15]),
    "two at a time": ({"concurrentExecLimit": 2}, [0, 0, 5, 5]),
    "one each ten seconds": (
        {"rateLimitPerFrequency": 1, "rateLimitFrequencyInSeconds": 10},
        [0, 10, 20, 30],
    ),
    "three each ten seconds": (
        {"rateLimitPerFrequency": 3, "rateLimitFrequencyInSeconds": 10},
        [0, 0, 0, 10],
    ),
}


@pytest.mark.parametrize(("limit", "expected"), LIMITS.values(), ids=LIMITS.keys())
async def test_attempts_wait_for_their_limits(limit: JsonObject, expected: list[float]) -> None:
    limited = [
        simple(f"a{n}", on="HTTP", definition={**limit, "name": "a"}, fields={"name": "a"}) for n in range(4)
    ]
    fork: JsonObject = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN"}
    fork["forkTasks"] = [[task] for task in limited]
    join: JsonObject = {"name": "j", "taskReferenceName": "j", "type": "JOIN"}
    join["joinOn"] = [task["taskReferenceName"] for task in limited]
    run = await run_definition(workflow(fork, join), outcomes={"a": Outcome.delayed(5)})

    assert sorted(run.task(f"a{n}").started or 0 for n in range(4)) == expected
    assert run.status == "COMPLETED"
