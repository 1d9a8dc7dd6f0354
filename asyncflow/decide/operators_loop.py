"""DO_WHILE: iterations one after the other, each a list of tasks under its own suffix.

The condition is a script and so an effect; its answer comes back as a report. Outputs of
iterations are not stored but gathered, see `decide/gather`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from asyncflow.decide.flow import begin_list, complete, fail
from asyncflow.decide.gather import loop_output, output_of
from asyncflow.decide.scheduling import Frame
from asyncflow.decide.step import GO_ON_LOOPING, Begin, Step
from asyncflow.decide.wanted import script_round
from asyncflow.model.events import ConditionAsked, Deferred, LoopAdvanced, TasksRemoved
from asyncflow.model.graph import Node, NodeList
from asyncflow.model.payload_reference import refuse_stored
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import FAILED, FAILED_TERMINALLY, PAUSED, TASK_UNSUCCESSFUL
from asyncflow.model.values import JsonObject, JsonValue

# The life of a loop: enter, run the body, ask, and again. Entering is a follow-up and not part of
# the record's making, so that what is made together with the loop (a fork's JOIN) comes before its
# body. Asking is an effect; its answer names the iteration it was asked in. Records of an iteration
# are told apart by their suffix, `ref__2`, and in a loop within a loop by two, `ref__2__1`; gathered
# outputs are found through the same names, which is why an iteration costs what is in it, and no more.


def begin_loop(step: Step, task: TaskState) -> None:
    """Have the first iteration entered, after what is made together with the loop's record."""
    if task.node.body is None or not task.node.body.nodes:
        fail(step, task, FAILED_TERMINALLY, "loopOver field is required for taskType: DO_WHILE")
    else:
        step.pending.append(task)


def go_on_looping(step: Step, loop: TaskState) -> None:
    """Enter the first iteration; or, as all tasks of the present one ended, fail, go on, or ask."""
    if loop.is_ended or (loop.more is not None and loop.more.asking):
        return
    if not loop.iteration:
        items = loop_items(step, loop)
        if items is not None and not items:
            complete(step, loop, {"iteration": 0})
        else:
            _enter(step, loop, 1, items)
        return
    if not _has_strays(step, loop):
        _body_ended(step, loop)


def _has_strays(step: Step, loop: TaskState) -> bool:
    """Whether something of this iteration goes on although its list is done: a branch no JOIN waits for.

    Whatever it is, the end of its branch comes back here.
    """
    state = step.state
    deferred = (state.tasks.get(number) for number in state.agenda)
    if any(task is not None and task.loop == loop.number for task in (*step.pending, *deferred)):
        return True
    suffix = f"{loop.suffix}__{loop.iteration}"
    return any(not record.is_ended for record in _records(state, _nodes(loop.node.body), suffix))


def _body_ended(step: Step, loop: TaskState) -> None:
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
        _enter(step, loop, loop.iteration + 1, loop_items(step, loop))
    else:
        complete(step, loop, None)


def condition_answered(
    step: Step, loop: TaskState, value: JsonValue, *, error: str | None, iteration: int
) -> None:
    """The condition of an iteration gave a value: true or a number above zero goes on.

    No iteration begins while the execution is paused: the loop asks again when it is resumed.
    """
    if iteration != script_round(loop) or loop.more is None or not loop.more.asking:
        return
    if step.state.status == PAUSED:
        step.emit(Deferred([loop.number]))
    elif error is not None:
        fail(
            step,
            loop,
            FAILED_TERMINALLY,
            f"Unable to evaluate condition {loop.node.task.loop_condition}: {error}",
        )
    elif value is True or (isinstance(value, int | float) and not isinstance(value, bool) and value > 0):
        _enter(step, loop, loop.iteration + 1, loop_items(step, loop))
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
    elif iteration <= len(items):
        step.emit(LoopAdvanced(loop.number, iteration, items[iteration - 1], len(items)))
    else:  # the list is an expression, and became shorter
        complete(step, loop, None)
        return
    _forget_old(step, loop, iteration)
    assert loop.node.body is not None  # checked when the loop began
    begin_list(step, loop.node.body, Frame(f"{loop.suffix}__{iteration}", iteration, loop.number))


def loop_items(step: Step, loop: TaskState) -> list[JsonValue] | None:
    """The list the loop goes through, or None where it has none; one value is a list of one."""
    template = loop.node.extra.get("items")
    found = loop.input.get("_items") if template is None else template.resolve(step.scope(loop.number))
    if template is None and "_items" not in loop.input:
        return None
    if found is None:
        return []
    refuse_stored(found, f"the loop {loop.ref}")
    return found if isinstance(found, list) else [found]


def _forget_old(step: Step, loop: TaskState, iteration: int) -> None:
    """Remove the records of iterations that `keepLastN` no longer keeps."""
    keep = loop.input.get("keepLastN")
    if not isinstance(keep, int) or isinstance(keep, bool) or keep < 1 or iteration <= keep:
        return
    state = step.state
    gone = list(_records(state, _nodes(loop.node.body), f"{loop.suffix}__{iteration - keep}"))
    if gone:
        step.emit(TasksRemoved([record.number for record in gone], state.next_seq))


def _records(state: ExecutionState, nodes: list[Node], suffix: str) -> Iterator[TaskState]:
    """Every record of these nodes in one iteration, with what they forked and looped over."""
    for node in nodes:
        yield from _records_of(state, node, node.ref + suffix, suffix)


def _records_of(state: ExecutionState, node: Node, ref: str, suffix: str) -> Iterator[TaskState]:
    task = state.by_ref.get(ref)
    while task is not None:
        yield task
        if task.more is not None and task.more.members is not None:
            members = task.more.members
            for index, member in enumerate(members.refs):
                forked = members.node(index)
                yield from _records_of(state, forked, member, suffix)
                inner = NodeList("", "branch", None, [forked])
                yield from _records(state, _nodes(inner)[1:], suffix)
        if node.body is not None:
            for iteration in range(1, task.iteration + 1):
                yield from _records(state, _nodes(node.body), f"{suffix}__{iteration}")
        task = state.tasks.get(task.retry_of) if task.retry_of else None


def _unsuccessful(state: ExecutionState, loop: TaskState) -> TaskState | None:
    """The first task of the present iteration that did not succeed and was permissive, at any depth."""
    for node in _nodes(loop.node.body):
        task = state.by_ref.get(f"{node.ref}{loop.suffix}__{loop.iteration}")
        if task is not None and task.status in TASK_UNSUCCESSFUL:
            return task
    return None


def _nodes(home: NodeList | None) -> list[Node]:
    """Every node of a body, those of lists within it too, except in further loops."""
    found: list[Node] = []
    todo = [] if home is None else [home]
    while todo:
        for node in todo.pop().nodes:
            found.append(node)
            todo += [*node.branches, *node.cases.values()]
            if node.default is not None:
                todo.append(node.default)
    return found


BEGINNINGS: dict[str, Begin] = {"DO_WHILE": begin_loop, GO_ON_LOOPING: go_on_looping}
