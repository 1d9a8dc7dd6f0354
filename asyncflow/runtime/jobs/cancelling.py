"""Jobs that are to end early: asked again, later and later, until a poll shows that they have.

That a service took a cancellation says nothing; only a poll that shows an end does. Jobs that were found
to be one too many are cancelled here as well, and belong to nobody.
"""

from __future__ import annotations

import heapq
import logging

from asyncflow.plugins.errors import CredentialsRefused, InstanceGone, OutcomeOpen, Rejected, Throttled
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime import points
from asyncflow.runtime.jobs.connection import Work
from asyncflow.runtime.jobs.roles import Home
from asyncflow.runtime.jobs.surroundings import Open
from asyncflow.runtime.jobs.table import Row, Stage

log = logging.getLogger("asyncflow.jobs")

FIRST_MS, MOST_MS = 10_000, 600_000
MOST_TRIES = 20
"""For a job that belongs to nobody; one of ours is never given up."""


class _Stray:
    """A job that is one too many."""

    __slots__ = ("due_ms", "handle", "row", "tries")

    def __init__(self, row: Row, handle: str, due_ms: int) -> None:
        self.row, self.handle, self.due_ms, self.tries = row, handle, due_ms, 0


class Cancelling:
    """The jobs of one resource that are to be cancelled.

    Attributes:
        refused: what the service said to those it does not cancel; they go on, and their end counts.
    """

    def __init__(self, desk: Home) -> None:
        """None is."""
        self._desk = desk
        self._due: list[tuple[int, Row]] = []
        self._tries: dict[Row, int] = {}
        self._asked: set[Row] = set()
        self._strays: list[_Stray] = []
        self.refused: dict[Row, str] = {}

    def ask(self, row: Row) -> None:
        """Have a job cancelled whose handle is known, as soon as there is room."""
        if row not in self._tries and row not in self.refused:
            self._tries[row] = 0
            heapq.heappush(self._due, (self._desk.around.now_ms(), row))

    def stray(self, row: Row, handle: str) -> None:
        """Have a job cancelled that `row` would be the owner of, if it were not one too many."""
        self._strays.append(_Stray(row, handle, self._desk.around.now_ms()))

    def drop(self, row: Row) -> None:
        """Its end is recorded."""
        self._tries.pop(row, None)
        self.refused.pop(row, None)

    def tries(self, row: Row) -> int:
        """How often it was asked for."""
        return self._tries.get(row, 0)

    def next_due(self) -> int | None:
        """When the next cancellation is asked for."""
        due = self._due
        while due and not self._is_open(due[0][1]):
            heapq.heappop(due)
        soonest = [stray.due_ms for stray in self._strays]
        if due:
            soonest.append(due[0][0])
        return min(soonest, default=None)

    def _is_open(self, row: Row) -> bool:
        return row in self._tries and row not in self._asked and row.stage in (Stage.WATCHED, Stage.ASKED)

    def pump(self, there: Open, now_ms: int) -> None:
        """Ask for as many as are due and there is room for."""
        connection, most = self._desk.connection, there.settings.connections
        while connection.has_room(most):
            due = self.next_due()
            if due is None or due > now_ms:
                return
            if self._due and self._due[0][0] <= now_ms:
                self._cancel(heapq.heappop(self._due)[1], there.manager)
            else:
                self._cancel_stray(next(s for s in self._strays if s.due_ms <= now_ms), there.manager)

    def _cancel(self, row: Row, manager: ResourceManager) -> None:
        desk = self._desk
        instance = desk.instance_of(row)
        if instance is None:  # a call without it might be about a job of another instance
            heapq.heappush(self._due, (desk.around.now_ms() + FIRST_MS, row))
            return
        desk.tally.cancels += 1
        self._asked.add(row)
        self._tries[row] += 1
        work = self._call(manager, instance, row.handle)
        timeout_s = manager.poll_timeout
        desk.connection.begin(Work("cancel", work, timeout_s, lambda _, error: self._settle(row, error)))

    async def _call(self, manager: ResourceManager, instance: str, handle: str) -> None:
        points.reach(points.BEFORE_CANCEL)
        await manager.cancel(instance, handle)
        points.reach(points.AFTER_CANCEL)

    def _settle(self, row: Row, error: Exception | None) -> None:
        desk = self._desk
        self._asked.discard(row)
        if row.stage >= Stage.OVER or row not in self._tries:
            return
        match error:
            case Rejected():
                self.refused[row] = desk.connection.text(error)
                self._tries.pop(row)
                desk.polling.wake(row)
            case InstanceGone():
                desk.instance_gone(row.instance, desk.connection.text(error))
                self._again(row)
            case Throttled() | CredentialsRefused():
                heapq.heappush(self._due, (desk.around.now_ms(), row))  # the connection is held meanwhile
            case _:
                if error is None:
                    desk.polling.soon(row)
                self._again(row)

    def _again(self, row: Row) -> None:
        wait_ms = min(MOST_MS, FIRST_MS << min(self._tries[row] - 1, 10))
        wait_ms = int(wait_ms * self._desk.around.rng.uniform(0.8, 1.2))
        heapq.heappush(self._due, (self._desk.around.now_ms() + wait_ms, row))

    # --- jobs of nobody ---------------------------------------------------------------------------

    def _cancel_stray(self, stray: _Stray, manager: ResourceManager) -> None:
        desk = self._desk
        self._strays.remove(stray)
        stray.tries += 1
        instance = desk.instance_of(stray.row)
        if instance is None:
            self._stray_settled(stray, OutcomeOpen("the handle of its instance is not known"))
            return
        desk.tally.cancels += 1
        work = self._call(manager, instance, stray.handle)
        timeout_s = manager.poll_timeout
        desk.connection.begin(
            Work("cancel", work, timeout_s, lambda _, error: self._stray_settled(stray, error))
        )

    def _stray_settled(self, stray: _Stray, error: Exception | None) -> None:
        if error is None or isinstance(error, Rejected | InstanceGone):
            return
        if stray.tries >= MOST_TRIES:
            facts = {"resource": self._desk.name, "handle": stray.handle, "execution": stray.row.stream}
            log.error("a job that is one too many could not be cancelled", extra=facts)
            return
        stray.due_ms = self._desk.around.now_ms() + min(MOST_MS, FIRST_MS << min(stray.tries, 10))
        self._strays.append(stray)
