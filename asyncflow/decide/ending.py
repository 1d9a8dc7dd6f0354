"""How an execution ends: output, children, parent, failure workflow.

Whoever decides that it ends calls `end_execution`; `finish` is for those with nothing left to
do. Both are the last thing a step does to its execution.
"""

from __future__ import annotations

from asyncflow.decide.gather import output_of
from asyncflow.decide.render import render_execution
from asyncflow.decide.step import Step
from asyncflow.errors import AsyncflowError
from asyncflow.ids import derived_id, task_id
from asyncflow.model.events import ExecutionEnded
from asyncflow.model.inputs import ChildEnded, StartExecution, TerminateExecution
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import COMPLETED, FAILED, TASK_UNSUCCESSFUL, TERMINATED
from asyncflow.model.values import JsonObject

_OPERATOR_TYPES = frozenset(
    {"FORK_JOIN", "FORK_JOIN_DYNAMIC", "JOIN", "EXCLUSIVE_JOIN", "SWITCH", "DECISION", "DO_WHILE"}
)


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
            for t in failed[:100]
        )
        end_execution(step, FAILED, reasons, failed=failed[0])
        return
    too_heavy = _failed_weight(state)
    if too_heavy is not None:
        end_execution(step, FAILED, too_heavy)
    else:
        end_execution(step, COMPLETED, None)


def _failed_weight(state: ExecutionState) -> str | None:
    """Why tolerated failures weigh too much together, or None where they do not."""
    extension = state.graph.definition.extension
    threshold = None if extension is None else extension.fail_if_failed_weight_above
    if threshold is None:
        return None
    total = failed = 0.0
    names: list[str] = []
    for task in state.tasks.values():
        if task.superseded or task.node.type in _OPERATOR_TYPES:
            continue
        own = task.node.task.extension
        weight = 1.0 if own is None else own.weight
        total += weight
        if task.status == "COMPLETED_WITH_ERRORS" and not task.node.task.optional:
            failed += weight
            names.append(task.ref)
    share = failed / total if total else 0.0
    if share <= threshold:
        return None
    return f"Failed weight {share:.3g} is above {threshold:g}: {', '.join(names[:20])}"


def end_execution(
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
    identity = _start_failure_workflow(step, status, reason, failed=failed) if compensate else None
    number = failed.number if failed is not None else 0
    step.emit(ExecutionEnded(status, reason, result, number, identity))
    step.pending.clear()
    cause = (
        f"Parent workflow has been terminated with reason: {reason}"
        if reason
        else f"Parent workflow has been terminated with status {status}"
    )
    for child in children:
        step.send(child, TerminateExecution(cause, by_parent=True))
    if state.parent_id is not None and tell_parent:
        step.send(
            state.parent_id,
            ChildEnded(state.parent_number, state.execution_id, status, state.output, reason),
        )


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
        last = next(reversed(state.tasks.values()), None)
        return {} if last is None else dict(output_of(state, last))
    try:
        resolved = template.resolve(step.scope())
    except AsyncflowError as error:
        return {"error": f"outputParameters: {error}"}
    return resolved if isinstance(resolved, dict) else {}


def _start_failure_workflow(
    step: Step, status: str, reason: str | None, *, failed: TaskState | None
) -> str | None:
    """Send the start of the failure workflow: its id, or why it could not start, or None for no need."""
    state = step.state
    definition = state.graph.definition
    if status == COMPLETED or not definition.failure_workflow:
        return None
    name = definition.failure_workflow
    if name.startswith("$"):
        parts = name.strip("${}").split(".")
        named = state.input.get(parts[2]) if len(parts) > 2 else None
        if not isinstance(named, str):
            return f"Error starting failure workflow: {name} names no workflow"
        name = named
    graph = step.context.catalog.latest(name, definition.failure_workflow_version)
    if graph is None:
        return f"Error starting failure workflow: no such workflow: {name}"
    identity = derived_id("failure", state.execution_id, state.epoch, state.seq)
    given: JsonObject = {
        **state.input,
        "workflowId": state.execution_id,
        "reason": reason,
        "failureStatus": status,
        "failedWorkflow": {**render_execution(state), "status": status, "reasonForIncompletion": reason},
    }
    if state.failed_number or failed is not None:
        number = state.failed_number or (failed.number if failed is not None else 0)
        given["failureTaskId"] = task_id(state.execution_id, number)
    step.send(
        identity,
        StartExecution(
            graph.hash,
            given,
            state.correlation_id,
            task_to_domain=state.task_to_domain or None,
            trigger=f"failure of {state.execution_id}",
        ),
    )
    return identity


def terminate(step: Step, reason: str, *, compensate: bool, by_parent: bool) -> None:
    """End it TERMINATED by command."""
    end_execution(step, TERMINATED, reason or None, compensate=compensate, tell_parent=not by_parent)
