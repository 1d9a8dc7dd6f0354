"""Everything about the jobs of one resource: their rows, its connection, and whose turn it is to call.

What is called when is in `submitting`, `resolving`, `polling` and `cancelling`; what they share is here,
so that each of them reports in the same words. A desk never waits: it is told when a call has settled.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator

from asyncflow.errors import AsyncflowError
from asyncflow.model.job_inputs import JobAccepted, JobOver, JobReport, JobSeen, JobStuck
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import MOST_HANDLE_CHARACTERS, JobStatus
from asyncflow.runtime.jobs.cancelling import Cancelling
from asyncflow.runtime.jobs.connection import Connection
from asyncflow.runtime.jobs.polling import Polling
from asyncflow.runtime.jobs.resolving import Resolving
from asyncflow.runtime.jobs.submitting import Submitting
from asyncflow.runtime.jobs.surroundings import Open, Subject, Surroundings
from asyncflow.runtime.jobs.table import Row, Stage, move
from asyncflow.runtime.jobs.tally import JobTally

LOOK_AGAIN_MS = 5_000
"""Between two looks at a manager that is not open, or an instance whose handle is not known."""


class Desk:
    """The jobs of one resource.

    Attributes:
        stages: how many rows stand where.
        cancelled: how many rows are to be cancelled.
        handles: who owns which handle; one handle is never two jobs'.
        is_stirred: whether it pumps in the next round of the loop.
        undecided: rows that a person has to say something about, or had to.
        blocked: why nobody can be called though the connection would; "" where that is not so.
    """

    def __init__(self, name: str, around: Surroundings) -> None:
        """There is no job yet."""
        self.name, self.around = name, around
        self.stages: Counter[Stage] = Counter()
        self.handles: dict[str, Row] = {}
        self.undecided: dict[Row, None] = {}
        self.tally = JobTally()
        self.connection = Connection(name, around.now_ms, around.rng, redact=around.preparing.redactor.text)
        self.connection.settled = self._settled
        self.submitting = Submitting(self)
        self.resolving = Resolving(self)
        self.polling = Polling(self)
        self.cancelling = Cancelling(self)
        self.blocked, self._blocked_until_ms = "", 0
        self._is_pumping = False
        self.is_stirred = False
        self.cancelled = 0
        self._settings: ResourceSettings | None = None

    # --- whose turn it is -------------------------------------------------------------------------

    def open(self) -> Open | None:
        """The manager and its settings, while it can be asked."""
        pool = self.around.pool
        self._settings = pool.settings_of(self.name) or self._settings  # jobs outlive a resource's settings
        manager = pool.manager(self.name)
        if manager is None or self._settings is None:
            return None
        return Open(manager, self._settings)

    @property
    def may_call(self) -> bool:
        """Whether the service may call when a job has ended; so as long as nobody knows."""
        manager = self.around.pool.manager(self.name)
        return manager is None or manager.callback

    def pump(self) -> None:
        """Make the calls that are due, as many as there is room for."""
        if self._is_pumping or self.around.is_stopped():
            return
        now_ms = self.around.now_ms()
        there = self.open()
        if there is None:
            self.block(self.around.pool.trouble(self.name) or "not open")
            return
        self.blocked = ""
        self._is_pumping = True
        try:
            for part in self._parts:
                part.pump(there, now_ms)
        finally:
            self._is_pumping = False

    @property
    def _parts(self) -> tuple[Cancelling, Resolving, Submitting, Polling]:
        return self.cancelling, self.resolving, self.submitting, self.polling

    def block(self, reason: str) -> None:
        """Nobody can be called for a while."""
        self.blocked = reason
        self._blocked_until_ms = self.around.now_ms() + LOOK_AGAIN_MS

    def stir(self) -> None:
        """Pump in the next round of the loop: once, however many answers or jobs came in this one."""
        if not self.is_stirred:
            self.is_stirred = True
            asyncio.get_running_loop().call_soon(self._stirred)

    def _stirred(self) -> None:
        self.is_stirred = False
        self.pump()
        self.around.woken()

    def _settled(self) -> None:
        self.stir()

    def on_time(self, now_ms: int) -> None:
        """Give up on calls that take too long, and make those that are due."""
        self.connection.expire(now_ms)
        if self._is_due(now_ms):
            self.pump()

    def _is_due(self, now_ms: int) -> bool:
        due = self._next_call()
        return due is not None and due <= now_ms

    def next_due(self) -> int | None:
        """When `on_time` has something to do; None while only an answer or a new job can change that."""
        deadline, due = self.connection.next_deadline(), self._next_call()
        if deadline is None or due is None:
            return due if deadline is None else deadline
        return min(deadline, due)

    def _next_call(self) -> int | None:
        """When the next call may and should be made; those for which there is no room wait for an answer."""
        if self.around.is_stopped():
            return None
        most = 1 if self._settings is None else self._settings.connections
        connection = self.connection
        if connection.held_by and connection.calls:
            return None
        has_room = bool(connection.held_by) or connection.has_room(most)
        has_poll_room = bool(connection.held_by) or connection.has_room(most, poll=True)
        dues = [
            part.next_due() for part in self._parts if (has_poll_room if part is self.polling else has_room)
        ]
        soonest = min((due for due in dues if due is not None), default=None)
        if soonest is None:
            return None
        held_ms = connection.held_until_ms if connection.held_by else 0
        return max(soonest, held_ms, self._blocked_until_ms if self.blocked else 0)

    @property
    def is_urgent(self) -> bool:
        """Whether a cancellation or a look-up is due, which come before more jobs are handed in."""
        dues = self.cancelling.next_due(), self.resolving.next_due()
        return dues != (None, None) and min(d for d in dues if d is not None) <= self.around.now_ms()

    # --- what becomes of rows ---------------------------------------------------------------------

    def subject(self, row: Row) -> Subject | None:
        """The job of a row; None once its end is recorded."""
        state = self.around.state_of(row.stream)
        job = None if state is None else state.jobs.get(row.serial)
        return None if state is None or job is None else Subject(state, job)

    def instance_of(self, row: Row) -> str | None:
        """What the service calls the row's instance: "" without one, None while that is not known."""
        if not row.instance:
            return ""
        try:
            return self.around.pool.handle_of(self.name, row.instance) or None
        except (AsyncflowError, KeyError):
            return None

    def say(self, row: Row, report: JobReport) -> None:
        """Report something of a job."""
        self.around.reporting.say(row.stream, report)

    def note(self, row: Row, kind: str, reason: str = "", data: JsonObject | None = None) -> None:
        """Report something worth knowing."""
        self.say(row, JobSeen(row.serial, kind, reason, data))

    def stuck(self, row: Row, reason: str) -> None:
        """Nobody can tell: a person has to."""
        self.tally.stuck += 1
        self.resolving.drop(row)
        self.await_decision(row)
        self.say(row, JobStuck(row.serial, reason))

    def await_decision(self, row: Row) -> None:
        """Nothing is asked for the row before a person has said what became of it."""
        move(row, Stage.STUCK)
        self.undecided[row] = None

    def owns(self, row: Row, handle: object) -> str:
        """The handle, if a job may have it; "" if it is no handle, or that of another open job."""
        if not isinstance(handle, str) or not handle.strip() or len(handle) > MOST_HANDLE_CHARACTERS:
            return ""
        owner = self.handles.get(handle)
        if owner is not None and owner is not row:
            self.tally.duplicates += 1
            self.note(row, "handle_shared", f"the service gave {handle!r}, which another open job has")
            return ""
        return handle

    def accept(self, row: Row, handle: str, *, adopted: bool, status: JobStatus | None = None) -> None:
        """The job is there: it is reported, and watched from here on; one that is unwanted is cancelled.

        One that is over already is reported as that, too: both are one turn.
        """
        self.resolving.drop(row)
        self.keep_handle(row, handle)
        self.say(row, JobAccepted(row.serial, handle, adopted))
        if status is not None and self.polling.hearing.told_at_once(row, status):
            return
        self.polling.watch(row)
        if row.is_cancelled:
            self.cancelling.ask(row)

    def keep_handle(self, row: Row, handle: str) -> None:
        """The row owns this handle."""
        self.handles[handle] = row
        row.handle = handle

    def over(self, row: Row, report: JobOver) -> None:
        """The job is over; nothing is asked for it any more."""
        if row.stage >= Stage.OVER:
            return
        self.resolving.drop(row)
        move(row, Stage.OVER)
        self.say(row, report)

    def ended(self, row: Row, word: str, reason: str = "", *, is_final: bool = False) -> None:
        """The job is over without an output."""
        self.over(row, JobOver(row.serial, word, {}, reason, is_final))

    def instance_gone(self, instance: str, reason: str) -> None:
        """A call said that an instance is gone."""
        if instance:
            self.around.pool.instance_gone(self.name, instance, reason)

    def leave_instance(self, row: Row, reason: str) -> None:
        """The row's instance is gone, and the job with it; another attempt goes on elsewhere."""
        self.ended(row, "cancelled" if row.is_cancelled else "moved", reason)

    def forget_handle(self, row: Row) -> None:
        """The row owns no handle any more."""
        self._disown(row)
        row.handle = ""

    def _disown(self, row: Row) -> None:
        if self.handles.get(row.handle) is row:
            del self.handles[row.handle]

    def forget(self, row: Row) -> None:
        """The end of a job is recorded: nothing is kept of it, but its handle for a second look."""
        self._disown(row)
        self.cancelled -= row.is_cancelled
        self.undecided.pop(row, None)
        for part in self._parts:
            part.drop(row)

    def rows_on(self, instance: str) -> Iterator[Row]:
        """The open jobs of an instance, whatever stage they are in.

        Cost: in the jobs of the resource; for when an instance is lost.
        """
        seen: dict[Row, None] = dict.fromkeys(self.handles.values())
        seen.update(dict.fromkeys(self.submitting.rows()))
        seen.update(dict.fromkeys(self.resolving.inquiries))
        seen.update(self.undecided)
        return (row for row in seen if row.instance == instance and row.stage < Stage.OVER)

    async def close(self) -> None:
        """Break all calls off; nothing is reported."""
        await self.connection.close()
