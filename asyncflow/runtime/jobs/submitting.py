"""Jobs on their way to their service: handed in once each, and what the answer says of it.

Only an answer that is certain counts as one; everything else goes to `resolving`, which finds out. The
rules are those of `plugins/errors`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from asyncflow.model.statuses import FAILED_TERMINALLY
from asyncflow.plugins.errors import CredentialsRefused, Duplicate, InstanceGone, Rejected, Throttled
from asyncflow.plugins.jobs import Ended
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime import points
from asyncflow.runtime.attempt_results import failure_of
from asyncflow.runtime.jobs.connection import Work
from asyncflow.runtime.jobs.preparing import NotSent
from asyncflow.runtime.jobs.roles import Home
from asyncflow.runtime.jobs.surroundings import Open, Subject
from asyncflow.runtime.jobs.table import Row, Stage, move

UNUSABLE = "the service answered without a usable handle"


class Submitting:
    """The jobs of one resource that are to be handed in, first come, first served."""

    def __init__(self, desk: Home) -> None:
        """None is."""
        self._desk = desk
        self._queue: deque[Row] = deque()
        self._sending: dict[Row, int] = {}

    def __len__(self) -> int:
        """How many wait, those included that were given up meanwhile."""
        return len(self._queue)

    @property
    def sending(self) -> int:
        """How many calls are under way."""
        return len(self._sending)

    def rows(self) -> Iterator[Row]:
        """Those that wait, and those whose call is under way."""
        yield from self._queue
        yield from self._sending

    def add(self, row: Row, *, first: bool = False) -> None:
        """Have a job handed in: behind the others, or before them if it was refused without being seen."""
        move(row, Stage.QUEUED)
        if first:
            self._queue.appendleft(row)
        else:
            self._queue.append(row)

    def drop(self, row: Row) -> None:
        """Its end is recorded; a row that waits is passed over when its turn comes."""
        self._sending.pop(row, None)

    def next_due(self) -> int | None:
        """Now, if one waits and may be sent."""
        queue = self._queue
        while queue and queue[0].stage is not Stage.QUEUED:
            queue.popleft()
        return 0 if queue and not self._desk.around.is_draining else None

    def pump(self, there: Open, now_ms: int) -> None:
        """Hand in as many as there is room for."""
        connection, most = self._desk.connection, there.settings.connections
        while connection.has_room(most):
            work = self._next(there, now_ms)
            if work is None:
                return
            connection.begin(work)

    def _more(self) -> Work | None:
        """Another one for whoever handed one in, unless the loop, or something else, comes first."""
        desk = self._desk
        if desk.around.is_stopped() or desk.is_urgent:
            return None
        there = desk.open()
        if there is None or not desk.connection.has_room(there.settings.connections):
            return None
        return self._next(there, desk.around.now_ms())

    def _next(self, there: Open, now_ms: int) -> Work | None:
        """The call for the next one that can be handed in."""
        desk = self._desk
        while self.next_due() is not None:
            row = self._queue[0]
            subject = desk.subject(row)
            if subject is None:
                self._queue.popleft()
                continue
            instance = desk.instance_of(row)
            if instance is None:
                desk.block(f"the handle of instance {row.instance} is not known")
                return None
            self._queue.popleft()
            return self._send(row, subject, there.manager, instance, now_ms)
        return None

    def _send(self, row: Row, subject: Subject, manager: ResourceManager, instance: str, now_ms: int) -> Work:
        desk = self._desk
        move(row, Stage.SENDING)
        self._sending[row] = now_ms
        desk.tally.submits += 1
        desk.resolving.sends(row, now_ms)
        return Work(
            "submit",
            self._submit(row, subject, manager, instance),
            manager.submit_timeout,
            lambda answer, error: self._settle(row, answer, error),
            self._more,
        )

    async def _submit(self, row: Row, subject: Subject, manager: ResourceManager, instance: str) -> object:
        desk = self._desk
        models = None if desk.resolving.is_unsure(row) else manager.tasks
        job = await desk.around.preparing.whole(subject.state, subject.job, instance=instance, models=models)
        points.reach(points.BEFORE_SEND)
        answer: object = await manager.submit(job)
        points.reach(points.AFTER_SEND)
        return answer

    def _settle(self, row: Row, answer: object, error: Exception | None) -> None:
        desk = self._desk
        sent_ms = self._sending.pop(row, desk.around.now_ms())
        if row.stage is not Stage.SENDING:
            self._too_late(row, answer)
            return
        match error:
            case None:
                self._answered(row, answer, sent_ms)
            case NotSent():
                status, reason, _ = failure_of(error.error)
                desk.ended(row, "rejected", reason or "", is_final=status == FAILED_TERMINALLY)
            case Rejected():
                desk.ended(row, "rejected", desk.connection.text(error), is_final=error.is_final)
            case Throttled() | CredentialsRefused():
                self._not_done(row, error)
            case InstanceGone():
                desk.leave_instance(row, desk.connection.text(error))
                desk.instance_gone(row.instance, desk.connection.text(error))
            case Duplicate():
                self._is_there(row, error.handle, sent_ms)
            case _:
                desk.resolving.unsure(row, sent_ms, desk.connection.text(error))

    def _answered(self, row: Row, answer: object, sent_ms: int) -> None:
        status = answer.status if isinstance(answer, Ended) else None
        handle = self._desk.owns(row, answer.handle if isinstance(answer, Ended) else answer)
        if handle:
            self._desk.accept(row, handle, adopted=False, status=status)
        else:
            self._desk.resolving.unsure(row, sent_ms, UNUSABLE)

    def _not_done(self, row: Row, error: Exception) -> None:
        """Not seen by the service: it is asked again. One that is unwanted by now was never there."""
        desk = self._desk
        if isinstance(error, Throttled):
            desk.tally.throttled += 1
        if desk.resolving.is_unsure(row):
            desk.resolving.again(row)
        elif row.is_cancelled:
            desk.ended(row, "absent")
        else:
            self.add(row, first=True)

    def _is_there(self, row: Row, handle: str, sent_ms: int) -> None:
        """The service knows this token: it is our job, under the handle it names or that of a look-up."""
        known = self._desk.owns(row, handle)
        if known:
            self._desk.accept(row, known, adopted=True)
        else:
            self._desk.resolving.known(row, sent_ms)

    def _too_late(self, row: Row, answer: object) -> None:
        """The job was given up while it was handed in: it is not to run for nobody."""
        if isinstance(answer, str) and answer and answer not in self._desk.handles:
            self._desk.cancelling.stray(row, answer)
