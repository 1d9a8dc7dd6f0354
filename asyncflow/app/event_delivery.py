"""Messages brought to handlers: each handler in its own time, each message at least once, its effect once.

A handler that fails is tried again later and a bounded number of times; neither its other messages nor
other handlers wait for it. What came of every action is written into the audit.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from dataclasses import dataclass, field

from asyncflow.app.event_actions import EventActions, Step, expanded
from asyncflow.app.event_definitions import Handler
from asyncflow.app.event_feed import EventFeed, Message
from asyncflow.app.handler_book import HandlerBook
from asyncflow.app.logbook import AuditEntry, Logbook
from asyncflow.errors import AsyncflowError, PayloadUnavailable, ShuttingDown, StoreError
from asyncflow.model.values import JsonValue
from asyncflow.runtime.clock import pause
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.scripts.evaluator import ScriptRequest
from asyncflow.runtime.timers import TimerKey

log = logging.getLogger("asyncflow.events")

RETRY_DELAYS_S = (1, 5, 25)
"""After how long an action that failed is tried again; then it counts as failed."""

ACTION = "event_action"
"""The kind of object of the audit's entries about actions; its id is `<message id>_<number>`."""

DONE, FAILED = "done", "failed"

_KIND = "event"
_WAITING = 2_000  # deliveries under way, beyond which no message is taken
_TOGETHER = 32  # messages of a handler dealt with at once, where their order does not matter
_AGAIN_S = 1  # after the store took nothing
_REASON = 2_000  # characters


@dataclass(slots=True, eq=False)
class _Delivery:
    """One message for one handler; `done` are the numbers of actions that need no more trying."""

    message: Message
    handler: Handler
    shares: _Shares
    tries: int = 0
    done: set[int] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class _Shares:
    """How many handlers have still to deal with a message."""

    left: int


class EventDelivery:
    """Brings the messages of a feed to handlers.

    Attributes:
        handlers: all of them.
        counts: how often what came of a message for a handler: done, skipped, retried or failed.
    """

    def __init__(self, engine: Engine, logbook: Logbook, feed: EventFeed, actions: EventActions) -> None:
        """Bring nothing yet."""
        self.handlers = HandlerBook()
        self.counts: Counter[str] = Counter()
        self._engine, self._logbook, self._feed, self._actions = engine, logbook, feed, actions
        self._queues: dict[str, deque[_Delivery]] = {}
        self._later: dict[int, _Delivery] = {}
        self._drawn = self._queued = 0
        self._is_errand = False
        self._room = asyncio.Event()
        feed.is_wanted = lambda: self.handlers.has_active
        feed.arrived = self._update_errand

    async def begin(self) -> None:
        """Take up what was not dealt with, and go on.

        Raises:
            StoreError: the journal cannot be read.
        """
        self._engine.carry.hand_out.on_due[_KIND] = self._retry
        await self._feed.begin()
        self._engine.supervisor.start("events", self._run)

    # --- from the feed to queues --------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                messages = await self._feed.take()
                for message in messages:
                    self._hand_on(message)
                self._update_errand()
                await self._feed.save()
                while self._queued >= _WAITING:
                    self._room.clear()
                    await self._room.wait()
            except ShuttingDown:
                await asyncio.Event().wait()  # until the engine's end cancels this
            except StoreError as error:
                log.warning("events not read", extra={"reason": str(error)})
                await pause(_AGAIN_S)

    def _hand_on(self, message: Message) -> None:
        wanting = [each for each in self.handlers.of_event(message.queue) if each.is_active]
        if not wanting:
            self._feed.finished(message)
        shares = _Shares(len(wanting))
        for handler in wanting:
            self._enqueue(_Delivery(message, handler, shares))

    def _enqueue(self, delivery: _Delivery) -> None:
        name = delivery.handler.name
        self._queued += 1
        queue = self._queues.get(name)
        if queue is not None:
            queue.append(delivery)
            return
        self._queues[name] = deque([delivery])
        self._engine.supervisor.start(
            f"events of {name}", lambda: self._work(name), fatal=lambda _: self._broken(name)
        )

    def _broken(self, name: str) -> None:
        """A bug ended the work of a handler: what it left is taken up by the next start."""
        for _ in self._queues.pop(name, ()):
            self._queued -= 1
        self._update_errand()

    def _update_errand(self) -> None:
        """A virtual clock waits while there is something to do."""
        is_busy = self._queued > 0 or not self._feed.is_idle
        if is_busy != self._is_errand:
            self._is_errand = is_busy
            self._engine.carry.errands += 1 if is_busy else -1
            if not is_busy:
                self._engine.turns.wake()

    # --- one handler ------------------------------------------------------------------------------

    async def _work(self, name: str) -> None:
        """Deal with the messages of a handler, in their order, until none is left."""
        queue = self._queues[name]
        while queue:
            batch = self._batch(queue)
            await asyncio.gather(*(self._deliver(each) for each in batch))
            self._queued -= len(batch)
            self._room.set()
        del self._queues[name]
        try:
            await self._feed.save()
        except (StoreError, ShuttingDown) as error:
            log.warning("cursor of events not stored", extra={"reason": str(error)})
        self._update_errand()

    def _batch(self, queue: deque[_Delivery]) -> list[_Delivery]:
        batch = [queue.popleft()]
        if batch[0].handler.only_starts:
            met = {batch[0].message.id}
            while queue and len(batch) < _TOGETHER and queue[0].message.id not in met:
                met.add(queue[0].message.id)
                batch.append(queue.popleft())
        return batch

    async def _deliver(self, delivery: _Delivery) -> None:
        handler = self.handlers.get(delivery.handler.name)
        if handler is None or not handler.is_active:
            self._finish(delivery, "dropped")
            return
        if handler is not delivery.handler:  # it was changed since: what was done belongs to the old one
            delivery.handler, delivery.done = handler, set()
        try:
            outcome = await self._act(delivery)
        except ShuttingDown:
            return  # the next start takes it up
        except PayloadUnavailable as error:
            await self._failed(delivery, error)
        except StoreError as error:
            log.warning("event not delivered", extra={"handler": handler.name, "reason": str(error)})
            self._try_later(delivery, _AGAIN_S)
        except AsyncflowError as error:
            await self._failed(delivery, error)
        else:
            self._finish(delivery, outcome)

    async def _act(self, delivery: _Delivery) -> str:
        """Do all that the handler asks for; raises the first fault, after all actions had their turn."""
        handler, message = delivery.handler, delivery.message
        is_repeat = message.is_repeat or delivery.tries > 0
        if not await self._passes(handler, message):
            return "skipped"
        fault: AsyncflowError | None = None
        for number in range(len(handler.actions)):
            if number in delivery.done:
                continue
            try:
                step = Step(handler, number, message, is_repeat)
                what = await self._actions.perform(step)
            except (StoreError, ShuttingDown):
                raise
            except AsyncflowError as error:
                fault = fault or error
            else:
                delivery.done.add(number)
                if what:
                    self._engine.logs.put(self._entry(step, DONE, what))  # nothing depends on it
        if fault is not None:
            raise fault
        return DONE

    async def _passes(self, handler: Handler, message: Message) -> bool:
        """Whether the condition holds: it gave true, or a number above 0.

        Raises:
            ScriptError, LimitExceeded: it failed.
        """
        if not handler.condition:
            return True
        payload = expanded(message.payload)
        assert isinstance(payload, dict)
        value: JsonValue
        if handler.is_value:
            value = payload.get(handler.condition)
        else:
            value = await self._engine.scripts.run(ScriptRequest("javascript", handler.condition, payload))
        if isinstance(value, bool):
            return value
        return (isinstance(value, int | float) and value > 0) or value == "true"

    # --- what came of it --------------------------------------------------------------------------

    async def _failed(self, delivery: _Delivery, error: AsyncflowError) -> None:
        handler, message = delivery.handler, delivery.message
        log.warning(
            "event handler failed",
            extra={
                "handler": handler.name,
                "message_id": message.id,
                "reason": str(error),
                "tries": delivery.tries + 1,
            },
        )
        if delivery.tries < len(RETRY_DELAYS_S):
            delivery.tries += 1
            self.counts["retried"] += 1
            self._try_later(delivery, RETRY_DELAYS_S[delivery.tries - 1])
            return
        reason = f"{error.code}: {error}"
        try:
            for number in range(len(handler.actions)):
                if number not in delivery.done:
                    step = Step(handler, number, message, is_repeat=True)
                    await self._logbook.audit(self._entry(step, FAILED, reason))
        except ShuttingDown:
            return
        except StoreError:
            self._try_later(delivery, _AGAIN_S)
            return
        self._finish(delivery, FAILED)

    def _try_later(self, delivery: _Delivery, delay_s: int) -> None:
        self._drawn += 1
        self._later[self._drawn] = delivery
        due_ms = self._engine.clock.now().elapsed_ms + delay_s * 1000
        self._engine.carry.timetable.set(TimerKey(delivery.handler.name, self._drawn, _KIND), due_ms)
        self._engine.turns.wake()

    def _retry(self, timer: TimerKey) -> None:
        self._enqueue(self._later.pop(timer.number))
        self._update_errand()

    def _finish(self, delivery: _Delivery, outcome: str) -> None:
        self.counts[outcome] += 1
        delivery.shares.left -= 1
        if not delivery.shares.left:
            self._feed.finished(delivery.message)

    def _entry(self, step: Step, outcome: str, reason: str) -> AuditEntry:
        now_ms = self._engine.clock.now().wall_ms
        caller, identity = caller_of(step.handler.name), f"{step.message.id}_{step.number}"
        return AuditEntry(now_ms, caller, "", step.action.kind, ACTION, identity, reason[:_REASON], outcome)


def caller_of(handler: str) -> str:
    """Under which name a handler's actions stand in the audit."""
    return f"event:{handler}"
