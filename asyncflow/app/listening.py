"""One listener at work: told of what it wants in the order of commits, at least once, in its own time.

What it raises is told again, later and later, then passed over, counted, logged and written down. Nobody
waits for it: it has a coroutine and a cursor of its own. Who is configured is the business of `listeners`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from asyncflow.app.event_rules import GAP
from asyncflow.app.event_telling import Telling, Told, told_names
from asyncflow.app.listener_board import Line, ListenerBoard
from asyncflow.app.logbook import AuditEntry, Logbook, audited
from asyncflow.app.turn_feed import FeedStore, Reader, TurnFeed
from asyncflow.errors import ShuttingDown, StoreError
from asyncflow.model.turn import Turn
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listeners import CommittedEvent, Listener
from asyncflow.plugins.listening import ListenerSettings
from asyncflow.runtime.clock import comes_within, pause
from asyncflow.runtime.engine import Engine
from asyncflow.store.log_records import ResourceLine

log = logging.getLogger("asyncflow.listeners")

CURSOR = "listener:"
"""What the names of the stored cursors begin with; the name of the listener follows."""

SKIPPED = "listener_event"
"""The kind of object of the audit's entries about events that were passed over; its id is the event's."""

RETOLD = "listener_retold"
"""The same of entries about such events that were told later after all."""

_AGAIN_S = 1.0  # after the store took nothing
_GRACE_S = 2.0  # for the event it has, at the end
_REASON = 1_500  # characters
_OFTEN = 3  # tries after which one is named as in trouble


@dataclass(frozen=True, slots=True)
class Post:
    """A listener with what is said of it, and the names that it hears of."""

    name: str
    listener: Listener
    settings: ListenerSettings
    names: frozenset[str]


class Listening:
    """Brings events to one listener.

    Attributes:
        counts: events told, told again, skipped; gaps, and the turns that were missed.
        trouble: why the last attempt to tell it came to nothing; "" if it did not.
        tries: how often the present event was told without success.
    """

    def __init__(
        self,
        post: Post,
        engine: Engine,
        store: FeedStore,
        *,
        telling: Telling,
        board: ListenerBoard,
        logbook: Logbook,
    ) -> None:
        """Bring nothing yet."""
        self.post = post
        self.counts: Counter[str] = Counter()
        self.trouble = ""
        self.tries = 0
        self.is_open = False
        self._engine, self._telling, self._logbook = engine, telling, logbook
        self._board = board
        settings = post.settings
        self.feed: TurnFeed[Told] = TurnFeed(
            engine,
            store,
            Reader(
                f"{CURSOR}{post.name}",
                self._wanted,
                max_lag=settings.max_lag,
                keep=settings.keep,
                from_now=settings.start == "now",
            ),
            tap=Line(board, post.names),
        )
        self.feed.missed = self._missed
        self._taken: deque[Told] = deque()
        self._one_at_a_time = asyncio.Lock()
        self._limit: asyncio.Timeout | None = None
        self._closing = asyncio.Event()
        self._ended = asyncio.Event()

    def _wanted(self, turn: Turn, is_repeat: bool) -> Sequence[Told]:  # noqa: ARG002, FBT001 - as a reader is called
        return [told for told in self._telling.of_turn(turn) if told_names(told) & self.post.names]

    def _missed(self, first: int, last: int) -> Sequence[Told]:
        """Turns are gone that it has not read."""
        name = self.post.name
        self.counts["gaps"] += 1
        self.counts["missed_turns"] += last - first + 1
        log.warning("listener fell behind", extra={"listener": name, "from_turn": first, "to_turn": last})
        now_ms = self._engine.clock.now().wall_ms
        self._engine.logs.put(
            ResourceLine(caller_of(name), now_ms, f"fell behind: turns {first} to {last} are missed", "WARN")
        )
        if GAP not in self.post.names:
            return ()
        data: JsonObject = {"fromTurn": first, "toTurn": last, "turns": last - first + 1}
        return [Told(first, CommittedEvent(f"gap:{name}:{first}-{last}", GAP, now_ms, name, data))]

    @property
    def is_stuck(self) -> bool:
        """Whether it cannot be opened, or did not take an event that it was told a few times."""
        return bool(self.trouble) and (not self.is_open or self.tries >= _OFTEN)

    # --- while it goes on -------------------------------------------------------------------------

    def start(self) -> None:
        """Have it told, until `close`, or the engine's end."""
        self._engine.supervisor.start(f"listener {self.post.name}", self._run, fatal=lambda _: None)

    async def _run(self) -> None:
        try:
            while not self._closing.is_set():
                try:
                    await self._open()
                    while not self._closing.is_set():
                        await self._some()
                except Exception:
                    # A bug of ours, which another attempt may not meet: what it has not taken is told again.
                    log.exception("listener broke off", extra={"listener": self.post.name})
                    self._engine.supervisor.faults[f"listener {self.post.name}"] += 1
                    await comes_within(self._closing, _AGAIN_S)
        finally:
            self._ended.set()

    async def _open(self) -> None:
        """Open it, however often that fails."""
        delay_s = self.post.settings.retry_first_s
        while not self.is_open and not self._closing.is_set():
            self.trouble = await self._attempt(self.post.listener.open())
            self.is_open = not self.trouble
            if self.trouble:
                log.warning("listener not opened", extra={"listener": self.post.name, "reason": self.trouble})
                await comes_within(self._closing, delay_s)
                delay_s = min(2 * delay_s, self.post.settings.retry_max_s)

    async def _some(self) -> None:
        """What there is now, or wait."""
        try:
            while self._taken and await self._tell_all(self._taken[0]):
                self.feed.finished(self._taken.popleft())
                self._board.moved(self.feed)
            if not self._closing.is_set():
                self._taken += await self.feed.take()
                self._board.moved(self.feed)
        except ShuttingDown:
            await self._closing.wait()
        except StoreError as error:
            log.warning("listener cannot read", extra={"listener": self.post.name, "reason": str(error)})
            await pause(_AGAIN_S)

    async def _tell_all(self, told: Told) -> bool:
        """Tell all of an event; False if that was broken off, and it stays to be told."""
        for event in await self._telling.resolved(told):
            if event.name in self.post.names and not await self._tell(event):
                return False
        return True

    async def _tell(self, event: CommittedEvent) -> bool:
        """Tell it one event until it takes it, or is out of tries; False if that was broken off."""
        settings = self.post.settings
        delay_s = settings.retry_first_s
        self.tries = 0
        while not self._closing.is_set():
            self.trouble = await self.tell_once(event)
            if not self.trouble:
                self.tries = 0
                return True
            if self._closing.is_set():
                break
            self.tries += 1
            if self.tries > settings.retries:
                return await self._skip(event)
            self.counts["retried"] += 1
            await comes_within(self._closing, delay_s)
            delay_s = min(2 * delay_s, settings.retry_max_s)
        return False

    async def tell_once(self, event: CommittedEvent) -> str:
        """Tell it one event, never two at once, and say what went wrong, "" for nothing."""
        async with self._one_at_a_time:
            said = await self._attempt(self.post.listener.on_event(event))
        if not said:
            self.counts["told"] += 1
        return said

    async def _attempt(self, work: Awaitable[object]) -> str:
        """Have it do something, and say what went wrong, "" for nothing."""
        try:
            async with asyncio.timeout(self.post.settings.timeout_s) as limit:
                self._limit = limit
                await work
        except TimeoutError:
            return f"no answer in {self.post.settings.timeout_s:g} s" if limit.expired() else "TimeoutError"
        except asyncio.CancelledError:
            current = asyncio.current_task()
            if current is not None and current.cancelling():
                raise
            return "it cancelled itself"
        except (KeyboardInterrupt, MemoryError):
            raise
        except BaseException as error:  # noqa: BLE001 - code of strangers: also sys.exit() stops nobody
            return self._engine.logs.redactor.text(f"{type(error).__name__}: {error}")[:_REASON]
        finally:
            self._limit = None
        return ""

    async def _skip(self, event: CommittedEvent) -> bool:
        """Pass over an event that it does not take, for good; False if that could not be written down."""
        name = self.post.name
        log.error("event skipped", extra={"listener": name, "event_id": event.id, "reason": self.trouble})
        now_ms = self._engine.clock.now().wall_ms
        entry = AuditEntry(
            now_ms, caller_of(name), "", event.name, SKIPPED, audited(event.id), self.trouble, "failed"
        )
        while not self._closing.is_set():
            try:
                await self._logbook.audit(entry)
            except ShuttingDown:
                return False
            except StoreError as error:
                log.warning("skipped event not written", extra={"listener": name, "reason": str(error)})
                await comes_within(self._closing, _AGAIN_S)
            else:
                said = f"{event.name} {event.id} was skipped after {self.tries} tries: {self.trouble}"
                execution, task = (str(event.data.get(key, "")) for key in ("executionId", "taskId"))
                self._engine.logs.put(ResourceLine(caller_of(name), now_ms, said, "ERROR", execution, task))
                self.counts["skipped"] += 1
                self.tries = 0
                return True
        return False

    # --- the end ----------------------------------------------------------------------------------

    async def close(self) -> None:
        """Let it take the event it has, for a time, store its place and close it; the rest is told later."""
        self._closing.set()
        self.feed.nudge()
        if not await comes_within(self._ended, _GRACE_S) and self._limit is not None:
            self._limit.reschedule(0.0)  # its time is up; what it has not taken is told again
            await comes_within(self._ended, _GRACE_S)
        try:
            await self.feed.save(at_once=True)
        except (StoreError, ShuttingDown) as error:
            log.warning(
                "place of listener not stored", extra={"listener": self.post.name, "reason": str(error)}
            )
        if self.is_open:
            said = await self._attempt(self.post.listener.close())
            if said:
                log.warning("listener not closed", extra={"listener": self.post.name, "reason": said})
        self.feed.end()


def caller_of(listener: str) -> str:
    """Under which name what became of a listener's events stands in the audit."""
    return audited(f"listener:{listener}")
