"""DO_WHILE: iterations one after the other, each a list of tasks under its own suffix.

The condition is a script and so an effect; its answer comes back as a report. Outputs of
iterations are not stored but gathered, see `decide/gather`.
"""

from __future__ import annotations

import re

from asyncflow.decide.flow import begin_list, complete, fail
from asyncflow.decide.gather import loop_output, output_of
from asyncflow.decide.scheduling import Frame
from asyncflow.decide.step import Begin, Step
from asyncflow.model.events import ConditionAsked, LoopAdvanced, TasksRemoved
from asyncflow.model.graph import Node, NodeList
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import FAILED, FAILED_TERMINALLY, TASK_UNSUCCESSFUL
from asyncflow.model.values import JsonObject, JsonValue


def begin_loop(step: Step, task: TaskState) -> None:
    """Enter the first iteration, or end at once over an empty list."""
    items = _items(step, task)
    if items is not None and not items:
        complete(step, task, {"iteration": 0})
    else:
        _enter(step, task, 1, items)


def body_ended(step: Step, loop: TaskState) -> None:
    """All tasks of the present iteration ended: fail, go on, or ask the condition."""
    if loop.is_ended or (loop.more is not None and loop.more.asking):
        return
    unsuccessful = _unsuccessful(step.state, loop)
    if unsuccessful is not None:
        fail(step, loop, FAILED, unsuccessful.reason or f"{unsuccessful.ref} did not succeed")
        return
    more = loop.more
    if more is not None and 0 <= more.of <= loop.iteration:
        complete(step, loop, None)
    elif (loop.node.task.loop_condition or "").strip():
        step.emit(ConditionAsked(loop.number))
    elif more is not None and more.of >= 0:
        _enter(step, loop, loop.iteration + 1, _items(step, loop))
    else:
        complete(step, loop, None)


def condition_answered(
    step: Step, loop: TaskState, value: JsonValue, *, error: str | None, iteration: int
) -> None:
    """The condition of an iteration gave a value: true or a number above zero goes on."""
    if iteration != loop.iteration or loop.more is None or not loop.more.asking:
        return
    if error is not None:
        fail(
            step,
            loop,
            FAILED_TERMINALLY,
            f"Unable to evaluate condition {loop.node.task.loop_condition}: {error}",
        )
    elif value is True or (isinstance(value, int | float) and not isinstance(value, bool) and value > 0):
        _enter(step, loop, loop.iteration + 1, _items(step, loop))
    else:
        complete(step, loop, None)


def condition_input(state: ExecutionState, loop: TaskState, given: JsonObject) -> JsonObject:
    """What the condition sees as `$`: inputs, the loop's output so far, outputs of body tasks.

    Only what the text of the condition names is built; a loop that asks for nothing but its
    iteration costs the same in the first and in the ten-thousandth.
    """
    condition = loop.node.task.loop_condition or ""
    seen: JsonObject = dict(given)
    ref = loop.node.ref
    if ref in condition:
        seen[ref] = (
            {"iteration": loop.iteration} if _only_iteration(condition, ref) else loop_output(state, loop)
        )
    if loop.node.body is not None:
        for node in _nodes(loop.node.body):
            if node.ref in condition:
                body = state.by_ref.get(f"{node.ref}{loop.suffix}__{loop.iteration}")
                seen[node.ref] = {} if body is None else dict(output_of(state, body))
    return seen


def _only_iteration(condition: str, ref: str) -> bool:
    """Whether every mention of the loop in its condition is of its `iteration`."""
    quoted = re.escape(ref)
    tail = r"""['"]?\]?\s*(\.iteration\b|\[\s*['"]iteration['"]\s*\])"""
    return len(re.findall(quoted, condition)) == len(re.findall(quoted + tail, condition))


def _enter(step: Step, loop: TaskState, iteration: int, items: list[JsonValue] | None) -> None:
    limit = step.context.limits.loop_iterations
    if iteration > limit:
        fail(step, loop, FAILED_TERMINALLY, f"limit_exceeded: loop_iterations: at most {limit}")
        return
    if items is None:
        step.emit(LoopAdvanced(loop.number, iteration))
    else:
        item = items[iteration - 1] if iteration <= len(items) else None
        step.emit(LoopAdvanced(loop.number, iteration, item, len(items)))
    _forget_old(step, loop, iteration)
    assert loop.node.body is not None  # noqa: S101 - registration demands a body
    begin_list(step, loop.node.body, Frame(f"{loop.suffix}__{iteration}", iteration, loop.number))


def _items(step: Step, loop: TaskState) -> list[JsonValue] | None:
    """The list the loop goes through, or None where it has none; one value is a list of one."""
    template = loop.node.extra.get("items")
    found = loop.input.get("_items") if template is None else template.resolve(step.scope(loop.number))
    if template is None and "_items" not in loop.input:
        return None
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def _forget_old(step: Step, loop: TaskState, iteration: int) -> None:
    """Remove the records of iterations that `keepLastN` no longer keeps."""
    keep = loop.input.get("keepLastN")
    if not isinstance(keep, int) or isinstance(keep, bool) or keep < 1 or iteration <= keep:
        return
    old = iteration - keep
    state = step.state
    assert loop.node.body is not None  # noqa: S101
    gone = [
        record.number
        for node in _nodes(loop.node.body)
        for record in _attempts(state, f"{node.ref}{loop.suffix}__{old}")
    ]
    if gone:
        step.emit(TasksRemoved(gone, state.next_seq))


def _attempts(state: ExecutionState, ref: str) -> list[TaskState]:
    """Every attempt of a full reference name, newest first."""
    found: list[TaskState] = []
    task = state.by_ref.get(ref)
    while task is not None:
        found.append(task)
        task = state.tasks.get(task.retry_of) if task.retry_of else None
    if found and found[0].more is not None and found[0].more.members is not None:
        for member in found[0].more.members.refs:
            found += _attempts(state, member)
    return found


def _unsuccessful(state: ExecutionState, loop: TaskState) -> TaskState | None:
    assert loop.node.body is not None  # noqa: S101
    for node in loop.node.body.nodes:
        task = state.by_ref.get(f"{node.ref}{loop.suffix}__{loop.iteration}")
        if task is not None and task.status in TASK_UNSUCCESSFUL:
            return task
    return None


def _nodes(home: NodeList) -> list[Node]:
    """Every node of a body, those of lists within it too, except in further loops."""
    found: list[Node] = []
    todo = [home]
    while todo:
        for node in todo.pop().nodes:
            found.append(node)
            todo += [*node.branches, *node.cases.values()]
            if node.default is not None:
                todo.append(node.default)
    return found


BEGINNINGS: dict[str, Begin] = {"DO_WHILE": begin_loop, "*loop": body_ended}
