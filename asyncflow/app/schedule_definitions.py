"""A schedule as Conductor writes it, read and checked: its expressions, its bounds and what it starts.

Ours stands under `asyncflow`: what becomes of missed times, and what of an execution that still goes on.
It holds no time of its own; `app/schedule_firing` fires, `app/schedules` keeps the documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from asyncflow.app.payloads import check_payload, check_texts
from asyncflow.app.schedule_times import Due, ZonedCron, next_due
from asyncflow.app.start_requests import parse_start_request
from asyncflow.errors import DefinitionError, InvalidInput, Violation
from asyncflow.model.cron import parse_cron
from asyncflow.model.durations import zone_of
from asyncflow.model.limits import Limits
from asyncflow.model.shape import FIRST_FAULT, Flag, Long, Shape, Text, parse
from asyncflow.model.values import JsonObject

CatchUp = Literal["none", "one", "all"]
"""What becomes of times missed while no engine ran: nothing, the latest is made up for, or each of them."""

Overlap = Literal["allow", "skip", "cancel_running"]
"""What to do at a time when an execution that the schedule started goes on still."""

_MOST_CRONS = 100
_NAME = 255  # characters
_SHOWN_ONLY = ("createTime", "updatedTime", "nextRunTime", "createdBy", "updatedBy")


class CronSchedule(Shape):
    """One of several expressions."""

    cron_expression: Text = ""
    zone_id: Text = "UTC"


class ScheduleExtension(Shape):
    """Ours on a schedule; a word that is not known is refused, since it would silently mean nothing."""

    model_config = ConfigDict(extra="forbid")

    catch_up: CatchUp | None = None
    overlap: Overlap = "allow"


class WorkflowSchedule(Shape):
    """The document; see Conductor's WorkflowSchedule."""

    name: Text = ""
    cron_expression: Text | None = None
    zone_id: Text = "UTC"
    cron_schedules: Annotated[list[CronSchedule], FIRST_FAULT] = Field(default_factory=list)
    start_workflow_request: dict[str, object] | None = None
    paused: Flag = False
    paused_reason: Text | None = None
    run_catchup_schedule_instances: Flag = False
    schedule_start_time: Long | None = None
    schedule_end_time: Long | None = None
    description: Text | None = None
    extension: ScheduleExtension = Field(default_factory=ScheduleExtension)


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule that can be fired.

    Attributes:
        body: the document as it is stored.
        request: Conductor's StartWorkflowRequest, as it was sent.
        start_ms: no time before it counts; `end_ms`: none after it.
        owner: who made it, and so is said to start what it starts.
    """

    name: str
    body: JsonObject
    crons: tuple[ZonedCron, ...]
    request: JsonObject
    workflow: str
    is_paused: bool
    catch_up: CatchUp
    overlap: Overlap
    start_ms: int | None
    end_ms: int | None
    owner: str = ""

    def next_due(self, after_ms: int) -> Due | None:
        """The first time after this one, within the bounds; whether it is paused does not matter."""
        return bounded_next(self.crons, after_ms, start_ms=self.start_ms, end_ms=self.end_ms)

    def last_due(self, after_ms: int, until_ms: int) -> Due | None:
        """The latest time after the one and not after the other.

        Cost: some forty times that of `next_due`, however many lie in between.
        """
        found = self.next_due(after_ms)
        if found is None or found.at_ms > until_ms:
            return None
        low, high = found.at_ms, until_ms
        while low < high:  # the latest moment after which one is still to come, within the bound
            middle = (low + high) // 2
            later = self.next_due(middle)
            if later is not None and later.at_ms <= until_ms:
                found, low = later, later.at_ms
            else:
                high = middle
        return found

    def recent(self, after_ms: int, until_ms: int, most: int) -> int:
        """A moment not before `after_ms` from which on at most so many times lie before `until_ms`.

        Where there are more, it is the begin of the longest stretch of 1, 2, 4, … seconds before
        `until_ms` that has no more.
        """
        begin_ms, width_ms = until_ms, 1_000
        while begin_ms > after_ms:
            earlier_ms = max(after_ms, until_ms - width_ms)
            if not self._has_at_most(most, earlier_ms, until_ms):
                return begin_ms
            begin_ms, width_ms = earlier_ms, width_ms * 2
        return begin_ms

    def _has_at_most(self, most: int, after_ms: int, until_ms: int) -> bool:
        for _ in range(most + 1):
            due = self.next_due(after_ms)
            if due is None or due.at_ms > until_ms:
                return True
            after_ms = due.at_ms
        return False


def bounded_next(
    crons: Sequence[ZonedCron], after_ms: int, *, start_ms: int | None, end_ms: int | None
) -> Due | None:
    """The first time after this one that lies within the bounds, both of them inside."""
    due = next_due(crons, after_ms if start_ms is None else max(after_ms, start_ms - 1))
    return None if due is None or (end_ms is not None and due.at_ms > end_ms) else due


def parse_schedule(body: JsonObject, *, limits: Limits) -> Schedule:
    """A schedule read from its document.

    Raises:
        DefinitionError: its shape is wrong, with every violation.
        InvalidInput: a cron expression, a zone or a bound cannot be; the message names it.
        LimitExceeded: something in it is too large.
    """
    given = {key: value for key, value in body.items() if key not in _SHOWN_ONLY}
    checked, _ = check_payload(given, "schedule", limits)
    parsed = parse(WorkflowSchedule, checked, limits=limits)
    if not parsed.name or len(parsed.name) > _NAME:
        raise InvalidInput(f"a text of 1 to {_NAME} characters is expected", field="name")
    check_texts(name=parsed.name, pausedReason=parsed.paused_reason, description=parsed.description)
    start_ms, end_ms = parsed.schedule_start_time or None, parsed.schedule_end_time or None
    if start_ms is not None and end_ms is not None and start_ms > end_ms:
        raise InvalidInput("it lies after scheduleEndTime", field="scheduleStartTime")
    if parsed.start_workflow_request is None:
        raise InvalidInput("a StartWorkflowRequest is expected", field="startWorkflowRequest")
    request = parse_start_request(parsed.start_workflow_request, limits=limits)
    workflow = request.name or (request.workflow_def.name if request.workflow_def is not None else "")
    if not workflow:
        raise InvalidInput("Workflow name cannot be null or empty", field="startWorkflowRequest.name")
    all_of_them: CatchUp = "all" if parsed.run_catchup_schedule_instances else "none"
    return Schedule(
        parsed.name,
        checked,
        _crons(parsed),
        parsed.start_workflow_request,
        workflow,
        parsed.paused,
        parsed.extension.catch_up or all_of_them,
        parsed.extension.overlap,
        start_ms,
        end_ms,
        str(body.get("createdBy") or ""),
    )


def zoned_cron(expression: str, zone: str) -> ZonedCron:
    """An expression in a zone.

    Raises:
        InvalidInput: one of the two is none; the message names it.
    """
    try:
        return ZonedCron(parse_cron(expression), zone_of(zone), zone)
    except InvalidInput as error:
        if error.field == "cronExpression":
            raise
        raise InvalidInput(f"no such time zone: {zone[:80]!r}", field="zoneId") from error


def _crons(parsed: WorkflowSchedule) -> tuple[ZonedCron, ...]:
    """Its expressions; the single one counts where there is no list."""
    if len(parsed.cron_schedules) > _MOST_CRONS:
        raise DefinitionError([Violation("cronSchedules", f"at most {_MOST_CRONS} are taken")])
    if parsed.cron_schedules:
        return tuple(zoned_cron(each.cron_expression, each.zone_id) for each in parsed.cron_schedules)
    if not parsed.cron_expression:
        raise InvalidInput("a cron expression is expected", field="cronExpression")
    return (zoned_cron(parsed.cron_expression, parsed.zone_id),)
