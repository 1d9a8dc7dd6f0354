"""What an attempt needs before it may begin, and how urgent it is.

A task definition's limits are the implicit resource `task:<name>`; a task names others under
`asyncflow.resources`. Most tasks need nothing, and then admission is not asked at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asyncflow.decide.holds import is_covered
from asyncflow.decide.java_text import java_text
from asyncflow.decide.policy import setting
from asyncflow.decide.scheduling import worker_name
from asyncflow.decide.scope import StateScope
from asyncflow.errors import InvalidInput
from asyncflow.model.definition import TaskDefinition
from asyncflow.model.graph import Node
from asyncflow.model.resources import LeaseMode, Need, ResourceLimit
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonValue

_NOTHING: tuple[Need, ...] = ()
_HIGHEST = 99
_MOST_DIGITS = 18
_MODES: dict[JsonValue, LeaseMode | None] = {None: None, "shared": "shared", "exclusive": "exclusive"}


def needs_of(state: ExecutionState, task: TaskState, *, is_limited: bool) -> tuple[Need, ...]:
    """The resources of a record's attempt; expressions in names and keys are resolved now.

    Args:
        is_limited: whether `task:<name>` has a limit now, whatever it had when the execution began.

    Raises:
        InvalidInput: a name, weight, mode or key comes to nothing usable; the message names it.
    """
    named = task.node.extra.get("resources")
    if named is None:
        return (Need(implicit_resource(task.name or task.node.name)),) if is_limited else _NOTHING
    needs: list[Need] = [Need(implicit_resource(task.name or task.node.name))] if is_limited else []
    resolved = named.resolve(StateScope(state, creating=task.number))
    for index, entry in enumerate(resolved if isinstance(resolved, list) else ()):
        if isinstance(entry, Mapping):
            need = _need(entry, f"asyncflow.resources[{index}]", has_key=_has_key(task.node, index))
            is_beyond = bool(state.holds or state.inherited)
            needs.append(_beyond_holds(state, need) if is_beyond else need)
    return tuple(needs)


def _beyond_holds(state: ExecutionState, need: Need) -> Need:
    """What is left to ask for: that the resource is open, where the execution holds the rest."""
    is_held = is_covered(state, [need.resource, need.weight, need.mode, need.key])
    return Need(need.resource, 0) if is_held else need


def _has_key(node: Node, index: int) -> bool:
    """Whether the definition gives a key, whatever it comes to now."""
    uses = setting(node.task, "resources")
    return isinstance(uses, list) and uses[index].key is not None


def _need(entry: Mapping[str, JsonValue], where: str, *, has_key: bool) -> Need:
    name, mode, key, weight = entry.get("name"), entry.get("mode"), entry.get("key"), entry.get("weight", 1)
    if not isinstance(name, str) or not name:
        raise InvalidInput(f"names no resource: {_shown(name)}", field=f"{where}.name")
    weight = _number(weight)
    if not isinstance(weight, int) or isinstance(weight, bool) or weight < 1:
        raise InvalidInput(f"at least 1 expected, got {_shown(weight)}", field=f"{where}.weight")
    if has_key and not isinstance(key, str | int | float | bool):
        raise InvalidInput(f"gives no text: {_shown(key)}", field=f"{where}.key")
    if mode not in _MODES:
        raise InvalidInput(f"shared or exclusive expected, got {_shown(mode)}", field=f"{where}.mode")
    return Need(name, weight, _MODES[mode], "" if key is None else java_text(key))


def _number(value: JsonValue) -> JsonValue:
    """The number that a short text of plain digits is; any other value as it is."""
    is_digits = isinstance(value, str) and len(value) <= _MOST_DIGITS and value.isascii() and value.isdigit()
    return int(str(value)) if is_digits else value


def _shown(value: object) -> str:
    return "nothing" if value is None else repr(value)[:80]


def granted_needs(grants: Sequence[list[JsonValue]]) -> tuple[Need, ...]:
    """The needs that a recorded grant met; nothing is resolved again."""
    return tuple(
        Need(str(name), weight if isinstance(weight, int) else 1, _MODES.get(mode), str(key))
        for name, weight, mode, key, *_ in grants
    )


def function_name(task: TaskState) -> str:
    """The name of the function that performs a record here: its own, or its type where that is one."""
    return task.name or worker_name(task.node)


def implicit_resource(task_name: str) -> str:
    """The name of the resource that a task definition's own limits make."""
    return f"task:{task_name}"


def implicit_limit(node: Node) -> ResourceLimit | None:
    """The limit a node's policy puts on `task:<name>`, or None where it puts none."""
    policy = node.policy
    return _limit(policy.concurrency, policy.rate, policy.rate_window)


def registered_limit(definition: TaskDefinition | None) -> ResourceLimit | None:
    """The limit a registered task definition puts on `task:<name>`, or None where it puts none."""
    if definition is None:
        return None
    return _limit(
        definition.concurrent_exec_limit or 0,
        definition.rate_limit_per_frequency or 0,
        definition.rate_limit_frequency_in_seconds or 1,
    )


def _limit(concurrency: int, rate: int, window_s: float) -> ResourceLimit | None:
    return ResourceLimit(concurrency, rate, int(window_s * 1000)) if concurrency or rate else None


def priority_of(state: ExecutionState, task: TaskState) -> int:
    """0 to 99: the task's own, else the workflow definition's, else that of the execution.

    Raises:
        InvalidInput: the one that counts is an expression that gives no number.
    """
    template = task.node.extra.get("priority")
    if template is None:
        return execution_priority(state)
    return _priority(template.resolve(StateScope(state, creating=task.number)))


def execution_priority(state: ExecutionState) -> int:
    """0 to 99: that of the workflow definition, else the one the execution was started with.

    Raises:
        InvalidInput: the definition's is an expression that gives no number.
    """
    template, extension = state.graph.extra.get("priority"), state.graph.definition.extension
    if template is not None:
        return _priority(template.resolve(StateScope(state)))
    given = None if extension is None else extension.priority
    return _priority(given if isinstance(given, int) else state.priority)


def _priority(value: JsonValue) -> int:
    value = _number(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidInput(f"0 to 99 expected, got {_shown(value)}", field="asyncflow.priority")
    return max(0, min(_HIGHEST, value))
