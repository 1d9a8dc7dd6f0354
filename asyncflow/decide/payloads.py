"""Whether a value that the core made is of a size that can be recorded: not too large, not too deep.

Expressions multiply: a template of 4 MiB can name an output of 2 MiB a hundred thousand times, at no
cost until somebody encodes it. It encodes nothing itself; exact sizes are measured in `runtime/carry`.
"""

from __future__ import annotations

from asyncflow.errors import LimitExceeded
from asyncflow.model.limits import Limits
from asyncflow.model.values import JsonMapping, JsonObject


def check_payload(value: JsonMapping, limits: Limits, what: str) -> None:
    """Refuse what must not be recorded.

    Raises:
        LimitExceeded: it has more than `payload_bytes`, or more than `payload_depth` levels.
    """
    fault = payload_fault(value, limits)
    if fault is not None:
        raise LimitExceeded(f"{fault}: {what}", allowed=getattr(limits, fault))


def payload_fault(value: JsonMapping, limits: Limits) -> str | None:
    """The limit that the value is surely over, by its name, or None.

    What it counts is a lower bound of the bytes of its JSON, so nothing within the limit is refused.

    Cost: linear in the value, but never more than the limit allows, however often its parts are shared.
    """
    size = 2 + 4 * len(value)
    for key, member in value.items():  # most values have one level, and are measured here
        size += len(key)
        if type(member) is str:
            size += len(member)
        elif type(member) is dict or type(member) is list:
            return _nested_fault(value, limits)
    return None if size <= limits.payload_bytes else "payload_bytes"


def _nested_fault(value: JsonMapping, limits: Limits) -> str | None:
    level: list[object] = [value]
    size = depth = 0
    while level:
        depth += 1
        if depth > limits.payload_depth:
            return "payload_depth"
        below: list[object] = []
        for item in level:
            if isinstance(item, dict):
                size += 2 + 4 * len(item) + sum(map(len, item))
                members = list(item.values())
            else:
                assert isinstance(item, list)  # nothing else is put on a level
                size += 2 + 2 * len(item)
                members = item
            if size > limits.payload_bytes:
                return "payload_bytes"
            kinds = set(map(type, members))
            if str in kinds:
                size += sum(len(member) for member in members if type(member) is str)
            if dict in kinds or list in kinds:
                below += [member for member in members if type(member) is dict or type(member) is list]
        level = below
    return None if size <= limits.payload_bytes else "payload_bytes"


def without_excess(value: JsonObject, limits: Limits, optional: str) -> JsonObject:
    """The value, without one of its members where the whole would be too much with it."""
    if payload_fault(value, limits) is None:
        return value
    return {key: member for key, member in value.items() if key != optional}
