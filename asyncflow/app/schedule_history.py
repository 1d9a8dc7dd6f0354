"""What became of the times of schedules, searched like executions and shown in Conductor's words.

It reads the logbook and changes nothing; the rows are written by `schedule_firing`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from asyncflow.app.logbook import Firing, Logbook
from asyncflow.app.schedule_definitions import Schedule
from asyncflow.app.schedule_starts import FAILED, SKIPPED
from asyncflow.app.search_fields import Field, conditions_of, page_of
from asyncflow.model import free_text as words
from asyncflow.model.search_query import Kind
from asyncflow.model.values import JsonObject
from asyncflow.store.records import AnyOf, Condition, Where

FIRING_FIELDS: Mapping[str, Field] = {
    "scheduleName": Field("schedule", Kind.TEXT),
    "scheduledTime": Field("due_ms", Kind.TIME),
    "executionTime": Field("fired_ms", Kind.TIME),
    "workflowId": Field("execution_id", Kind.TEXT),
    "executionId": Field("execution_id", Kind.TEXT),
    "state": Field("status", Kind.TEXT),
    "status": Field("status", Kind.TEXT),
    "reason": Field("reason", Kind.TEXT),
}
"""The fields that a query and a sort may name; `state` also knows SKIPPED, which is shown as FAILED."""


class ScheduleHistory:
    """What came of the times of the schedules of one engine."""

    def __init__(self, logbook: Logbook, schedule_of: Callable[[str], Schedule | None]) -> None:
        """Read this logbook; `schedule_of` gives a schedule as it is now, if it still is."""
        self._logbook, self._schedule_of = logbook, schedule_of

    async def find(
        self,
        query: str = "",
        free_text: str = "*",
        *,
        start: int = 0,
        size: int = 100,
        sort: Sequence[str] = (),
    ) -> tuple[int, list[JsonObject]]:
        """How many times a query finds, and a page of them, the latest due first unless sorted.

        Raises:
            InvalidInput: query, sort or free text cannot be read, or the page is too large.
        """
        page = page_of(start, size, sort, FIRING_FIELDS)
        conditions = conditions_of(query, FIRING_FIELDS)
        if not words.is_everything(free_text):
            conditions += [_containing(word) for word in words.words(free_text)]
        found = await self._logbook.find_firings(conditions, page)
        return found.total, [_shown(row, self._schedule_of(row.schedule)) for row in found.rows]


def _containing(word: str) -> Where:
    columns = ("schedule", "reason", "execution_id", "status")
    return AnyOf(tuple(Condition(column, "contains", (word,)) for column in columns))


def _shown(row: Firing, schedule: Schedule | None) -> JsonObject:
    """In the words of Conductor, which knows no skipped time; the true state is ours."""
    shown: JsonObject = {
        "executionId": row.execution_id or f"{row.schedule}@{row.due_ms}",
        "scheduleName": row.schedule,
        "scheduledTime": row.due_ms,
        "executionTime": row.fired_ms,
        "state": FAILED if row.status == SKIPPED else row.status,
        "workflowName": schedule.workflow if schedule is not None else None,
        "workflowId": row.execution_id or None,
        "reason": row.reason or None,
        "startWorkflowRequest": schedule.request if schedule is not None else None,
        "asyncflow": {"state": row.status},
    }
    return {key: value for key, value in shown.items() if value is not None}
