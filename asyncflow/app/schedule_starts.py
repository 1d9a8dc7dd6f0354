"""One time of a schedule dealt with: written down, started under a derived id, and what came of it noted.

A time is written down before anything is started, and its id is derived from schedule and time: whatever
is killed when, it fires once. When times come is the business of `schedule_firing`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from asyncflow.app.logbook import Firing, Logbook
from asyncflow.app.schedule_definitions import Schedule
from asyncflow.app.schedule_times import Due
from asyncflow.app.service import Service
from asyncflow.app.start_requests import parse_start_request
from asyncflow.errors import AsyncflowError, NotFound, Refused, ShuttingDown, StoreError
from asyncflow.ids import ExecutionId, derived_id
from asyncflow.model.values import JsonObject
from asyncflow.store.records import Condition, Page

log = logging.getLogger("asyncflow.schedules")

POLLED, EXECUTED, FAILED, SKIPPED = "POLLED", "EXECUTED", "FAILED", "SKIPPED"
"""What is written of a time: it has come; then something was started, could not be, or was not to be."""

TRIGGER = "schedule:"
"""What the trigger of an execution begins with that a schedule started."""

_REASON = 10_000  # characters


@dataclass(slots=True)
class FiringCounts:
    """How often what came of a time, since the engine began; `dropped` counts stretches of missed times."""

    executed: int = 0
    failed: int = 0
    skipped: int = 0
    dropped: int = 0


class ScheduleStarts:
    """Starts what schedules ask for.

    Attributes:
        counts: what came of the times.
    """

    def __init__(self, executions: Service, logbook: Logbook) -> None:
        """Nothing was started."""
        self.counts = FiringCounts()
        self._executions, self._logbook = executions, logbook
        self._engine = executions.engine

    def going_on(self) -> dict[str, list[str]]:
        """Executions in memory that schedules started, by the name of the schedule."""
        found: dict[str, list[str]] = {}
        for state in self._engine.turns.states.values():
            if state.trigger.startswith(TRIGGER) and not state.is_ended:
                found.setdefault(state.trigger.removeprefix(TRIGGER), []).append(state.execution_id)
        return found

    async def fire(self, schedule: Schedule, due: Due, started: list[str]) -> None:
        """Deal with a time; `started` are earlier executions of the schedule that may go on, kept up here.

        Raises:
            StoreError, ShuttingDown: nothing can be recorded now; to be called again, here or by the next
                engine.
        """
        identity = derived_id(
            self._engine.settings.identity.of(due.at_ms), "schedule", due.at_ms, schedule.name
        )
        if schedule.overlap != "allow" or len(started).bit_count() == 1:  # else it matters not; now and then
            started[:] = [each for each in started if self._goes_on(each)]
        before = await self._before(schedule.name, due.at_ms)
        if before is not None and before.status != POLLED:
            return  # the wall clock was set back over it
        others = [] if schedule.overlap == "allow" else [each for each in started if each != identity]
        firing = Firing(schedule.name, due.at_ms, identity, self._now_ms(), POLLED)
        if before is not None and await self._exists(identity):
            await self._record(firing._replace(fired_ms=before.fired_ms, status=EXECUTED))
            return
        if others and schedule.overlap == "skip":
            reason = f"execution {others[-1]} of an earlier time goes on"
            await self._record(firing._replace(execution_id="", status=SKIPPED, reason=reason))
            return
        await self._logbook.record_firing(firing)
        if schedule.overlap == "cancel_running":
            await self._cancel(others, identity)
        try:
            await self._start(schedule, due, identity)
        except (StoreError, ShuttingDown):
            raise
        except AsyncflowError as error:
            reason = f"{error.code}: {error}"[:_REASON]
            await self._record(firing._replace(execution_id="", status=FAILED, reason=reason))
            return
        started.append(identity)
        await self._record(firing._replace(fired_ms=self._now_ms(), status=EXECUTED))

    async def _before(self, schedule: str, due_ms: int) -> Firing | None:
        """What was written down of this time before."""
        conditions = [Condition("schedule", "=", (schedule,)), Condition("due_ms", "=", (due_ms,))]
        found = await self._logbook.find_firings(conditions, Page(1))
        return found.rows[0] if found.rows else None

    async def _exists(self, execution_id: str) -> bool:
        """Whether it was started: one that has ended may be in the journal only."""
        try:
            await self._engine.state(execution_id)
        except NotFound:
            return False
        return True

    async def _record(self, firing: Firing) -> None:
        await self._logbook.record_firing(firing)
        match firing.status:
            case "EXECUTED":
                self.counts.executed += 1
            case "FAILED":
                self.counts.failed += 1
                log.warning("schedule failed", extra={"schedule": firing.schedule, "reason": firing.reason})
            case _:
                self.counts.skipped += 1

    def _now_ms(self) -> int:
        return self._engine.clock.now().wall_ms

    def _goes_on(self, execution_id: str) -> bool:
        state = self._engine.turns.states.get(execution_id)
        return state is not None and not state.is_ended

    async def _cancel(self, executions: Iterable[str], successor: str) -> None:
        for execution in executions:
            try:
                await self._executions.terminate(execution, f"superseded by {successor} of the same schedule")
            except (Refused, NotFound):
                continue  # it ended by itself

    async def _start(self, schedule: Schedule, due: Due, identity: ExecutionId) -> None:
        """Start what is asked for, under an id that nothing was started under."""
        given = schedule.request.get("input")
        injected: JsonObject = {
            "_startedByScheduler": schedule.name,
            "_scheduledTime": due.at_ms,
            "_executedTime": self._now_ms(),
            "_executionId": identity,
            "_schedulerCron": f"{due.cron.cron.text} {due.cron.zone_name}",
        }
        body = {**schedule.request, "input": {**(given if isinstance(given, dict) else {}), **injected}}
        request = parse_start_request(body, limits=self._engine.settings.limits)
        prepared = await self._executions.prepare(request.to_start(created_by=schedule.owner))
        command = prepared.command._replace(
            trigger=f"{TRIGGER}{schedule.name}", idempotency_key=None, request_hash=""
        )
        await self._executions.begin(identity, prepared._replace(command=command))
