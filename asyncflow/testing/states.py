"""A state as plain data, so that two of them can be compared field by field, and what differs be read.

Everything an `ExecutionState` holds is in it, derived counts included; left out are only the two
lists that readers empty (`dirty`, `changed`). Used by the laws in `tests/decide` and simulations.
"""

from __future__ import annotations

from collections import deque
from dataclasses import fields, is_dataclass

from asyncflow.model.graph import Graph, Node
from asyncflow.model.inputs import Message
from asyncflow.model.state import ExecutionState, ForkMembers

_LEFT_OUT = frozenset({"dirty", "changed", "graphs"})


def as_data(state: ExecutionState) -> dict[str, object]:
    """Every field of the state and of its records, as JSON-like values; nodes by reference name."""
    return {
        field.name: _plain(getattr(state, field.name))
        for field in fields(state)
        if field.name not in _LEFT_OUT
    }


def differences(one: ExecutionState, other: ExecutionState) -> list[str]:
    """What differs between two states, a line per field; empty if nothing does."""
    first, second = as_data(one), as_data(other)
    return [line for name in first for line in _compare(name, first[name], second[name])]


def _plain(value: object) -> object:
    if isinstance(value, Graph):
        return value.hash
    if isinstance(value, Message):
        return (value.to, value.input)
    if isinstance(value, deque):
        return [_plain(each) for each in value]
    if isinstance(value, Node):
        return f"{value.type} {value.ref}"
    if isinstance(value, ForkMembers):
        return (value.form, value.count, value.prefix, value.refs, value.inputs)
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value


def _compare(name: str, one: object, other: object) -> list[str]:
    if one == other:
        return []
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        return [line for key in keys for line in _compare(f"{name}.{key}", one.get(key), other.get(key))] or [
            f"{name}: order of keys"
        ]
    return [f"{name}: {one!r} is not {other!r}"]
