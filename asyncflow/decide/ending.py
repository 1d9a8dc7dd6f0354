"""How an execution ends: output, children, parent, failure workflow.

Whoever decides that it ends calls `end_execution`; `finish` is for those with nothing left to
do. Both are the last thing a step does to its execution.
"""

from __future__ import annotations

from asyncflow.decide.gather import output_of
from asyncflow.decide.payloads import check_payload, payload_fault, without_excess
from asyncflow.decide.policy import weight_of
from asyncflow.decide.render import render_execution
from asyncflow.decide.shape import STRUCTURE
from asyncflow.decide.step import MAX_DEPTH, Step
from asyncflow.errors import AsyncflowError
from asyncflow.ids import derived_id, task_id
from asyncflow.model.events import ExecutionEnded
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import ChildEnded, StartExecution, TerminateExecution
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import (
    COMPLETED,
    COMPLETED_WITH_ERRORS,
    FAILED,
    TASK_UNSUCCESSFUL,
    TERMINATED,
)
from asyncflow.model.values import JsonObject

_NAMED = 100  # tasks that a reason names
_TASKS_HANDED_ON = 1_000
"""A failure workflow gets the task records of an execution with at most so many."""


# An end is one event, however much was open: the tasks it cancels are not recorded one by one, since
# `evolve` finds them. What it has to tell others goes out in the same step, so parent, children and
# failure workflow learn of it in the same commit or not at all. Nothing is sent for what never began.


def finish(step: Step) -> None:
    """End an execution that has nothing left to do: COMPLETED, or FAILED by what was tolerated."""
    state = step.state
    if not state.tasks:
        end_execution(step, COMPLETED, "No tasks found to be executed")
        return
    failed = [t for t in state.tasks.values() if t.status in TASK_UNSUCCESSFUL and not t.superseded]
    if failed:
        reasons = ", ".join(
            f"Task {task_id(state.execution_id, t.number)} failed with status: {t.status} and reason: "
            f"'{t.reason or ''}'"
            for t in failed[:_NAMED]
        )
        end_execution(step, FAILED, reasons, failed=failed[0])
        return
    too_heavy = _too_heavy(state)
    end_execution(step, COMPLETED if too_heavy is None else FAILED, too_heavy)


def weight_threshold(state: ExecutionState) -> float | None:
    """The share of failed weight above which the execution fails at its end, or None for no weighing."""
    extension = state.graph.definition.extension
    return None if extension is None else extension.fail_if_failed_weight_above


def _too_heavy(state: ExecutionState) -> str | None:
    """Why tolerated failures weigh too much together, or None where they do not.

    Operators weigh nothing: they only repeat what befell the tasks in them. A failure that the
    definition tolerates by itself (`optional`) counts as weight, not as failure.
    """
    threshold = weight_threshold(state)
    if threshold is None:
        return None
    total = failed = 0.0
    names: list[str] = []
    for task in state.tasks.values():
        if task.superseded or task.node.type in STRUCTURE:
            continue
        weight = weight_of(task.node)
        total += weight
        if task.status == COMPLETED_WITH_ERRORS and not task.node.task.optional:
            failed += weight
            names.append(task.ref)
    share = failed / total if total else 0.0
    if share <= threshold:
        return None
    return f"Failed weight {share:.3g} is above {threshold:g}: {', '.join(names[:20])}"


def end_execution(  # noqa: PLR0913 - the ways an end differs, each named where it is asked for
    step: Step,
    status: str,
    reason: str | None,
    *,
    failed: TaskState | None = None,
    output: JsonObject | None = None,
    compensate: bool = True,
    tell_parent: bool = True,
) -> None:
    """Record the end, cancel what is open, and tell children, parent and failure workflow.

    `output` replaces what the definition would compute. `compensate` starts the failure
    workflow where the end is unsuccessful and the definition names one.
    """
    state = step.state
    children = _open_children(state) if state.open_count else []
    result = _output(step) if output is None else output
    compensation = _failure_workflow(step) if compensate and status != COMPLETED else None
    named = compensation if compensation is None or isinstance(compensation, str) else compensation[0]
    number = 0 if failed is None else failed.number
    step.emit(ExecutionEnded(status, reason, result, number, named, len(state.jobs)))
    step.pending.clear()
    cause = (
        f"Parent workflow has been terminated with reason: {reason}"
        if reason
        else f"Parent workflow has been terminated with status {status}"
    )
    for child in children:
        step.send(child, TerminateExecution(cause, by_parent=True))
    if isinstance(compensation, tuple):
        identity, graph = compensation
        step.send(identity, _compensating_start(step, graph), graph=graph)
    if state.parent_id is not None and tell_parent:
        step.send(
            state.parent_id,
            ChildEnded(state.parent_number, state.execution_id, status, state.output, reason),
        )


def release_child(step: Step, task: TaskState, reason: str) -> None:
    """Terminate the child of a SUB_WORKFLOW task that ends before it: by a timeout, or from outside."""
    if task.more is not None and task.more.child_id is not None and not task.is_ended:
        cause = f"Parent workflow has been terminated with reason: {reason}"
        step.send(task.more.child_id, TerminateExecution(cause, by_parent=True))


def _open_children(state: ExecutionState) -> list[str]:
    return [
        task.more.child_id
        for task in state.tasks.values()
        if task.more is not None and task.more.child_id is not None and not task.is_ended
    ]


def _output(step: Step) -> JsonObject:
    """What `outputParameters` say, else the output of the last task; errors give what there is."""
    state = step.state
    template = state.graph.output
    if template is None:
        last = next((task for task in reversed(state.tasks.values()) if task.seq), None)
        found = {} if last is None else dict(output_of(state, last))
        limits = step.context.limits
        # Every child that gathers adds levels to what its parent gathers.
        if state.depth and payload_fault(found, limits) == "payload_depth":
            return {"error": f"output of the last task: payload_depth: at most {limits.payload_depth}"}
        return found
    try:
        resolved = template.resolve(step.scope())
        output = resolved if isinstance(resolved, dict) else {}
        check_payload(output, step.context.limits, "output of the workflow")
    except AsyncflowError as error:
        return {"error": f"outputParameters: {error}"}
    return output


def _failure_workflow(step: Step) -> tuple[str, Graph] | str | None:
    """The id and graph of the failure workflow, or why it cannot start, or None for none named.

    A failure workflow counts as one level below the execution it cleans up after, so that one
    which fails and names itself comes to an end.
    """
    state = step.state
    definition = state.graph.definition
    name = definition.failure_workflow
    if not name:
        return None
    if name.startswith("$"):
        parts = name.strip("${}").split(".")
        named = state.input.get(parts[2]) if len(parts) > 2 else None
        if not isinstance(named, str):
            return f"Error starting failure workflow: {name} names no workflow"
        name = named
    if state.depth + 1 > MAX_DEPTH:
        return f"Error starting failure workflow: limit_exceeded: depth: at most {MAX_DEPTH}"
    graph = step.context.catalog.latest(name, definition.failure_workflow_version)
    if graph is None:
        return f"Error starting failure workflow: no such workflow: {name}"
    return derived_id("failure", state.execution_id, state.epoch, state.seq), graph


def _compensating_start(step: Step, graph: Graph) -> StartExecution:
    """The start of the failure workflow, told of the execution as its end left it.

    Where that is too much for one input, the execution itself is left out: a failure workflow that
    fails and names itself would be given twice as much each time.
    """
    state = step.state
    whole = len(state.tasks) <= _TASKS_HANDED_ON
    given: JsonObject = {
        **state.input,
        "workflowId": state.execution_id,
        "reason": state.reason,
        "failureStatus": state.status,
        "failedWorkflow": render_execution(state, include_tasks=whole),
    }
    if state.failed_number:
        given["failureTaskId"] = task_id(state.execution_id, state.failed_number)
    return StartExecution(
        graph.hash,
        without_excess(given, step.context.limits, "failedWorkflow"),
        state.correlation_id,
        task_to_domain=state.task_to_domain or None,
        depth=state.depth + 1,
        trigger=f"failure of {state.execution_id}",
    )


def terminate(step: Step, reason: str, *, compensate: bool, by_parent: bool) -> None:
    """End it TERMINATED by command."""
    end_execution(step, TERMINATED, reason or None, compensate=compensate, tell_parent=not by_parent)
