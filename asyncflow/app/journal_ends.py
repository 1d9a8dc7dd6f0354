"""The end of an execution as its journal file says it, so that nobody has to fold it to learn.

The line with which nothing goes on any more says so, with what only a fold would tell. It writes and reads no
file: see `app/journaling` for the one, `app/recovering` for the other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from asyncflow.model.events import ExecutionEnded
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import COMPLETED, TASK_UNSUCCESSFUL
from asyncflow.model.values import JsonObject
from asyncflow.store.journal_file import JournalFile
from asyncflow.store.journal_lines import Over


class Outcome(NamedTuple):
    """What became of an execution of which nothing goes on.

    Attributes:
        shown: the execution in Conductor's shape, without input and tasks.
        tasks: how many task records there are of each status.
    """

    shown: JsonObject
    tasks: Mapping[str, int]


def goes_on(state: ExecutionState) -> bool:
    """Whether something of an execution is still to come, be it only the end of a job outside."""
    return not state.is_ended or bool(state.jobs) or bool(state.outbox)


def over(state: ExecutionState) -> Over | None:
    """What the last line says of an execution; None where it goes on. Cost: linear in its tasks."""
    if goes_on(state):
        return None
    tasks = state.tasks.values()
    failed = sum(task.status in TASK_UNSUCCESSFUL and not task.superseded for task in tasks)
    return Over(state.version, state.created_ms, failed, dict(Counter(task.status for task in tasks)))


def outcome(found: JournalFile) -> Outcome | None:
    """What became of a successful execution, if its file says that it is over; None where it is to be folded.

    Raises:
        StoreError: its last line is of a newer version.

    Cost: independent of the number of tasks, but for what this line holds.
    """
    said = found.over.get(found.execution_id)
    if said is None or said.failed or found.over.keys() != found.ends.keys():
        return None
    for recorded in reversed(found.last_of(found.execution_id)):
        end = recorded.event
        if isinstance(end, ExecutionEnded) and end.status == COMPLETED:
            shown: JsonObject = {
                "workflowId": found.execution_id,
                "workflowName": found.name,
                "workflowVersion": said.version,
                "status": end.status,
                "reasonForIncompletion": end.reason,
                "startTime": said.started_ms,
                "endTime": recorded.at_ms,
                "output": end.output,
            }
            return Outcome(shown, said.tasks)
    return None
