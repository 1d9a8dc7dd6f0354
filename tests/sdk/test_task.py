"""`@task`: the function stays one, its options become a task definition, its parameters the inputs."""

from __future__ import annotations

import functools
import inspect
from datetime import timedelta

import pytest

from asyncflow.errors import InvalidInput, TaskFailed
from asyncflow.model.definition import parse_task_definition
from asyncflow.sdk.tasks import TaskFunction, task
from asyncflow.sdk.workflow import Workflow
from asyncflow.testing.kit import run_definition


@task(retries=3, timeout=60)
async def fetch(url: str, depth: int = 1) -> dict[str, object]:
    """Fetch a page."""
    return {"url": url, "depth": depth}


@task
def add(a: int, b: int) -> int:
    return a + b


@task()
def everything(**inputs: object) -> None: ...


@task
def whole(input: dict[str, object]) -> object:  # noqa: A002 -- the name is the rule
    return input


@task
def clashing(priority: int, optional: int = 0) -> tuple[int, int]:
    return priority, optional


@task(input_template={"b": 2})
def templated(a: int, b: int, ctx: object = None) -> int:
    return a + b


async def test_task_is_callable_as_the_function_it_is() -> None:
    result = await fetch("u", depth=2)

    assert result == {"url": "u", "depth": 2}
    assert add(1, b=2) == 3


def test_task_keeps_the_functions_name_and_documentation() -> None:
    assert fetch.__doc__ == "Fetch a page."
    assert fetch.__name__ == "fetch"
    assert list(inspect.signature(fetch).parameters) == ["url", "depth"]


def test_task_chooses_the_executor_by_the_kind_of_function() -> None:
    @task(executor="process")
    def crunch() -> None: ...

    assert (fetch.executor, add.executor, crunch.executor) == ("loop", "thread", "process")
    assert crunch.definition() == {"name": "crunch", "asyncflow": {"executor": "process"}}


def test_task_without_options_defines_only_its_name() -> None:
    assert add.definition() == {"name": "add"}
    assert "taskDefinition" not in _task(add, a=1, b=2)


MAIL = {
    "name": "mail",
    "description": "Sends mail",
    "retryCount": 5,
    "retryLogic": "LINEAR_BACKOFF",
    "retryDelaySeconds": 60,
    "maxRetryDelaySeconds": 600,
    "backoffScaleFactor": 2,
    "backoffJitterMs": 250,
    "timeoutSeconds": 60,
    "responseTimeoutSeconds": 30,
    "pollTimeoutSeconds": 10,
    "totalTimeoutSeconds": 3600,
    "timeoutPolicy": "ALERT_ONLY",
    "concurrentExecLimit": 4,
    "rateLimitPerFrequency": 20,
    "rateLimitFrequencyInSeconds": 60,
    "inputTemplate": {"from": "me"},
    "ownerEmail": "a@example.org",
    "inputKeys": ["to"],
    "asyncflow": {
        "resources": [
            {"name": "smtp"},
            {"name": "table", "mode": "exclusive", "key": "${workflow.input.day}"},
        ],
        "priority": 7,
        "weight": 0.5,
        "retryDelays": [0.5, 300],
        "executeWhenRecovering": True,
        "executor": "thread",
        "more": 1,
    },
}


def test_task_options_become_the_task_definition() -> None:
    @task(
        name="mail",
        description="Sends mail",
        retries=5,
        retry_delay=timedelta(minutes=1),
        retry_logic="LINEAR_BACKOFF",
        retry_delays=[0.5, 300],
        max_retry_delay=600,
        backoff_scale=2,
        jitter=0.25,
        timeout=60,
        response_timeout=30,
        poll_timeout=10,
        total_timeout=3600,
        timeout_policy="ALERT_ONLY",
        executor="thread",
        resources=["smtp", {"name": "table", "mode": "exclusive", "key": "${workflow.input.day}"}],
        priority=7,
        weight=0.5,
        execute_when_recovering=True,
        concurrency=4,
        rate=(20, timedelta(minutes=1)),
        input_template={"from": "me"},
        owner_email="a@example.org",
        extra={"inputKeys": ["to"], "asyncflow": {"more": 1}},
    )
    def send(to: str) -> None: ...

    definition = send.definition()

    assert definition == MAIL
    parse_task_definition(definition)


def test_timeout_bounds_silence_too_and_is_retried() -> None:
    assert fetch.definition() == {
        "name": "fetch",
        "retryCount": 3,
        "timeoutSeconds": 60,
        "responseTimeoutSeconds": 60,
        "timeoutPolicy": "RETRY",
    }


def test_retry_delays_set_the_number_of_retries() -> None:
    @task(retry_delays=[1, 2, 3])
    def patient() -> None: ...

    assert patient.definition()["retryCount"] == 3


async def test_retries_win_over_the_number_of_delays() -> None:
    @task(name="patient", retries=4, retry_delays=[1, 2])
    async def patient() -> None:
        raise TaskFailed("not yet")

    definition: dict[str, object] = {"name": "w", "version": 1, "tasks": [_task(patient)]}
    run = await run_definition(definition, tasks=[patient])

    assert len(run.attempts("n")) == 5
    assert run.duration == 1 + 2 + 2 + 2


def test_definition_handed_out_is_a_copy() -> None:
    fetch.definition().clear()

    assert fetch.definition()["retryCount"] == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retry": 3}, "f: @task has no option retry"),
        ({"timeout": 0.5}, r"f\.timeout: 0\.5 has a fraction"),
        ({"timeout": -1}, r"f\.timeout"),
        ({"poll_timeout": True}, r"f\.poll_timeout"),
        ({"executor": "loop"}, "f: a plain def would block the loop"),
        ({"extra": {"name": "g"}}, "f: extra repeats what is said already: name"),
    ],
)
def test_task_refuses_options_that_make_no_sense(options: dict[str, object], message: str) -> None:
    def f() -> None: ...

    with pytest.raises(InvalidInput, match=message):
        TaskFunction(f, options)  # type: ignore[arg-type]  # what type checkers refuse is refused at run time too


def test_task_refuses_an_async_function_in_a_thread() -> None:
    async def f() -> None: ...

    with pytest.raises(InvalidInput, match="f: an async def runs on the loop"):
        task(executor="thread")(f)


def _task(function: TaskFunction[..., object], /, **values: object) -> dict[str, object]:
    with Workflow("w") as wf:
        wf >> function.node("n", **values)  # type: ignore[arg-type]
    tasks = wf.to_definition()["tasks"]
    assert isinstance(tasks, list)
    found: dict[str, object] = tasks[0]
    return found


def test_node_is_a_simple_task_with_the_definition_embedded() -> None:
    assert _task(fetch, url="u") == {
        "name": "fetch",
        "taskReferenceName": "n",
        "type": "SIMPLE",
        "inputParameters": {"url": "u"},
        "taskDefinition": fetch.definition(),
    }


def test_node_takes_any_input_where_the_function_does() -> None:
    assert _task(everything, a=1, inputs={"optional": 2})["inputParameters"] == {"a": 1, "optional": 2}
    assert _task(whole, a=1)["inputParameters"] == {"a": 1}
    assert _task(whole, input={"a": 1})["inputParameters"] == {"a": 1}


def test_node_leaves_defaults_context_and_template_to_the_run() -> None:
    assert _task(templated, a=1)["inputParameters"] == {"a": 1}


def test_node_names_what_is_missing_and_what_is_unknown() -> None:
    with pytest.raises(InvalidInput, match=r"^page: fetch needs url$"):
        fetch.node("page")
    with pytest.raises(InvalidInput, match=r"^page: fetch has no parameter uri; it takes depth, url$"):
        fetch.node("page", uri="x")
    with pytest.raises(InvalidInput, match=r"^add: add needs b"):
        add.node(a=1)
    with pytest.raises(InvalidInput, match="ctx"):
        templated.node(a=1, ctx=2)
    with pytest.raises(InvalidInput, match=r"^add: given twice: a"):
        add.node(a=1, b=2, inputs={"a": 1})


def test_node_names_a_parameter_that_is_also_an_option() -> None:
    with pytest.raises(InvalidInput, match=r"^c: priority is an option of node\(\) and a parameter"):
        clashing.node("c", priority=5)
    with pytest.raises(InvalidInput, match=r"^c: clashing needs priority; .*inputs="):
        clashing.node("c")


def test_node_takes_clashing_parameters_as_a_mapping() -> None:
    assert _task(clashing, inputs={"priority": 5}, priority=9) == {
        "name": "clashing",
        "taskReferenceName": "n",
        "type": "SIMPLE",
        "inputParameters": {"priority": 5},
        "asyncflow": {"priority": 9},
    }


def test_callable_without_a_name_needs_one() -> None:
    half = functools.partial(add, b=1)

    with pytest.raises(InvalidInput, match=r"has no name of its own; give name="):
        task(half)
    assert task(name="half")(half).node("h", a=1).ref == "h"
