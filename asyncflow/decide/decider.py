"""decide: what an input makes of an execution.

The only entrance to the core for those who run it. Commands may be refused, before anything is
emitted; reports may be stale and then change nothing. What follows from an end is in
`decide/flow`; how an execution is opened again is in `decide/reopening`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asyncflow.decide import (
    commands,
    jobs,
    joins,
    migrating,
    operators,
    operators_child,
    operators_fork,
    operators_loop,
    operators_plugin,
    recovering,
    reopening,
    reports,
)
from asyncflow.decide.ending import end_execution
from asyncflow.decide.flow import advance
from asyncflow.decide.step import Begin, Context, Step
from asyncflow.errors import AsyncflowError, InvalidInput, NotFound, Refused
from asyncflow.model import inputs
from asyncflow.model.events import InputApplied
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import FAILED

Handler = Callable[[Step, Any], None]  # each takes the one kind of input it stands under

BEGINNINGS: dict[str, Begin] = {
    **operators.BEGINNINGS,
    **operators_fork.BEGINNINGS,
    **operators_loop.BEGINNINGS,
    **operators_child.BEGINNINGS,
    **operators_plugin.BEGINNINGS,
    **joins.BEGINNINGS,
}

_HANDLERS: dict[type[inputs.Input], Handler] = {
    inputs.StartExecution: commands.start,
    inputs.PauseExecution: commands.pause,
    inputs.ResumeExecution: commands.resume,
    inputs.TerminateExecution: commands.terminate,
    inputs.RemoveExecution: commands.remove,
    inputs.SkipTask: commands.skip,
    inputs.UpdateTask: commands.update,
    inputs.SetVariables: commands.set_variables,
    inputs.ResetCallbacks: commands.reset_callbacks,
    inputs.RecoverTasks: recovering.recover,
    inputs.Evaluate: commands.evaluate,
    inputs.Continue: commands.go_on,
    inputs.RestartExecution: reopening.restart,
    inputs.MigrateExecution: migrating.migrate,
    inputs.RetryExecution: reopening.retry,
    inputs.RerunExecution: reopening.rerun,
    inputs.RerunChanged: reopening.rerun_changed,
    inputs.ChildReopened: reopening.child_reopened,
    inputs.AttemptAdmitted: reports.attempt_admitted,
    inputs.AttemptEnded: reports.attempt_ended,
    inputs.AttemptInterrupted: reports.attempt_interrupted,
    inputs.ReleaseAttempt: reports.release_attempt,
    inputs.JobAccepted: jobs.accepted,
    inputs.JobStuck: jobs.stuck,
    inputs.JobSeen: jobs.seen,
    inputs.JobOver: jobs.over,
    inputs.StopJob: jobs.stop,
    inputs.DecideJob: jobs.decide_job,
    inputs.ScriptEnded: reports.script_ended,
    inputs.TimerDue: reports.timer_due,
    inputs.ExtendLease: reports.extend_lease,
    inputs.ChildEnded: reports.child_ended,
}


def decide(state: ExecutionState, given: inputs.Input, context: Context) -> Step:
    """The events, in order, and the messages that one input gives; already evolved into `state`.

    Raises:
        Refused: the command does not fit the state; nothing was emitted.
        NotFound: the command names a task that is not there, or the execution was deleted; nothing was
            emitted.
        InvalidInput: the command carries something that cannot be; nothing was emitted.

    Cost: what changes, at most about `context.slice_size` events; the rest is deferred to
    another turn, which the state then wants.
    """
    if state.removed:
        raise NotFound("execution", state.execution_id)
    step = Step(state, context, BEGINNINGS)
    if type(given) is inputs.AttemptsTold or type(given) is inputs.JobsTold:
        for report in given.reports:
            _apply(step, report)
    else:
        _apply(step, given)
    if state.seq > context.limits.history_events:
        _end_long_history(step)
    return step


def _apply(step: Step, given: inputs.Input) -> None:
    """Do what an input says, with all that follows at once."""
    try:
        if type(given) is inputs.Once:
            _apply_once(step, given)
        else:
            _HANDLERS[type(given)](step, given)
        advance(step)
    except (Refused, NotFound, InvalidInput) as refusal:
        if not step.events:
            raise
        _cannot_go_on(step, refusal)
    except AsyncflowError as error:
        _cannot_go_on(step, error)


def _apply_once(step: Step, once: inputs.Once) -> None:
    """Do what the command says, unless it was done; one that changes nothing may come again."""
    if once.token not in step.state.applied:
        _HANDLERS[type(once.given)](step, once.given)
        if step.events:
            step.emit(InputApplied(once.token))


def _cannot_go_on(step: Step, error: AsyncflowError) -> None:
    """End an execution whose next tasks cannot be made: an expression over a limit, a bad inline child.

    What was emitted before stays true, and what it opened is cancelled with the execution; half
    a decision is never recorded.
    """
    state = step.state
    if state.is_ended or not state.seq:
        if not step.events:
            raise error
        return  # its end is among what was emitted, and was made true
    end_execution(
        step,
        FAILED,
        f"Error scheduling tasks, for workflow: {state.execution_id}: {error.code}: {error}",
    )


def _end_long_history(step: Step) -> None:
    """End an execution that has recorded all it may; its end, and what it cancels, comes on top."""
    state, limit = step.state, step.context.limits.history_events
    if not state.is_ended:
        end_execution(step, FAILED, f"limit_exceeded: history_events: at most {limit}, got {state.seq}")
