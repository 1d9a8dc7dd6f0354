"""Executions that were set aside: which and why, how one is let go on, and how one is given up for good.

It judges nothing; what is done is in `runtime/quarantine`. What stands on the wire is made here, and sent
by `http/quarantine`.
"""

from __future__ import annotations

from asyncflow.errors import NotFound
from asyncflow.model.quarantine import QuarantineKind
from asyncflow.model.values import JsonObject, JsonValue
from asyncflow.runtime import quarantine
from asyncflow.runtime.engine import Engine
from asyncflow.store.records import Condition, ExecutionRow, Page

_MOST_SHOWN = 1_000  # tasks that were open in one that is deleted
ADVICE: dict[QuarantineKind, str] = {
    "unreadable": "mend what the reason names (restore a backup, register the definition again, start the "
    "release that wrote it), then release it; or delete it",
    "bug": "report it as a bug; release it to go on from what is recorded, as every start does",
    "crash": "find in the log what the process died of, mend that, then release it; or delete it: no start "
    "takes it up",
}
"""What somebody can do about an execution that was set aside, by kind."""


class Quarantine:
    """The executions of one engine that were set aside."""

    def __init__(self, engine: Engine, store: quarantine.Deleted) -> None:
        """Look at this engine."""
        self._engine, self._store = engine, store

    async def listed(self, *, start: int = 0, count: int = 100) -> JsonObject:
        """Those set aside, the latest first, with what the views still show of them."""
        aside = self._engine.turns.quarantined
        names = sorted(aside, key=lambda stream: (-aside[stream].since_ms, stream))
        page = names[start : start + count]
        rows = await self._rows(page)
        return {"totalHits": len(names), "results": [self._shown(each, rows.get(each)) for each in page]}

    async def _rows(self, names: list[str]) -> dict[str, ExecutionRow]:
        wanted = Condition("execution_id", "in", tuple(names))
        rows = await self._store.list_executions([wanted], Page(len(names))) if names else []
        return {row.execution_id: row for row in rows}

    def _shown(self, stream: str, row: ExecutionRow | None) -> JsonObject:
        """One of them on the wire; the views may know nothing of it."""
        aside = self._engine.turns.quarantined[stream]
        why = {"kind": aside.kind, "reason": aside.reason, "since": aside.since_ms}
        return {**_identity(stream, row), **why, "advice": ADVICE[aside.kind]}

    async def why(self, stream: str) -> JsonObject:
        """What one waits for: to be released; in the shape of the waits of an execution.

        Raises:
            NotFound: it is not set aside.
        """
        aside = self._engine.turns.quarantined.get(stream)
        if aside is None:
            raise NotFound("quarantined execution", stream)
        row = (await self._rows([stream])).get(stream)
        wait = {"kind": "release", "cause": aside.kind, "reason": aside.reason, "sinceMs": aside.since_ms}
        waits = [{**wait, "advice": ADVICE[aside.kind]}]
        return {**_identity(stream, row), "openTasks": None, "waitsFor": waits}

    async def release(self, stream: str) -> JsonObject:
        """Have one go on from what is recorded of it, and say how it stands; durable at return.

        Raises:
            NotFound: it is not set aside, or nothing is recorded of it.
            Refused: it cannot be read still; it stays set aside.
        """
        state = await quarantine.release(self._engine, self._store, stream)
        await self._engine.turns.settled(stream)
        return {
            "workflowId": stream,
            "workflowName": state.name,
            "version": state.version,
            "status": state.status,
            "openTasks": state.open_count,
        }

    async def delete(self, stream: str, *, reason: str = "") -> JsonObject:
        """Delete one for good, and say what the views had of it; durable at return.

        Nobody watches any more what its open tasks began elsewhere; they are named, so that somebody can.

        Raises:
            NotFound: it is not set aside.
            Refused: the execution above it goes on, or is set aside.
        """
        row = (await self._rows([stream])).get(stream)
        of = [Condition("execution_id", "=", (stream,)), Condition("ended_at_ms", "=", (0,))]
        tasks = await self._store.list_tasks(of, Page(_MOST_SHOWN))
        parent = row.parent_id if row else ""
        await quarantine.delete(self._engine, self._store, stream, parent_id=parent, reason=reason)
        left: list[JsonValue] = [
            {"taskId": task.task_id, "referenceTaskName": task.reference, "taskType": task.type}
            for task in tasks
        ]
        return {**_identity(stream, row), "openTasks": left}


def _identity(stream: str, row: ExecutionRow | None) -> JsonObject:
    """What the views show of an execution, None where they know nothing of it."""
    return {
        "workflowId": stream,
        "workflowName": row.name if row else None,
        "version": row.version if row else None,
        "status": row.status if row else None,
        "startTime": row.started_at_ms if row else None,
    }
