"""What callers ask of an execution: start, pause, resume, terminate, skip, update, variables.

Each is checked whole before it emits anything. Restart, retry and rerun are in
`decide/reopening`.
"""

# ruff: noqa: ARG001 - all handlers of a dispatch table have one shape

from __future__ import annotations

from asyncflow.decide import ending
from asyncflow.decide.ending import release_child
from asyncflow.decide.flow import begin_list, complete, fail, take_up
from asyncflow.decide.gather import output_of
from asyncflow.decide.jobs import open_jobs_fault
from asyncflow.decide.operators import variables_fault
from asyncflow.decide.payloads import payload_fault
from asyncflow.decide.repairing import repair
from asyncflow.decide.scheduling import OUTSIDE
from asyncflow.decide.slots import await_slot
from asyncflow.decide.step import Step
from asyncflow.errors import InvalidInput, NotFound, Refused
from asyncflow.model import events as ev
from asyncflow.model import inputs
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import (
    CANCELED,
    COMPLETED,
    COMPLETED_WITH_ERRORS,
    FAILED,
    FAILED_TERMINALLY,
    IN_PROGRESS,
    PAUSED,
    RUNNING,
    SCHEDULED,
    SKIPPED,
    TERMINATED,
    TIMED_OUT,
)
from asyncflow.model.values import JsonObject

_UPDATES = frozenset(
    {IN_PROGRESS, COMPLETED, COMPLETED_WITH_ERRORS, FAILED, FAILED_TERMINALLY, TIMED_OUT, CANCELED, SKIPPED}
)
_REASON_LENGTH = 500


# A command is judged before it emits anything: whoever is refused finds the state as it was. What it
# leads to beyond itself (the next task cannot be made, a limit is hit) is no refusal any more but the
# end of the execution, and the caller is answered that the command was done.


def start(step: Step, command: inputs.StartExecution) -> None:
    """Begin. A second start of the same execution changes nothing."""
    state = step.state
    if state.seq:
        return
    definition = state.graph.definition
    given = command.input
    if given and definition.input_template:
        given = {**definition.input_template, **given}
    step.emit(
        ev.ExecutionStarted(
            command.definition,
            definition.name,
            definition.version,
            given,
            command.correlation_id,
            command.priority,
            command.task_to_domain,
            command.parent_id,
            command.parent_number,
            command.depth,
            command.created_by,
            command.trigger,
            command.idempotency_key,
            command.request_hash,
            command.slots,
            command.routing,
            command.holds,
        )
    )
    if not await_slot(step, begins=True):
        begin_list(step, state.graph.root, OUTSIDE)


def pause(step: Step, command: inputs.PauseExecution) -> None:
    """Stop scheduling follow-ups."""
    if step.state.is_ended:
        raise Refused(f"execution {step.state.execution_id} is {step.state.status}: it cannot be paused")
    if step.state.status != PAUSED:
        step.emit(ev.ExecutionPaused(command.reason, command.by_stop))


def resume(step: Step, command: inputs.ResumeExecution) -> None:
    """Schedule what was held back, in this same step."""
    if command.by_start and not step.state.paused_by_stop:
        return  # somebody resumed or ended it, or it is a user who paused it
    if step.state.status != PAUSED:
        raise Refused(f"execution {step.state.execution_id} is {step.state.status}, not PAUSED")
    step.emit(ev.ExecutionResumed(command.by_start))
    take_up(step)


def terminate(step: Step, command: inputs.TerminateExecution) -> None:
    """End it TERMINATED; asked again it changes nothing."""
    state = step.state
    if state.status == TERMINATED or (command.by_parent and state.is_ended):
        return
    if state.status == COMPLETED:
        raise Refused(f"execution {state.execution_id} is COMPLETED: it cannot be terminated")
    ending.terminate(step, command.reason, compensate=command.failure_workflow, by_parent=command.by_parent)


def remove(step: Step, command: inputs.RemoveExecution) -> None:
    """Delete it; nothing may follow, so nothing may be under way or left to tell."""
    state = step.state
    if not state.is_ended:
        raise Refused(f"execution {state.execution_id} is {state.status}: only an ended one can be deleted")
    open_jobs = open_jobs_fault(state)
    if open_jobs is not None:
        raise Refused(f"execution {state.execution_id} cannot be deleted yet: {open_jobs}")
    if state.outbox or state.wanted or state.repairs:
        raise Refused(f"execution {state.execution_id} has still to tell others of its end: ask again")
    step.emit(ev.ExecutionRemoved(command.reason))


def skip(step: Step, command: inputs.SkipTask) -> None:
    """Count a task as done before it is scheduled."""
    state = step.state
    if state.status != RUNNING:
        raise Refused(f"execution {state.execution_id} is {state.status}: no task can be skipped")
    node = state.graph.nodes.get(command.ref)
    if node is None:
        raise NotFound("task", command.ref)
    if command.ref in state.by_ref:
        raise Refused(f"task {command.ref} was scheduled already: it cannot be skipped")
    step.emit(ev.TaskSkipped(state.next_number, command.ref, command.input, command.output))
    if node.home.dag and node.loop is None:  # in a loop the name of an iteration's task is another
        step.pending.append(state.by_ref[command.ref])


def set_variables(step: Step, command: inputs.SetVariables) -> None:
    """Merge variables in."""
    if step.state.is_ended:
        raise Refused(f"execution {step.state.execution_id} is {step.state.status}: its variables are final")
    variables = _appended(step.state, command.variables) if command.append else command.variables
    fault = variables_fault(step, variables)
    if fault is not None:
        raise InvalidInput(fault, field="variables")
    step.emit(ev.VariablesSet(variables))


def _appended(state: ExecutionState, given: JsonObject) -> JsonObject:
    """The variables with values put behind those of lists; a list is taken for its members."""
    found: JsonObject = {}
    for name, value in given.items():
        present = state.variables.get(name)
        more = value if isinstance(value, list) else [value]
        found[name] = [*present, *more] if isinstance(present, list) else value
    return found


def reset_callbacks(step: Step, command: inputs.ResetCallbacks) -> None:
    """Offer at once what workers asked to be called back for later."""
    state = step.state
    if state.is_ended:
        raise Refused(f"execution {state.execution_id} is {state.status}: nobody is called back")
    for task in [state.tasks[number] for number in state.wanted if number > 0]:
        if task.status == SCHEDULED and task.executor == "remote" and task.callback_after_s:
            step.emit(ev.TaskUpdated(task.number, status=SCHEDULED))


def evaluate(step: Step, command: inputs.Evaluate) -> None:
    """Nothing of its own: looking again is what every step ends with."""


def go_on(step: Step, command: inputs.Continue) -> None:
    """Take up a slice of what was deferred, and of the records that a reopening has to put right."""
    if step.state.repairs and not step.state.awaits_slot:
        repair(step)
    if not step.state.is_ended and step.state.status != PAUSED:
        take_up(step)


def update(step: Step, command: inputs.UpdateTask) -> None:
    """Apply what a worker or caller says of a task; one that ended is left as it is."""
    if command.status not in _UPDATES:
        raise InvalidInput(f"one of {', '.join(sorted(_UPDATES))}, got {command.status!r}", field="status")
    task = find_task(step.state, command.number, command.ref)
    if task.is_ended or step.state.is_ended:
        return
    if command.status != IN_PROGRESS:
        release_child(step, task, f"task {task.ref} was updated to {command.status}")
    output: JsonObject = command.output
    if command.merge:
        output = {**output_of(step.state, task), **output}
        fault = payload_fault(output, step.context.limits)
        if fault is not None:
            raise InvalidInput(f"{fault}: what is merged is more than can be recorded", field="output")
    reason = command.reason[:_REASON_LENGTH] if command.reason is not None else None
    if command.merge and reason is None:
        reason = task.reason
    if command.status == IN_PROGRESS:
        # Back to its queue; or it still waits for admission or its time here, which nobody outside gives it.
        remote = task.executor == "remote"
        waits = command.callback_after_s > 0 if remote else task.status == SCHEDULED
        step.emit(
            ev.TaskUpdated(
                task.number,
                output,
                reason,
                command.callback_after_s,
                command.worker_id,
                SCHEDULED if waits else IN_PROGRESS,
            )
        )
    elif command.status in {COMPLETED, COMPLETED_WITH_ERRORS, SKIPPED}:
        complete(
            step,
            task,
            output,
            status=COMPLETED if command.status == SKIPPED else command.status,
            reason=reason,
            output_bytes=command.output_bytes,
        )
    else:
        fail(step, task, command.status, reason or "", output)


def find_task(state: ExecutionState, number: int, ref: str) -> TaskState:
    """The record a command means: by number, or the newest of a reference name, ended or not.

    Raises:
        NotFound: there is none.
    """
    by_name = state.by_ref.get(ref) or state.latest.get(ref)
    task = state.tasks.get(number) if number else by_name
    if task is None:
        raise NotFound("task", ref or str(number))
    return task
