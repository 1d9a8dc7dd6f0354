"""What people want to know of an execution, read off Conductor's Workflow shape.

It only reads: the shape comes from `app`, the writing is in `output`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from asyncflow.cli.output import duration
from asyncflow.model.values import JsonObject


def tasks_of(execution: JsonObject) -> list[JsonObject]:
    """The task records of an execution, in the order in which they are shown."""
    tasks = execution.get("tasks")
    return [task for task in tasks if isinstance(task, dict)] if isinstance(tasks, list) else []


def summary_of(execution: JsonObject) -> str:
    """How many records there are, and of which status."""
    return counted(Counter(str(task["status"]) for task in tasks_of(execution)))


def counted(tasks: Mapping[str, int]) -> str:
    """The same of numbers of records by status."""
    listed = ", ".join(f"{count} {status}" for status, count in tasks.items())
    return f"{sum(tasks.values())} ({listed})" if tasks else "none"


def head_of(execution: JsonObject) -> list[tuple[str, object]]:
    """What identifies an execution, and how it stands."""
    return [
        ("execution", execution["workflowId"]),
        ("workflow", f"{execution['workflowName']} version {execution['workflowVersion']}"),
        ("status", execution["status"]),
        ("reason", execution.get("reasonForIncompletion")),
    ]


def took(record: JsonObject) -> str:
    """How long an execution or a task took, or has taken so far; empty if it has not begun."""
    start = number_of(record, "startTime")
    end = number_of(record, "endTime") or number_of(record, "updateTime")
    return duration(max(0, end - start)) if start and end else ""


def number_of(record: JsonObject, key: str) -> int:
    """A number of a record, 0 where it has none."""
    value = record.get(key)
    return value if isinstance(value, int) else 0
