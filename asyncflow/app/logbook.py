"""The logbook of an engine: logs of tasks and resources, the audit, and firings of schedules.

Nothing is decided by what stands in it. Rows are durable when a call returns; callers that come
together share a commit, see `runtime/log_writer`. It never gets a secret value to keep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from asyncflow.errors import InvalidInput, LimitExceeded
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.store.log_records import AuditEntry, Firing, LogEntry, Logs, TaskLine
from asyncflow.store.records import Condition, Found, Page, Where

__all__ = ["AuditEntry", "AuditFilter", "Firing", "LogEntry", "LogFilter", "Logbook", "audited"]

_LINES = 1_000  # of one call
_PAGE = 5_000
FARTHEST_LINE = 100_000
"""How many lines a page of lines may leave out; further back, times say where."""

_TEXT = 1_000  # characters of what names something
_LONG = 10_000  # characters of a reason


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries of the audit are asked for; empty and 0 mean any. Times include both ends."""

    caller: str = ""
    role: str = ""
    action: str = ""
    object_kind: str = ""
    object_id: str = ""
    outcome: str = ""
    from_ms: int = 0
    to_ms: int = 0

    def conditions(self) -> list[Where]:
        """The same as conditions on the table."""
        names = ("caller", "role", "action", "object_kind", "object_id", "outcome")
        found: list[Where] = [
            Condition(name, "=", (value,)) for name in names if (value := str(getattr(self, name)))
        ]
        if self.from_ms:
            found.append(Condition("at_ms", ">=", (self.from_ms,)))
        if self.to_ms:
            found.append(Condition("at_ms", "<=", (self.to_ms,)))
        return found


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which lines are asked for; empty and 0 mean any. Times include both ends."""

    resource: str = ""
    execution_id: str = ""
    task_id: str = ""
    text: str = ""
    from_ms: int = 0
    to_ms: int = 0

    def conditions(self) -> list[Where]:
        """The same as conditions on the lines."""
        names = ("resource", "execution_id", "task_id")
        found: list[Where] = [
            Condition(name, "=", (value,)) for name in names if (value := str(getattr(self, name)))
        ]
        if self.text:
            found.append(Condition("line", "contains", (self.text,)))
        if self.from_ms:
            found.append(Condition("at_ms", ">=", (self.from_ms,)))
        if self.to_ms:
            found.append(Condition("at_ms", "<=", (self.to_ms,)))
        return found


class Logbook:
    """What is kept beside the journal of one engine."""

    def __init__(self, engine: Engine, logs: Logs) -> None:
        """Keep it with this engine, and read it from these tables."""
        self._engine, self._logs = engine, logs

    # --- logs of tasks ----------------------------------------------------------------------------

    async def add_log_lines(
        self, task_id: str, lines: Sequence[str], *, execution_id: str = "", at_ms: int = 0
    ) -> None:
        """Add lines to the log of a task; beyond 1,000 lines or 1 MiB it is cut, and says so.

        `execution_id` is looked up where it is not given; `at_ms` 0 is now. An unknown task is no error. What
        cannot be stored of a text, NUL and halves of surrogate pairs, is shown by marks.

        Raises:
            InvalidInput, LimitExceeded: a text is empty or too long, or there are too many lines.
        """
        _check("taskId", task_id, _TEXT)
        _check("workflowId", execution_id, _TEXT, needed=False)
        if len(lines) > _LINES:
            raise LimitExceeded("log lines of one call", allowed=_LINES, actual=len(lines))
        now_ms = at_ms or self._now_ms()
        await self._engine.logs.add(
            *(TaskLine(task_id, now_ms, _kept(line), "INFO", execution_id) for line in lines)
        )

    async def log_lines(self, task_id: str, *, start: int = 0, size: int = 1_001) -> list[JsonObject]:
        """The log of a task in Conductor's TaskExecLog shape, oldest first; empty for an unknown one."""
        await self._engine.logs.flushed()
        conditions = [Condition("task_id", "=", (task_id,))]
        found = await self._logs.find_lines(conditions, _page(start, size))
        return [{"log": row.line, "taskId": row.task_id, "createdTime": row.at_ms} for row in found.rows]

    async def entries(
        self, chosen: LogFilter | None = None, *, start: int = 0, size: int = 100
    ) -> Found[LogEntry]:
        """How many lines of tasks and resources there are, and a page of them, newest first.

        Raises:
            InvalidInput: a number is out of its range.
        """
        if start > FARTHEST_LINE:
            raise InvalidInput(f"at most {FARTHEST_LINE} is expected, got {start}: say a time", field="start")
        await self._engine.logs.flushed()
        return await self._logs.find_entries((chosen or LogFilter()).conditions(), _page(start, size))

    # --- the audit --------------------------------------------------------------------------------

    async def audit(self, entry: AuditEntry) -> None:
        """Write an entry for good; `at_ms` 0 is now.

        Raises:
            LimitExceeded: a text is too long.
        """
        for name, value in zip(entry._fields, entry, strict=True):
            if isinstance(value, str):
                _check(name, value, _LONG if name == "reason" else _TEXT, needed=False)
        await self._engine.logs.add(entry if entry.at_ms else entry._replace(at_ms=self._now_ms()))

    async def audit_entries(
        self, chosen: AuditFilter | None = None, *, start: int = 0, size: int = 100
    ) -> Found[AuditEntry]:
        """How many entries there are, and a page of them, newest first."""
        return await self._logs.find_audit((chosen or AuditFilter()).conditions(), _page(start, size))

    # --- schedules --------------------------------------------------------------------------------

    async def record_firing(self, firing: Firing) -> None:
        """Write what came of a time at which a schedule was due, in place of what was written before."""
        _check("schedule", firing.schedule, _TEXT)
        _check("reason", firing.reason, _LONG, needed=False)
        await self._engine.logs.add(firing)

    async def firings(self, schedule: str = "", *, start: int = 0, size: int = 100) -> Found[Firing]:
        """How many firings of a schedule, or of all, there were, and a page of them, the latest due first."""
        conditions = [Condition("schedule", "=", (schedule,))] if schedule else []
        return await self._logs.find_firings(conditions, _page(start, size))

    async def find_firings(self, conditions: Sequence[Where], page: Page) -> Found[Firing]:
        """How many firings meet all conditions, and a page of them, the latest due first unless ordered."""
        return await self._logs.find_firings(conditions, page)

    async def last_firings(self, schedules: Sequence[str]) -> dict[str, Firing]:
        """What came of the latest time at which each was due, by schedule, without those that never were."""
        return {firing.schedule: firing for firing in await self._logs.last_firings(schedules)}

    def _now_ms(self) -> int:
        return self._engine.clock.now().wall_ms


def audited(name: str) -> str:
    """What names something, cut to what the audit takes."""
    return name[:_TEXT]


def _page(start: int, size: int) -> Page:
    if not 0 <= size <= _PAGE:
        raise InvalidInput(f"0 to {_PAGE} is expected, got {size}", field="size")
    if start < 0:
        raise InvalidInput(f"0 or more is expected, got {start}", field="start")
    return Page(size, start)


def _check(field: str, text: str, most: int, *, needed: bool = True) -> None:
    if needed and not text:
        raise InvalidInput("a text is expected", field=field)
    if len(text) > most:
        raise LimitExceeded(field, allowed=most, actual=len(text))


def _kept(line: str) -> str:
    """A line as it can be stored: the database ends a text at NUL."""
    return line.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
