"""Turns made durable, one after the other; nothing is released before, and nothing after a failure.

It decides nothing and knows no execution. Whoever decides hands over a turn when none is under
way, see `runtime/turns`; the promises of the journal are in `store/journal`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from asyncflow.errors import NotCommitted, OutcomeUnknown, StoreError
from asyncflow.model.turn import Turn
from asyncflow.runtime import points
from asyncflow.runtime.clock import comes_within, stopwatch_s
from asyncflow.runtime.distribution import Distribution
from asyncflow.runtime.open_turn import OpenTurn
from asyncflow.store.journal import Journal

log = logging.getLogger("asyncflow.commits")

AGAIN_S = 5.0
"""Between attempts to write a turn for which there was no room; who waits is told after the second."""

Released = Callable[[OpenTurn, Turn], None]


class Commits:
    """The one commit that may be under way.

    Attributes:
        number: of the last turn handed over.
        under_way: the turn that is being committed.
        failure: why nothing is committed any more; it never changes back.
        trouble: why the turn under way waits (`storage_full`, `storage_busy`), or empty.
        stuck: told when the turn under way finds no room again; whoever waits need not wait on.
        seconds: how long commits took, waits for room included.
        opened_at: the newest turn there was when the engine was opened.
        also: awaited with each turn that is durable, before anything of it is released; what it raises stops
            the engine. None where nothing has to be done.
    """

    def __init__(self, journal: Journal, *, again_s: float = AGAIN_S) -> None:
        """Commit nothing yet; `again_s` lies between attempts while there is no room."""
        self.number = self.opened_at = 0
        self.under_way: OpenTurn | None = None
        self.failure: StoreError | None = None
        self.trouble = ""
        self.stuck: Callable[[NotCommitted], None] = lambda _: None
        self.seconds = Distribution()
        self.also: Callable[[Turn], Awaitable[None]] | None = None
        self._journal, self._again_s = journal, again_s
        self._handed = asyncio.Event()
        self._closing = asyncio.Event()

    def begin(self, turn: OpenTurn) -> None:
        """Have a turn committed; none may be under way."""
        self.number += 1
        self.under_way = turn
        self._handed.set()

    async def run(self, released: Released) -> StoreError:
        """Commit what is handed over, for ever; `released` is told of each turn once it is durable.

        Returns:
            Why it gave up: nothing was released of the turn under way, and nothing will be.
        """
        while True:
            await self._handed.wait()
            self._handed.clear()
            turn = self.under_way
            assert turn is not None  # it was handed over
            record = turn.close(self.number)
            points.reach(points.BEFORE_COMMIT)
            began_s = stopwatch_s()
            try:
                await self._append(record)
                if self.also is not None:
                    await self.also(record)
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing may be released
                return self.fail(error)
            self.seconds.observe(stopwatch_s() - began_s)
            points.reach(points.AFTER_COMMIT)
            self.under_way = None
            try:
                released(turn, record)
            except BaseException as bug:
                # It is durable, but whoever was not told yet stands in no list any more.
                turn.refuse(OutcomeUnknown(f"committed, but the engine stopped: {type(bug).__name__}: {bug}"))
                raise
            points.reach(points.AFTER_RELEASE)

    async def _append(self, record: Turn) -> None:
        """Commit a turn; where there is no room, again and again, since no other may take its place."""
        while True:
            try:
                await self._journal.append(record)
            except NotCommitted as error:
                if self._closing.is_set():
                    raise
                if self.trouble:
                    why = f"not written yet, and tried again and again: look before you ask anew ({error})"
                    self.stuck(NotCommitted(why, code=error.code))
                self.trouble = error.code
                facts = {"turn": record.number, "reason": str(error)}
                log.error("turn not committed, trying again", extra=facts)  # noqa: TRY400 - no bug of ours
                await comes_within(self._closing, self._again_s)
            else:
                self.trouble = ""
                return

    def fail(self, error: BaseException) -> StoreError:
        """Commit nothing any more, because of this."""
        if self.failure is None:
            known = error if isinstance(error, StoreError) else OutcomeUnknown(f"commit failed: {error!r}")
            if known is not error:
                known.__cause__ = error
            self.failure = known
        return self.failure

    def hurry(self) -> None:
        """The engine closes: a turn that finds no room now is given up."""
        self._closing.set()
