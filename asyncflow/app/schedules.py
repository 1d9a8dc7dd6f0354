"""Schedules: documents that say when executions are started, kept, shown and steered.

What is stored is durable at return, and fires from then on. Firing is in `schedule_firing`, what a
document says in `schedule_definitions`; what came of each time is in the logbook.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from asyncflow.app.documents import Documents
from asyncflow.app.logbook import Logbook
from asyncflow.app.schedule_definitions import Schedule, bounded_next, parse_schedule, zoned_cron
from asyncflow.app.schedule_firing import ScheduleFiring
from asyncflow.app.schedule_history import ScheduleHistory
from asyncflow.app.service import Service
from asyncflow.errors import AsyncflowError, InvalidInput, NotFound
from asyncflow.model import free_text as words
from asyncflow.model.search_query import Kind, parse_sort
from asyncflow.model.values import JsonObject

KIND = "schedule"

MOST_NEXT = 5
"""Next times shown of an expression."""

_SORTED: Mapping[str, Kind] = {
    "name": Kind.TEXT,
    "scheduleName": Kind.TEXT,
    "workflowName": Kind.TEXT,
    "createTime": Kind.TIME,
    "updatedTime": Kind.TIME,
    "nextRunTime": Kind.TIME,
}


class Wanted(NamedTuple):
    """Which schedules are looked for; empty and None mean any."""

    workflow: str = ""
    name: str = ""
    is_paused: bool | None = None
    free_text: str = "*"


class Schedules:
    """The schedules of one engine.

    Attributes:
        firing: who fires them.
        history: what came of their times.
    """

    def __init__(self, executions: Service, logbook: Logbook) -> None:
        """Serve the schedules that are stored; none fires before `open`."""
        self.firing = ScheduleFiring(executions, logbook)
        self.history = ScheduleHistory(logbook, self._known)
        self._engine = executions.engine
        self._documents = Documents(executions.engine, KIND)
        self._parsed: dict[str, tuple[JsonObject, Schedule]] = {}

    async def open(self) -> None:
        """Take up what is stored, make up for what was missed, and fire from now on."""
        await self.firing.begin([(each, self._documents.times_ms(each.name)[1]) for each in self._all()])

    # --- documents --------------------------------------------------------------------------------

    async def save(self, body: JsonObject, *, by: str = "") -> JsonObject:
        """Store a schedule, or replace the one of its name; what is shown of it then.

        Raises:
            DefinitionError, InvalidInput, LimitExceeded: as `parse_schedule`; nothing changed.
        """
        schedule = parse_schedule(body, limits=self._engine.settings.limits)
        before = self._documents.all().get(schedule.name, {})
        created_by = before.get("createdBy") or body.get("createdBy")
        stored = {**schedule.body, "createdBy": str(created_by or by), "updatedBy": by}
        return await self._store(stored, by)

    async def _store(self, body: JsonObject, by: str) -> JsonObject:
        schedule = parse_schedule(body, limits=self._engine.settings.limits)
        await self._documents.save(schedule.name, body, created_by=by)
        self.firing.put(self._schedule(schedule.name))
        return self.get(schedule.name)

    def get(self, name: str) -> JsonObject:
        """A schedule as it was sent, with its times and the next one at which it is due.

        Raises:
            NotFound: there is none.
        """
        body = self._documents.get(name)
        made_ms, changed_ms = self._documents.times_ms(name)
        given = {key: value for key, value in body.items() if value is not None and value != ""}
        shown: JsonObject = {**_DEFAULTS, **given, "createTime": made_ms, "updatedTime": changed_ms}
        due_ms = self._due_ms(self._schedule(name))
        if due_ms is not None:
            shown["nextRunTime"] = due_ms
        return shown

    def _due_ms(self, schedule: Schedule) -> int | None:
        due = None if schedule.is_paused else schedule.next_due(self._engine.clock.now().wall_ms)
        return None if due is None else due.at_ms

    async def delete(self, name: str) -> None:
        """Delete a schedule, if there is one; what it started goes on."""
        if name in self._documents.all():
            await self._documents.delete(name)
            self._parsed.pop(name, None)
            self.firing.drop(name)

    async def pause(self, name: str, reason: str = "", *, by: str = "") -> None:
        """Fire it no more; what comes due until it is resumed is not made up for.

        Raises:
            NotFound: there is none.
        """
        body = self._documents.get(name)
        paused = {**body, "paused": True, "updatedBy": by, "pausedReason": reason or None}
        await self._store({key: value for key, value in paused.items() if value is not None}, by)

    async def resume(self, name: str, *, by: str = "") -> None:
        """Fire it again, from now on.

        Raises:
            NotFound: there is none, or it is not paused.
        """
        body = self._documents.get(name)
        if not self._schedule(name).is_paused:
            raise NotFound("paused schedule", name)
        going = {key: value for key, value in body.items() if key != "pausedReason"}
        await self._store({**going, "paused": False, "updatedBy": by}, by)

    async def steer(self, names: Sequence[str], *, is_paused: bool, by: str = "") -> dict[str, str]:
        """Pause or resume many; what kept one from it, by name. Those that can be, are."""
        failed: dict[str, str] = {}
        for name in dict.fromkeys(names):
            try:
                await (self.pause(name, by=by) if is_paused else self.resume(name, by=by))
            except AsyncflowError as error:
                failed[name] = str(error)
        return failed

    def _schedule(self, name: str) -> Schedule:
        """What the document of this name says; read once for each change."""
        body = self._documents.get(name)
        known = self._parsed.get(name)
        if known is None or known[0] is not body:
            known = self._parsed[name] = (body, parse_schedule(body, limits=self._engine.settings.limits))
        return known[1]

    def _known(self, name: str) -> Schedule | None:
        return self._schedule(name) if name in self._documents.all() else None

    def _all(self) -> Iterable[Schedule]:
        return [self._schedule(name) for name in self._documents.all()]

    # --- lists ------------------------------------------------------------------------------------

    def all(self, workflow: str = "") -> list[JsonObject]:
        """All schedules, or those that start this workflow, by name."""
        return self.search(Wanted(workflow=workflow), size=None)[1]

    def search(
        self, wanted: Wanted, *, start: int = 0, size: int | None = 100, sort: Sequence[str] = ()
    ) -> tuple[int, list[JsonObject]]:
        """How many schedules meet all that is wanted, and a page of them, by name unless sorted.

        Cost: only the page is rendered; to sort by `nextRunTime` the next time of each is worked out.

        Raises:
            InvalidInput: the order names a field that there is not.
        """
        order = parse_sort(sort, _SORTED)
        found = [each for each in self._all() if self._meets(each, wanted)]
        found.sort(key=lambda each: each.name)
        for field, is_down in reversed(order):
            found.sort(key=partial(self._sort_key, field), reverse=is_down)
        page = found[start:] if size is None else found[start : start + size]
        return len(found), [self.get(each.name) for each in page]

    def _sort_key(self, field: str, schedule: Schedule) -> tuple[bool, int, str]:
        """What a schedule is sorted by; one that has no such field comes last."""
        if _SORTED[field] is Kind.TEXT:
            return False, 0, schedule.workflow if field == "workflowName" else schedule.name
        if field == "nextRunTime":
            due_ms = self._due_ms(schedule)
            return due_ms is None, due_ms or 0, ""
        made_ms, changed_ms = self._documents.times_ms(schedule.name)
        return False, made_ms if field == "createTime" else changed_ms, ""

    @staticmethod
    def _meets(schedule: Schedule, wanted: Wanted) -> bool:
        if wanted.workflow and schedule.workflow != wanted.workflow:
            return False
        if wanted.name and wanted.name.lower() not in schedule.name.lower():
            return False
        if wanted.is_paused is not None and schedule.is_paused != wanted.is_paused:
            return False
        if words.is_everything(wanted.free_text):
            return True
        text = f"{schedule.name} {schedule.workflow} {schedule.body.get('description', '')}".lower()
        return all(word.lower() in text for word in words.words(wanted.free_text))

    def next_times(
        self,
        expression: str,
        *,
        zone: str = "UTC",
        start_ms: int | None,
        end_ms: int | None,
        limit: int = MOST_NEXT,
    ) -> list[int]:
        """The next moments at which an expression is due, at most five, within the bounds.

        Raises:
            InvalidInput: the expression or the zone is none.
        """
        if limit < 0:
            raise InvalidInput(f"0 or more is expected, got {limit}", field="limit")
        crons = (zoned_cron(expression, zone),)
        found: list[int] = []
        after_ms = self._engine.clock.now().wall_ms
        while len(found) < min(limit, MOST_NEXT):
            due = bounded_next(crons, after_ms, start_ms=start_ms, end_ms=end_ms)
            if due is None:
                break
            after_ms = due.at_ms
            found.append(after_ms)
        return found


_DEFAULTS: JsonObject = {"zoneId": "UTC", "paused": False, "runCatchupScheduleInstances": False}
