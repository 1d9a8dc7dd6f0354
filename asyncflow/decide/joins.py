"""How joins end: when all they name have settled, as their members did.

A member counts when the flow has gone on from it, so retries come before the join looks: in
Conductor a join may see a failed attempt before its retry is made. `decide/counters` counts and
says which joins are ready; what they gather is in `decide/gather`.
"""

from __future__ import annotations

from asyncflow.decide.counters import exclusive_choice
from asyncflow.decide.flow import complete, fail
from asyncflow.decide.gather import join_members, output_of
from asyncflow.decide.step import FINISH_JOIN, Begin, Step
from asyncflow.ids import task_id
from asyncflow.model.state import TaskState
from asyncflow.model.statuses import CANCELED, COMPLETED_WITH_ERRORS, FAILED, TASK_UNSUCCESSFUL

_NAMED = 100  # members that a reason names


def finish_join(step: Step, join: TaskState) -> None:
    """End a join whose members settled, if they still are."""
    if join.node.type == "JOIN":
        _finish_join(step, join)
    else:
        _finish_exclusive_join(step, join)


def _finish_join(step: Step, join: TaskState) -> None:
    """All members count: one that failed fails the JOIN, one that was tolerated marks it.

    A plain failure never comes here, it has ended the execution; what is left are permissive
    members. If all of them were cancelled the JOIN is CANCELED, not FAILED, so that the
    execution ends TERMINATED like the children that were terminated.
    """
    state = step.state
    failed: list[TaskState] = []
    with_errors: list[TaskState] = []
    for member in join_members(state, join):
        if member.status in TASK_UNSUCCESSFUL:
            failed.append(member)
        elif member.status == COMPLETED_WITH_ERRORS:
            with_errors.append(member)
    if failed:
        canceled = all(member.status == CANCELED for member in failed)
        reasons = " ".join([member.reason for member in failed if member.reason][:_NAMED])
        fail(step, join, CANCELED if canceled else FAILED, reasons)
    elif with_errors:
        named = "; ".join(
            f"{member.ref}/{task_id(state.execution_id, member.number)} {member.reason or ''} "
            "completed with errors"
            for member in with_errors[:_NAMED]
        )
        complete(step, join, None, status=COMPLETED_WITH_ERRORS, reason=named)
    else:
        complete(step, join, None)


def _finish_exclusive_join(step: Step, join: TaskState) -> None:
    found = exclusive_choice(step.state, join)
    if found is None:
        return
    if found.status in TASK_UNSUCCESSFUL:
        fail(step, join, FAILED, found.reason or f"{found.ref} did not succeed")
    else:
        complete(step, join, dict(output_of(step.state, found)))


BEGINNINGS: dict[str, Begin] = {FINISH_JOIN: finish_join}
