"""What an attempt needs before it may begin, and how urgent it is.

A task definition's limits are the implicit resource `task:<name>`; a task names others under
`asyncflow.resources`. Most tasks need nothing, and then admission is not asked at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncflow.decide.java_text import java_text
from asyncflow.decide.scope import StateScope
from asyncflow.model.definition import TaskDefinition
from asyncflow.model.graph import Node
from asyncflow.model.resources import Need, ResourceLimit
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonValue

_NOTHING: tuple[Need, ...] = ()
_HIGHEST = 99


def needs_of(state: ExecutionState, task: TaskState) -> tuple[Need, ...]:
    """The resources of a record's attempt; expressions in keys are resolved now."""
    node = task.node
    named = node.extra.get("resources")
    limited = node.policy.concurrency or node.policy.rate
    if named is None and not limited:
        return _NOTHING
    needs: list[Need] = []
    if limited:
        needs.append(Need(implicit_resource(task.name or node.name)))
    if named is not None:
        resolved = named.resolve(StateScope(state, creating=task.number))
        for entry in resolved if isinstance(resolved, list) else ():
            if isinstance(entry, Mapping):
                needs.append(_need(entry))
    return tuple(needs)


def _need(entry: Mapping[str, JsonValue]) -> Need:
    mode, key, weight = entry.get("mode"), entry.get("key"), entry.get("weight")
    return Need(
        str(entry.get("name")),
        weight if isinstance(weight, int) and weight > 0 else 1,
        "exclusive" if mode == "exclusive" else "shared" if mode == "shared" else None,
        "" if key is None else java_text(key),
    )


def implicit_resource(task_name: str) -> str:
    """The name of the resource that a task definition's own limits make."""
    return f"task:{task_name}"


def implicit_limit(node: Node) -> ResourceLimit | None:
    """The limit a node's policy puts on `task:<name>`, or None where it puts none."""
    policy = node.policy
    if not policy.concurrency and not policy.rate:
        return None
    return ResourceLimit(policy.concurrency, policy.rate, int(policy.rate_window * 1000))


def registered_limit(definition: TaskDefinition) -> ResourceLimit | None:
    """The limit a registered task definition puts on `task:<name>`, or None where it puts none."""
    concurrency = definition.concurrent_exec_limit or 0
    rate = definition.rate_limit_per_frequency or 0
    if not concurrency and not rate:
        return None
    window_s = definition.rate_limit_frequency_in_seconds or 1
    return ResourceLimit(concurrency, rate, int(window_s * 1000))


def priority_of(state: ExecutionState, task: TaskState) -> int:
    """0 to 99: the task's own, else the workflow definition's, else that of the execution."""
    template = task.node.extra.get("priority")
    value: JsonValue = None
    if template is not None:
        value = template.resolve(StateScope(state, creating=task.number))
    elif state.graph.definition.extension is not None:
        value = state.graph.definition.extension.priority
    if isinstance(value, str) and value.isdigit():
        value = int(value)
    chosen = value if isinstance(value, int) and not isinstance(value, bool) else state.priority
    return max(0, min(_HIGHEST, chosen))
