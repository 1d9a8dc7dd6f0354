"""The calls to one service: how many are under way, until when each may take, and what holds them all.

Every resource has a connection of its own, so a service that hangs, throttles or refuses keeps nobody
else waiting. It knows no job; what a call asked for is its caller's.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

from asyncflow.plugins.errors import (
    CredentialsRefused,
    Duplicate,
    InstanceGone,
    OutcomeOpen,
    Rejected,
    ServiceError,
    Throttled,
)

log = logging.getLogger("asyncflow.jobs")

PROBE_MS = 60_000
"""Between two calls while credentials are refused."""
MOST_RETRY_AFTER_MS = 15 * 60_000
_MOST_BACKOFF_MS = 60_000
_FAILURES = 5  # in a row, until the circuit opens
_IN_A_ROW = 15  # calls that a task makes after its first one, until others get the loop

Settle = Callable[[Any, Exception | None], None]
"""Told of what a call gave, or why it gave nothing; on the loop, and once unless the engine closes."""


class Work(NamedTuple):
    """A call that may be made: what it does, within how many seconds, and who is told what came of it.

    `more` gives what may be called next by whoever made this call, where anything may at once.
    """

    what: str
    calls: Coroutine[Any, Any, Any]
    timeout_s: float
    settle: Settle
    more: Callable[[], Work | None] = lambda: None


class Call:
    """One call under way."""

    __slots__ = ("deadline_ms", "is_over", "is_poll", "number", "settle", "what", "work")

    def __init__(self, what: str, number: int, deadline_ms: int, settle: Settle, *, is_poll: bool) -> None:
        self.what, self.number, self.deadline_ms = what, number, deadline_ms
        self.settle, self.is_poll = settle, is_poll
        self.is_over = False
        self.work: asyncio.Task[None]


class Connection:
    """What all calls of one resource share.

    Attributes:
        held_by: what keeps every call back: throttled, credentials, circuit, or nothing.
        held_until_ms: until when, on the elapsed clock; one call may then see whether it is over.
        reason: what the service last said.
        settled: told after every call, when others may have their turn.
    """

    def __init__(
        self, name: str, now_ms: Callable[[], int], rng: random.Random, *, redact: Callable[[str], str] = str
    ) -> None:
        """Nothing is under way; `redact` takes secrets out of what services say."""
        self.name = name
        self.held_by, self.held_until_ms, self.reason = "", 0, ""
        self.faults = self.throttles = 0
        self.settled: Callable[[], None] = lambda: None
        self._now_ms, self._rng, self._redact = now_ms, rng, redact
        self._calls: dict[Call, None] = {}
        self._left: set[asyncio.Task[None]] = set()
        self._polls = 0
        self._failures = self._holds = 0
        self._begun = self._held_from = 0
        self._is_closed = False

    @property
    def calls(self) -> int:
        """How many calls are under way."""
        return len(self._calls)

    @property
    def unended(self) -> int:
        """How many coroutines of plugins run, those included that were given up and told to stop."""
        return len(self._calls) + len(self._left)

    def has_room(self, most: int, *, poll: bool = False) -> bool:
        """Whether another call may begin now; polls have places of their own, a quarter as many."""
        if self._is_closed:
            return False
        if self.held_by:
            return self._now_ms() >= self.held_until_ms and not self._calls
        return self._polls < max(1, most // 4) if poll else len(self._calls) - self._polls < max(1, most)

    def begin(self, work: Work, *, poll: bool = False) -> None:
        """Call the service; what comes of it within its time, on the elapsed clock, goes to `settle`."""
        call = self._enter(work, poll=poll)
        call.work = asyncio.create_task(self._perform(call, work))  # noqa: TID251 - owned here, closed with the engine
        # Cancelled before its first step, the task awaits nothing, and Python complains of the coroutine.
        call.work.add_done_callback(lambda _: work.calls.close())

    def _enter(self, work: Work, *, poll: bool = False) -> Call:
        self._begun += 1
        deadline_ms = self._now_ms() + int(work.timeout_s * 1000)
        call = Call(work.what, self._begun, deadline_ms, work.settle, is_poll=poll)
        self._calls[call] = None
        self._polls += poll
        return call

    async def _perform(self, call: Call, work: Work) -> None:
        """Make a call, and then others of its kind: where answers come at once, one task makes many."""
        for _ in range(_IN_A_ROW):
            await self._make(call, work.calls)
            if self._is_closed or call.work.cancelling():
                return  # it was given up, and so is this task
            following = work.more()
            if following is None:
                return
            task, work = call.work, following
            call = self._enter(work)
            call.work = task
        await self._make(call, work.calls)

    async def _make(self, call: Call, calls: Coroutine[Any, Any, Any]) -> None:
        value: object = None
        error: Exception | None = None
        try:
            value = await calls
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if call.is_over or task is None or task.cancelling():
                raise
            error = OutcomeOpen(f"{call.what}: the plugin cancelled itself")
        except Exception as fault:  # noqa: BLE001 - a plugin may raise anything, and its class decides
            error = fault
        self._settle(call, value, error)

    def expire(self, now_ms: int) -> None:
        """Give up on calls that took too long: nobody knows what came of them."""
        for call in [call for call in self._calls if call.deadline_ms <= now_ms]:
            call.work.cancel()
            self._left.add(call.work)
            call.work.add_done_callback(self._left.discard)
            self._settle(call, None, OutcomeOpen(f"{call.what}: no answer in time"))

    def next_deadline(self) -> int | None:
        """When the next call has taken too long."""
        return min((call.deadline_ms for call in self._calls), default=None)

    def _settle(self, call: Call, value: object, error: Exception | None) -> None:
        if call.is_over:
            return
        call.is_over = True
        del self._calls[call]
        self._polls -= call.is_poll
        self._judge(call, error)
        call.settle(value, error)
        self.settled()

    # --- what holds all calls ---------------------------------------------------------------------

    def _judge(self, call: Call, error: Exception | None) -> None:
        """What an answer says about the service as a whole; one to a call from before a hold says nothing."""
        if self.held_by and call.number <= self._held_from:
            return
        match error:
            case None | Rejected() | Duplicate() | InstanceGone():
                self._failures = self._holds = 0
                self._release()
            case Throttled():
                self.throttles += 1
                self._hold("throttled", self._throttled_ms(error), error)
            case CredentialsRefused():
                self._hold("credentials", PROBE_MS, error)
            case _:
                self._fault(call, error)

    def _fault(self, call: Call, error: Exception) -> None:
        """No usable answer; after several in a row only one call at a time finds out more."""
        self.faults += 1
        self._failures += 1
        if not isinstance(error, ServiceError):
            facts = {"resource": self.name, "call": call.what, "reason": self.text(error)}
            log.warning("a plugin broke", extra=facts)
        if self._failures >= _FAILURES or self.held_by:
            self._hold(self.held_by or "circuit", self._backoff_ms(), error)

    def text(self, error: Exception) -> str:
        """What an error says, fit to be stored and shown."""
        said = error.reason if isinstance(error, ServiceError) else f"{type(error).__name__}: {error}"
        return self._redact(said)[:1_000]

    def _most_ms(self) -> int:
        self._holds += 1
        most: int = min(_MOST_BACKOFF_MS, 1_000 << min(self._holds, 6))
        return most

    def _backoff_ms(self) -> int:
        most = self._most_ms()
        return int(self._rng.uniform(most / 2, most))

    def _throttled_ms(self, error: Throttled) -> int:
        """Full jitter over a time that doubles, and never less than what the service asked for."""
        asked = max(0, min(MOST_RETRY_AFTER_MS, int(error.retry_after_s * 1000)))
        return asked + int(self._rng.uniform(1, self._most_ms()))

    def _hold(self, by: str, for_ms: int, error: Exception) -> None:
        reason = self.text(error)
        if self.held_by != by:
            log.warning("calls are held", extra={"resource": self.name, "by": by, "reason": reason})
        self.held_by, self.reason = by, reason
        self.held_until_ms = self._now_ms() + for_ms
        self._held_from = self._begun

    def _release(self) -> None:
        if self.held_by:
            log.info("calls go on", extra={"resource": self.name, "held_by": self.held_by})
        self.held_by, self.held_until_ms, self.reason = "", 0, ""

    # --- the end ----------------------------------------------------------------------------------

    async def close(self, grace_s: float = 2.0) -> None:
        """Break every call off; nobody is told. One that does not end is left behind."""
        self._is_closed = True
        works = {call.work for call in self._calls} | self._left
        for call in self._calls:
            call.is_over = True
        self._calls.clear()
        self._polls = 0
        for work in works:
            work.cancel()
        if works:
            await asyncio.wait(works, timeout=grace_s)
