"""Time that a test owns: it stands while the engine works and jumps to what is due next.

It knows nothing of workflows and never waits for real time. `testing/kit` opens engines on it;
the promises it keeps are those of `runtime/clock.Clock`.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass, field

from asyncflow.model.turn import Moment
from asyncflow.runtime.engine import Engine

_LOOK_AGAIN_S = 0.002

START_MS = 1_893_456_000_000
"""Where virtual time begins unless told otherwise: 1 January 2030, 00:00 UTC."""

Stop = Callable[[], bool]
"""Asked at every moment of rest whether time has passed far enough."""


@dataclass(slots=True, order=True)
class Due:
    """Something that happens at a point in virtual time; cancelled, it never does."""

    at_ms: int
    order: int
    call: Callable[[], None] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Take it back; time no longer stops for it."""
        self.cancelled = True


@dataclass(slots=True, eq=False)
class _Passage:
    """Time being let pass: how far, until when, and who waits for it."""

    limit_ms: float
    stop: Stop
    done: asyncio.Future[None]


class VirtualClock:
    """Both clocks of an engine, moved by the test.

    With `auto` time jumps whenever the engine has nothing under way: enough for a program that
    starts something and awaits its result. Without it time stands except inside `advance` and
    `run`, so that what a test does between two of them happens at one and the same moment.

    One engine at a time; `attach` it before time is moved by hand.
    """

    def __init__(self, start_ms: int = START_MS, *, auto: bool = True) -> None:
        """Stand at this moment, UTC milliseconds, on both clocks."""
        self._start_ms = self._elapsed_ms = start_ms
        self._wall_offset_ms = 0
        self._auto = auto
        self._dues: list[Due] = []
        self._drawn = 0
        self._sleeping = 0
        self._at_rest: list[Callable[[], bool]] = []
        self._passage: _Passage | None = None
        self._engine: Engine | None = None
        self._look_again: asyncio.TimerHandle | None = None

    # --- what the engine asks -------------------------------------------------------------------

    def now(self) -> Moment:
        """This moment on both clocks."""
        return Moment(self._elapsed_ms, self._elapsed_ms + self._wall_offset_ms)

    def start_from(self, elapsed_ms: int) -> None:
        """Never be earlier than this on the elapsed clock."""
        self._elapsed_ms = max(self._elapsed_ms, elapsed_ms)

    def alarm(self, at_ms: int, wake: asyncio.Event) -> None:
        """Set nothing: real time brings no virtual moment nearer."""

    def idle(self, until_ms: int | None) -> bool:
        """The engine rests, and next wants something at this time: jump there if time may pass."""
        while self._may_pass():
            if any([look() for look in self._at_rest]):  # noqa: C419 - each is to look, not only the first
                return True
            if not self._may_pass():  # what was seen just now may be enough
                return False
            due_ms = self._next_due(until_ms)
            if not self._move(due_ms):
                return False
            if until_ms is not None and until_ms <= self._elapsed_ms:
                return True
            if not self._is_resting():
                return False  # somebody was woken, or reported and so woke the engine
        return False

    def _move(self, due_ms: int | None) -> bool:
        """Stand at what is due next; at the end of the passage where that is beyond it, which is no move."""
        limit_ms = math.inf if self._passage is None else self._passage.limit_ms
        if due_ms is not None and due_ms <= limit_ms:
            self._elapsed_ms = max(self._elapsed_ms, due_ms)
            self._fire()
            return True
        if limit_ms != math.inf:
            self._elapsed_ms = max(self._elapsed_ms, int(limit_ms))
        self._end_passage()
        return False

    def _is_resting(self) -> bool:
        engine = self._engine
        return engine is not None and engine.turns.is_idle and not self._is_under_way()

    def _may_pass(self) -> bool:
        """Whether time may pass at this moment; a passage that has come far enough ends here."""
        passage = self._passage
        if passage is None:
            return self._auto
        try:
            stop = passage.stop()
        except Exception as error:  # noqa: BLE001 - the test's own code: the test gets it, the engine goes on
            self._passage = None
            passage.done.set_exception(error)
            return False
        if stop:
            self._end_passage()
        return not stop

    def _end_passage(self) -> None:
        passage, self._passage = self._passage, None
        if passage is not None and not passage.done.done():
            passage.done.set_result(None)

    def _next_due(self, until_ms: int | None) -> int | None:
        while self._dues and self._dues[0].cancelled:
            heapq.heappop(self._dues)
        if not self._dues:
            return until_ms
        own_ms = self._dues[0].at_ms
        return own_ms if until_ms is None else min(own_ms, until_ms)

    def _fire(self) -> None:
        while self._dues and self._dues[0].at_ms <= self._elapsed_ms:
            due = heapq.heappop(self._dues)
            if not due.cancelled:
                due.call()

    # --- what a test asks -----------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Virtual seconds since the clock was made."""
        return (self._elapsed_ms - self._start_ms) / 1000

    def attach(self, engine: Engine) -> None:
        """Move the time of this engine, which is open; attempts in `sleep` no longer hold time up."""
        self._engine = engine
        engine.turns.attach(engine.carry, under_way=self._is_under_way)

    def _is_under_way(self) -> bool:
        engine = self._engine
        if engine is None:
            return False
        under_way = engine.attempts.count + engine.jobs.calls + engine.carry.waiting
        is_so = under_way > self._sleeping
        if is_so and self._look_again is None:
            # An attempt that was broken off ends without a report, so nobody would look again.
            self._look_again = asyncio.get_running_loop().call_later(_LOOK_AGAIN_S, self._wake)
        return is_so

    def detach(self, look: Callable[[], bool]) -> None:
        """Let the engine go, and with it what was asked at its moments of rest and what was due."""
        self._engine = None
        self._dues.clear()
        if self._look_again is not None:
            self._look_again.cancel()
            self._look_again = None
        self._at_rest.remove(look)

    def on_rest(self, look: Callable[[], bool]) -> None:
        """Have this called at every moment of rest at which time may pass, before it does.

        It says whether it gave the engine something to do; it must not block.
        """
        self._at_rest.append(look)

    async def run(self, stop: Stop | None = None, *, seconds: float = math.inf) -> None:
        """Let time pass, from one due moment to the next, until `stop` says so at a moment of rest.

        It ends as well after so many seconds, standing there, and when nothing is due any more.

        Raises:
            RuntimeError: no engine is attached, or time is being moved already.
            StoreError: the engine stopped; so does whatever `stop` raises come out here.
        """
        if self._engine is None:
            raise RuntimeError("this clock has no engine: attach it, or use testing.virtual_engine")
        if self._passage is not None:
            raise RuntimeError("time is being moved already: advance and run do not overlap")
        limit_ms = math.inf if seconds == math.inf else self._elapsed_ms + round(seconds * 1000)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        passage = self._passage = _Passage(limit_ms, stop or _never, done)
        self._engine.turns.wake()
        try:
            await self._engine.turns.unless_failed(done)
        finally:
            if self._passage is passage:
                self._passage = None

    async def advance(self, seconds: float) -> None:
        """Let exactly so many seconds pass; what is due meanwhile happens in order, each at its time.

        On return the engine rests, and all that was due is durable. Raises as `run`.
        """
        await self.run(seconds=seconds)

    async def rest(self) -> None:
        """Wait until the engine has nothing to do at this moment; time stands. Raises as `run`."""
        await self.run(seconds=0)

    def suspend(self, seconds: float) -> None:
        """Move both clocks at once, as if the machine had been asleep: what was due meanwhile is late."""
        self._elapsed_ms += round(seconds * 1000)
        self._wake()

    def set_wall_forward(self, seconds: float) -> None:
        """Set the calendar forward, or back by a negative number; the elapsed clock does not notice."""
        self._wall_offset_ms += round(seconds * 1000)
        self._wake()

    async def sleep(self, seconds: float) -> None:
        """Sleep virtual seconds, in a task function or a manager on the loop; other waiting holds time up."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def wake() -> None:
            self._sleeping -= 1
            woken.set_result(None)

        due = self.call_at(self._elapsed_ms + round(seconds * 1000), wake)
        self._sleeping += 1
        self._wake()
        try:
            await woken
        finally:
            if not woken.done() or woken.cancelled():
                due.cancel()
                self._sleeping -= 1

    def call_at(self, at_ms: int, call: Callable[[], None]) -> Due:
        """Have this called once the elapsed clock has reached `at_ms`; it must not block or raise."""
        self._drawn += 1
        due = Due(at_ms, self._drawn, call)
        heapq.heappush(self._dues, due)
        return due

    def _wake(self) -> None:
        self._look_again = None
        if self._engine is not None:
            self._engine.turns.wake()


def _never() -> bool:
    return False
