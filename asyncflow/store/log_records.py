"""What stands beside the journal: logs of tasks and resources, the audit, firings; and their promises.

Nothing is decided by them and no recovery reads them; losing them loses no execution. The statements
are in `logbook`, what gathers them is `runtime/log_writer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from asyncflow.store.records import Found, Page, Where

MOST_TOLD = 1 << 53
"""What is counted of rows and bytes at most, of one task and direction."""


class TaskLine(NamedTuple):
    """One line of the log of a task; `execution_id` is looked up in the views where it is ''."""

    task_id: str
    at_ms: int
    line: str
    level: str = "INFO"
    execution_id: str = ""


class ResourceLine(NamedTuple):
    """Something that became of a resource or was done with it, and the task that it was for, if any."""

    resource: str
    at_ms: int
    line: str
    level: str = "INFO"
    execution_id: str = ""
    task_id: str = ""


class LogEntry(NamedTuple):
    """A line of the log of a task, or of a resource: `source` says of which."""

    at_ms: int
    source: str
    execution_id: str
    task_id: str
    resource: str
    level: str
    line: str


class AuditEntry(NamedTuple):
    """Who asked for what, and what came of it; never with a secret value.

    `outcome` is done, or the code of the error.
    """

    at_ms: int
    caller: str
    role: str
    action: str
    object_kind: str
    object_id: str
    reason: str = ""
    outcome: str = "done"


class Firing(NamedTuple):
    """What came of a time at which a schedule was due; there is one per schedule and time."""

    schedule: str
    due_ms: int
    execution_id: str
    fired_ms: int
    status: str
    reason: str = ""


class TaskIo(NamedTuple):
    """Data that a task read (`in`) or wrote (`out`), added to what is there.

    `execution_id` is looked up in the views where it is ''.
    """

    task_id: str
    direction: str
    row_count: int
    byte_count: int
    execution_id: str = ""


LogRow = TaskLine | ResourceLine | AuditEntry | Firing | TaskIo


class Retention(NamedTuple):
    """How much is kept of the audit and of the firings of schedules; 0 means all. The newest one stays.

    `audit_entries` of each kind of object, `firings` of each schedule.
    """

    audit_entries: int = 1_000_000
    audit_days: int = 0
    firings: int = 10_000
    firing_days: int = 0


KEPT = Retention()
"""What is kept unless more or less is said."""


class Surplus(NamedTuple):
    """What is beyond that: of `audit` the entries of one kind, of `firing` those of one schedule.

    Those up to the number, or time, `last` go, and those before `before_ms`. Of `late` the lines of one task
    get their execution, of `lost` they go: there is no such task.
    """

    of: str
    key: str
    last: int
    before_ms: int


class LogBound(NamedTuple):
    """How much the log of one task may hold; what comes after is cut, with a line that says so."""

    lines: int = 1_000
    bytes: int = 1 << 20


class Logs(Protocol):
    """The side tables."""

    async def write_logs(self, rows: Sequence[LogRow], bound: LogBound) -> None:
        """Store rows, all or none, durable at return; a firing replaces that of the same schedule and time.

        Raises:
            NotCommitted, OutcomeUnknown: as `Journal.append`.
        """

    async def find_surplus(self, kept: Retention, now_ms: int) -> list[Surplus]:
        """What the audit and the firings hold beyond what is kept."""

    async def trim(self, surplus: Surplus) -> int:
        """Delete a small part of it, the oldest first, and say how many rows that were; 0 when none is left.

        Raises:
            NotCommitted, OutcomeUnknown: as `Journal.append`.
        """

    async def find_lines(self, conditions: Sequence[Where], page: Page) -> Found[TaskLine]:
        """Lines of task logs, in the order of their numbers; columns are those of the table."""

    async def find_entries(self, conditions: Sequence[Where], page: Page) -> Found[LogEntry]:
        """Lines of tasks and resources, the newest first; columns are those of `LogEntry`."""

    async def find_audit(self, conditions: Sequence[Where], page: Page) -> Found[AuditEntry]:
        """Entries of the audit, newest first."""

    async def find_firings(self, conditions: Sequence[Where], page: Page) -> Found[Firing]:
        """Firings, the latest due first."""

    async def last_firings(self, schedules: Sequence[str]) -> list[Firing]:
        """The latest due of each of these schedules, in no order; each is looked up, none counted."""

    async def find_io(self, conditions: Sequence[Where], page: Page) -> Found[TaskIo]:
        """What tasks told of their data, by task and direction."""
