"""How the versions of a workflow do, side by side: starts, ends and how long they took.

All of it is read from the view of executions, exact as of the moment of asking; it changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from asyncflow.app.routing import VersionRouting
from asyncflow.errors import NotFound
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.store.journal import Views
from asyncflow.store.records import Condition, Page, Where

_STATUSES = ("RUNNING", "PAUSED", "COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED")
_UNSUCCESSFUL = ("FAILED", "TIMED_OUT", "TERMINATED")


class VersionCounts:
    """Counts by version on one engine."""

    def __init__(self, engine: Engine, views: Views, routing: VersionRouting) -> None:
        """Count in the views that this engine keeps up."""
        self._engine, self._views, self._routing = engine, views, routing

    async def of(self, name: str) -> JsonObject:
        """Every version of a workflow that is registered or was started, lowest first, and its rules.

        Durations are of executions that COMPLETED, in milliseconds, None where there is none.

        Raises:
            NotFound: the workflow is not registered and nothing was started under its name.

        Cost: linear in the executions of the workflow, for each version.
        """
        await self._engine.views_caught_up()
        registered = self._engine.catalog.workflows.get(name, {})
        versions = sorted({*registered, *await self._started(name)})
        if not versions:
            raise NotFound("workflow", name)
        rules = next((each for each in self._routing.all() if each["name"] == name), None)
        counted = [{**await self._count(name, each), "registered": each in registered} for each in versions]
        return {"name": name, "routing": rules, "versions": counted}

    async def _started(self, name: str) -> list[int]:
        found: list[int] = []
        conditions: list[Where] = [Condition("name", "=", (name,))]
        page = Page(1, 0, (("version", True),))
        while True:
            below = [Condition("version", "<", (found[-1],))] if found else []
            rows = (await self._views.find_executions([*conditions, *below], page)).rows
            if not rows:
                return found
            found.append(rows[0].version)

    async def _count(self, name: str, version: int) -> JsonObject:
        ours = [Condition("name", "=", (name,)), Condition("version", "=", (version,))]
        counts = {
            status: await self._views.count_executions([*ours, Condition("status", "=", (status,))])
            for status in _STATUSES
        }
        completed = [*ours, Condition("status", "=", ("COMPLETED",))]
        return {
            "version": version,
            "starts": sum(counts.values()),
            "open": counts["RUNNING"] + counts["PAUSED"],
            "completed": counts["COMPLETED"],
            "failed": sum(counts[status] for status in _UNSUCCESSFUL),
            "statuses": dict(counts),
            "p50Ms": await self._quantile(completed, counts["COMPLETED"], 0.5),
            "p95Ms": await self._quantile(completed, counts["COMPLETED"], 0.95),
        }

    async def _quantile(self, conditions: Sequence[Where], count: int, part: float) -> int | None:
        """The duration that `part` of the executions did not exceed (nearest rank)."""
        if not count:
            return None
        page = Page(1, math.ceil(part * count) - 1, (("execution_ms", False),))
        rows = (await self._views.find_executions(conditions, page)).rows
        return rows[0].ended_at_ms - rows[0].started_at_ms if rows else None
