"""Until when a WAIT task waits, on which clock.

The grammar of durations and dates is in `model/durations`. A bad one fails the task when it
begins; until then its record stands there, and waits for nothing.
"""

from __future__ import annotations

from asyncflow.errors import InvalidInput
from asyncflow.model.durations import parse_duration, parse_until
from asyncflow.model.graph import Node
from asyncflow.model.state import TaskState
from asyncflow.model.values import JsonMapping


def wait_due(task: TaskState) -> tuple[int, str] | None:
    """When the WAIT ends and on which clock, or None where only an update from outside ends it."""
    try:
        seconds = wait_seconds(task.node, task.input)
        if seconds is not None:
            return task.started_ms + int(seconds * 1000), "elapsed"
        until = task.input.get("until")
        return None if until is None else (parse_until(str(until), zone="UTC"), "wall")
    except InvalidInput:
        return None


def wait_seconds(node: Node, given: JsonMapping) -> float | None:
    """The duration of a WAIT in seconds, or None where it has none.

    Raises:
        InvalidInput: the text is no duration.
    """
    duration = given.get("duration")
    extension = node.task.extension
    if extension is not None and extension.duration_ms is not None:
        return extension.duration_ms / 1000
    return None if duration is None else parse_duration(str(duration))


def check_wait(node: Node, given: JsonMapping) -> str | None:
    """Why the inputs of a WAIT cannot be used, or None where they can."""
    if given.get("duration") is not None and given.get("until") is not None:
        return "duration and until exclude each other"
    try:
        wait_seconds(node, given)
        if given.get("until") is not None:
            parse_until(str(given["until"]), zone="UTC")
    except InvalidInput as error:
        return str(error)
    return None
