"""What a journal file says of its execution, for those who look before it is taken up, or need no more.

It changes nothing. Reading a file, and putting one into a database, is `app/recovering`.
"""

from __future__ import annotations

from asyncflow.app.journal_ends import goes_on
from asyncflow.app.recovering import Journaled
from asyncflow.decide.render import render_execution
from asyncflow.model.statuses import TASK_ENDED, TASK_SUCCESSFUL
from asyncflow.model.values import JsonObject

REUSE, AGAIN, OPEN = "reuse", "run again", "go on"


def is_over(found: Journaled) -> bool:
    """Whether nothing of the execution or below it goes on, so that no engine is needed."""
    return not any(map(goes_on, found.states.values()))


def shown(found: Journaled) -> JsonObject:
    """The execution in Conductor's shape."""
    return render_execution(found.state)


def plan_of(found: Journaled) -> list[JsonObject]:
    """Each task record of a file: reused, run again, or going on where it was; oldest first."""
    rows: list[JsonObject] = []
    for stream, state in found.states.items():
        for task in state.tasks.values():
            action, reason = _fate(task.status)
            rows.append(
                {
                    "action": action,
                    "taskReferenceName": task.ref,
                    "type": task.node.type,
                    "status": task.status,
                    "workflowId": stream,
                    "reason": reason,
                }
            )
    return rows


def _fate(status: str) -> tuple[str, str]:
    if status in TASK_SUCCESSFUL:
        return REUSE, "its result is in the file"
    if status in TASK_ENDED:
        return REUSE, "how it ended is in the file"
    if status == "IN_PROGRESS":
        return AGAIN, "it was begun, and no end is in the file"
    return OPEN, "it was due, and not begun"
