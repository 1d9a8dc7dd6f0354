"""What runs, what waits and for what, since when: over all executions, page by page, and who works on it.

It changes nothing, and looks at no more than a page. What single records wait for is told by
`Service.waits`; how it goes over the wire is in `http/overview`.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice

from asyncflow.app.quarantine import Quarantine
from asyncflow.app.service import MOST_WAITS as MOST_EXPLAINED
from asyncflow.app.service import Service
from asyncflow.errors import InvalidInput, NotFound
from asyncflow.ids import task_id
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.runtime.clock import breathe
from asyncflow.runtime.hand_out_rules import queue_name
from asyncflow.store.journal import Views
from asyncflow.store.records import Condition, ExecutionRow, Page

__all__ = ["MOST_EXECUTIONS", "MOST_EXPLAINED", "MOST_LISTED", "MOST_WAITS", "Overview"]

MOST_EXECUTIONS = 100
MOST_WAITS = 20
MOST_LISTED = 1_000

_OLDEST_FIRST = (("started_at_ms", False), ("execution_id", False))


class Overview:
    """Looks at one engine."""

    def __init__(self, service: Service, views: Views, quarantine: Quarantine) -> None:
        """Look at what this service serves and these views show."""
        self._service, self._engine, self._views = service, service.engine, views
        self._quarantine = quarantine

    async def open_executions(
        self, *, start: int = 0, count: int = 20, workflow: str = "", waits: int = 5
    ) -> JsonObject:
        """Executions that have not ended, the oldest first, and what so many tasks of each wait for.

        Raises:
            InvalidInput: a number is out of its range.
        """
        _check_range(start, count, MOST_EXECUTIONS)
        if not 0 <= waits <= MOST_WAITS:
            raise InvalidInput(f"0 to {MOST_WAITS} expected, got {waits}", field="waits")
        await self._engine.views_caught_up()
        conditions = [Condition("open", "=", (1,))]
        if workflow:
            conditions.append(Condition("name", "=", (workflow,)))
        total, rows = await self._views.find_executions(conditions, Page(count, start, _OLDEST_FIRST))
        shown: list[JsonObject] = []
        for row in rows:
            shown.append(await self._shown(row, waits))
            await breathe()
        return {"totalHits": total, "now": self._now(), "executions": shown}

    async def _shown(self, row: ExecutionRow, waits: int) -> JsonObject:
        found: JsonObject = {
            "workflowId": row.execution_id,
            "workflowName": row.name,
            "version": row.version,
            "status": row.status,
            "correlationId": row.correlation_id or None,
            "parentWorkflowId": row.parent_id or None,
            "startTime": row.started_at_ms,
            "updateTime": row.updated_at_ms,
        }
        state = self._engine.turns.states.get(row.execution_id)
        if state is None:
            why = self._engine.turns.quarantined.get(row.execution_id)
            reason = None if why is None else why.reason
            return {**found, "openTasks": None, "waitsFor": [], "quarantined": reason}
        listed = self._service.waits(state, most=waits)
        found |= {"status": state.status, "openTasks": state.open_count, "waitsFor": listed}
        await self._engine.turns.settled(row.execution_id)
        return found

    def _now(self) -> JsonObject:
        """What goes on altogether, by counters."""
        engine = self._engine
        hand_out = engine.carry.hand_out
        return {
            "attemptsHere": engine.attempts.count,
            "attemptsAdmitted": engine.carry.waiting,
            "tasksAtWorkers": len(hand_out.roll.leases),
            "tasksWaitingForWorkers": sum(len(each.offers) for each in hand_out.demand.queues.values()),
            "tasksWithoutFunction": dict(Counter(engine.carry.admitting.unloaded.values())),
            "viewsBehindTurns": engine.turns.number - engine.projection.turn,
            "quarantined": len(engine.turns.quarantined),
        }

    async def why(self, execution_id: str, *, most: int = MOST_EXPLAINED) -> JsonObject:
        """What open tasks of an execution wait for, and since when; of one set aside, its release.

        Raises:
            NotFound: there is no such execution.
        """
        if execution_id in self._engine.turns.quarantined:
            return await self._quarantine.why(execution_id)
        found = await self._service.why(execution_id, most=most)
        state: ExecutionState = await self._engine.state(execution_id)
        return {
            "workflowId": execution_id,
            "workflowName": state.name,
            "version": state.version,
            "status": state.status,
            "startTime": state.created_ms,
            "openTasks": state.open_count,
            "waitsFor": found,
        }

    async def why_task(self, execution_id: str, number: int) -> JsonObject:
        """What one task waits for, and since when; also that a job outlived it.

        Raises:
            NotFound: there is no such task.
        """
        state: ExecutionState = await self._engine.state(execution_id)
        task = state.tasks.get(number)
        if task is None:
            raise NotFound("task", str(task_id(execution_id, number)))
        found = self._service.waits_of_task(state, number)
        await self._engine.turns.settled(execution_id)
        return {
            "workflowId": execution_id,
            "workflowName": state.name,
            "version": state.version,
            "status": state.status,
            "taskId": task_id(execution_id, number),
            "task": task.ref,
            "taskStatus": task.status,
            "waitsFor": found,
        }

    def workers(self, *, start: int = 0, count: int = 100, lost_only: bool = False) -> JsonObject:
        """Workers that were seen since the start, by their ids: when, with which tasks, and who is lost.

        Raises:
            InvalidInput: a number is out of its range.

        Cost: in the workers and their queues.
        """
        _check_range(start, count, MOST_LISTED)
        roll = self._engine.carry.hand_out.roll
        names = sorted(name for name, seen in roll.workers.items() if seen.is_lost or not lost_only)
        page = names[start : start + count]
        queues: dict[str, list[JsonObject]] = {name: [] for name in page}
        for key, polled in sorted(roll.polled.items()):
            for name in polled.keys() & queues.keys():
                queues[name].append({"queueName": queue_name(*key), "lastPollTime": polled[name][1]})
        shown: list[JsonObject] = []
        for name in page:
            seen = roll.workers[name]
            leases = [{"workflowId": s, "number": n} for s, n in islice(seen.leases, MOST_WAITS)]
            shown.append(
                {
                    "workerId": name,
                    "version": seen.version,
                    "lastSeen": seen.last_wall_ms,
                    "lost": seen.is_lost,
                    "inFlight": seen.in_flight,
                    "inFlightByTask": dict(seen.by_name),
                    "tasks": leases,
                    "queues": queues[name],
                }
            )
        return {"totalHits": len(names), "lostSinceStart": roll.lost_count, "workers": shown}


def _check_range(start: int, count: int, most: int) -> None:
    if start < 0:
        raise InvalidInput(f"at least 0 expected, got {start}", field="start")
    if not 1 <= count <= most:
        raise InvalidInput(f"1 to {most} expected, got {count}", field="count")
