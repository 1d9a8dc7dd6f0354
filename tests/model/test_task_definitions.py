from __future__ import annotations

import pytest

from asyncflow.model.definition import parse_task_definition
from asyncflow.model.limits import Limits
from asyncflow.model.rendering import compact, to_json
from asyncflow.model.task_definition import TaskDefinition
from asyncflow.model.validation import validate_task_definition


def problems(**fields: object) -> list[tuple[str, str]]:
    parsed = parse_task_definition({"name": "a", **fields})
    return [(each.path, each.message) for each in validate_task_definition(parsed)]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"retryCount": 0, "retryDelaySeconds": 0, "backoffScaleFactor": 1, "maxRetryDelaySeconds": 0},
        {"timeoutSeconds": 60, "responseTimeoutSeconds": 60},
        {"timeoutSeconds": 3600},
        {"timeoutSeconds": 4000, "totalTimeoutSeconds": 4000},
        {"timeoutSeconds": 0, "totalTimeoutSeconds": 1},
        {"responseTimeoutSeconds": 1},
        {"pollTimeoutSeconds": 0, "concurrentExecLimit": 0, "rateLimitPerFrequency": 0},
        {"asyncflow": {"retryDelays": [0, 300, 600.5], "weight": 0, "priority": 99}},
        {"asyncflow": {"resources": [{"name": "r", "weight": 1_000_000}], "priority": 0}},
    ],
)
def test_task_definition_is_accepted(fields: dict[str, object]) -> None:
    assert problems(**fields) == []


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"name": ""}, "name", "TaskDef name cannot be null or empty"),
        ({"name": None}, "name", "TaskDef name cannot be null or empty"),
        (
            {"name": "a:b"},
            "name",
            "task name 'a:b' must not contain ':', which separates domains in queue names",
        ),
        ({"retryCount": -1}, "retryCount", "TaskDef retryCount: -1 must be >= 0"),
        ({"retryDelaySeconds": -1}, "retryDelaySeconds", "TaskDef retryDelaySeconds: -1 must be >= 0"),
        ({"backoffScaleFactor": 0}, "backoffScaleFactor", "TaskDef backoffScaleFactor: 0 must be >= 1"),
        ({"backoffJitterMs": -1}, "backoffJitterMs", "TaskDef backoffJitterMs: -1 must be >= 0"),
        (
            {"maxRetryDelaySeconds": -1},
            "maxRetryDelaySeconds",
            "TaskDef maxRetryDelaySeconds: -1 must be >= 0",
        ),
        ({"pollTimeoutSeconds": -1}, "pollTimeoutSeconds", "TaskDef pollTimeoutSeconds: -1 must be >= 0"),
        ({"totalTimeoutSeconds": -1}, "totalTimeoutSeconds", "TaskDef totalTimeoutSeconds: -1 must be >= 0"),
        ({"timeoutSeconds": -1}, "timeoutSeconds", "TaskDef timeoutSeconds: -1 must be >= 0"),
        ({"concurrentExecLimit": -1}, "concurrentExecLimit", "TaskDef concurrentExecLimit: -1 must be >= 0"),
        (
            {"rateLimitFrequencyInSeconds": -1},
            "rateLimitFrequencyInSeconds",
            "TaskDef rateLimitFrequencyInSeconds: -1 must be >= 0",
        ),
        (
            {"responseTimeoutSeconds": 0},
            "responseTimeoutSeconds",
            "TaskDef responseTimeoutSeconds: 0 should be minimum 1 second",
        ),
        (
            {"timeoutSeconds": 60},
            "responseTimeoutSeconds",
            "TaskDef: a responseTimeoutSeconds: 3600 must be less than timeoutSeconds: 60",
        ),
        (
            {"timeoutSeconds": 4001, "totalTimeoutSeconds": 4000},
            "timeoutSeconds",
            "TaskDef: a timeoutSeconds: 4001 must be less than or equal to totalTimeoutSeconds: 4000",
        ),
        ({"asyncflow": {"weight": -1}}, "asyncflow.weight", "must be at least 0, not -1"),
        (
            {"asyncflow": {"retryDelays": [1, -1]}},
            "asyncflow.retryDelays[1]",
            "must be 0 to 3162240000 s, not -1",
        ),
        (
            {"asyncflow": {"resources": [{"name": "r", "hold": "from a to b"}]}},
            "asyncflow.resources[0].hold",
            "only a task of a workflow can hold a resource over several tasks",
        ),
    ],
)
def test_task_definition_is_refused(fields: dict[str, object], path: str, message: str) -> None:
    assert problems(**fields) == [(path, message)]


@pytest.mark.parametrize(
    ("fields", "count"),
    [
        ({}, 3),
        ({"retryCount": 0}, 0),
        ({"asyncflow": {"priority": 1}}, 3),
        ({"asyncflow": {"retryDelays": []}}, 0),
        ({"asyncflow": {"retryDelays": [1, 2]}}, 2),
        ({"asyncflow": {"retryDelays": [1, 2]}, "retryCount": None}, 2),
        ({"asyncflow": {"retryDelays": [1, 2]}, "retryCount": 0}, 0),
        ({"asyncflow": {"retryDelays": [1, 2]}, "retryCount": 3}, 3),
        ({"asyncflow": {"retryDelays": [1, 2, 3]}}, 3),
    ],
)
def test_number_of_retries_is_what_is_given_else_of_the_delays(fields: dict[str, object], count: int) -> None:
    parsed = parse_task_definition({"name": "a", **fields})
    again = [parse_task_definition(rendered) for rendered in (to_json(parsed), compact(parsed))]

    assert [each.retry_count for each in (parsed, *again)] == [count] * 3


def test_violations_are_reported_together() -> None:
    assert [path for path, _ in problems(name="", retryCount=-1, responseTimeoutSeconds=0)] == [
        "name",
        "retryCount",
        "responseTimeoutSeconds",
    ]


def test_size_is_taken_at_the_limit_and_refused_past_it() -> None:
    definition = TaskDefinition(name="a" * 89)  # {"name":"…"} is 100 bytes
    at, past = (validate_task_definition(definition, limits=Limits(definition_bytes=n)) for n in (100, 99))

    assert at == []
    assert [str(each) for each in past] == ["definition_bytes: at most 99, got 100"]
