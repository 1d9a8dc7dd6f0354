"""Messages between executions: decided in the turn that sends them, or queued and delivered once.

A message whose receiver is here is decided at once, as long as the slice has room. Otherwise it is
recorded in its sender's outbox, and leaves it in the very commit that holds what its receiver
made of it: so a crash between the two loses nothing and repeats nothing.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Protocol

from asyncflow.errors import AsyncflowError, NotFound
from asyncflow.model.events import Event, MessageDelivered, MessageQueued
from asyncflow.model.inputs import Message, StartExecution
from asyncflow.model.state import ExecutionState
from asyncflow.runtime.closures import Closures
from asyncflow.runtime.loading import Loaded, Loading
from asyncflow.runtime.residents import Residents

log = logging.getLogger("asyncflow.messages")

Sent = tuple[ExecutionState, Message]
"""A message and the execution that sent it."""

_ASKED_AHEAD = 100  # receivers of one outbox that are loaded together


class Decider(Protocol):
    """Who decides what a message makes of its receiver."""

    @property
    def has_room(self) -> bool:
        """Whether more may be decided before others get the loop, and in this turn."""

    def receive(self, message: Message) -> list[Sent]:
        """Decide a message whose receiver is here, or begins with it; what it sends in turn."""

    def emit(self, state: ExecutionState, event: Event) -> None:
        """Make a fact true and record it."""

    def go_on(self, stream: str) -> None:
        """Have the execution take up what is left, later."""


class Messages:
    """What is on its way from execution to execution."""

    def __init__(self, decider: Decider, residents: Residents, loading: Loading, closures: Closures) -> None:
        """Nothing is on its way."""
        self._decider, self._residents, self._loading = decider, residents, loading
        self._closures = closures
        self._awaited: dict[str, set[str]] = {}  # sender, and the receivers being loaded for it
        self._gone: set[str] = set()  # receivers of which nothing is recorded (any more)

    def send(self, sent: Iterable[Sent]) -> None:
        """Decide messages now, or queue them where that cannot be; each sender's stay in order."""
        todo = deque(sent)
        while todo:
            source, message = todo.popleft()
            if not source.outbox and self._decider.has_room and self._is_here(message):
                todo.extend(self._decider.receive(message))
                continue
            if source.execution_id in self._residents.quarantined:
                log.error("message lost with its sender", extra={"execution": source.execution_id})
                continue
            kind = type(message.input).__name__
            self._decider.emit(source, MessageQueued(message.to, kind, list(message.input)))
            if len(source.outbox) == 1:
                self._decider.go_on(source.execution_id)

    def deliver(self, source: ExecutionState) -> None:
        """Deliver what is queued and can be, in order; the rest when its receivers are here.

        One round at most: what is for an execution that is quarantined goes to the end, so that it
        holds up nobody else's, and waits there for the next start.
        """
        for _ in range(len(source.outbox)):
            if not self._decider.has_room:
                break
            message = source.outbox[0]
            if self._is_here(message):
                following = self._decider.receive(message)
                self._decider.emit(source, MessageDelivered())
                self._residents.unpin(message.to)
                self._closures.widen(source, message.to, self._residents.states)
                self.send(following)
            elif message.to in self._gone:
                self._gone.discard(message.to)
                self._decider.emit(source, MessageDelivered())
            elif message.to not in self._residents.quarantined:
                self._load(source)
                return
            elif all(each.to in self._residents.quarantined for each in source.outbox):
                return
            else:
                kind = type(message.input).__name__
                self._decider.emit(source, MessageQueued(message.to, kind, list(message.input)))
                self._decider.emit(source, MessageDelivered())

    def is_stuck(self, source: ExecutionState) -> bool:
        """Whether nothing in the outbox can be delivered before something else happens."""
        if source.execution_id in self._awaited:
            return True
        return all(message.to in self._residents.quarantined for message in source.outbox)

    def _is_here(self, message: Message) -> bool:
        return message.to in self._residents.states or (
            isinstance(message.input, StartExecution) and message.to not in self._residents.quarantined
        )

    def _load(self, source: ExecutionState) -> None:
        """Have the receivers of the next messages loaded, and come back when the first is here."""
        sender = source.execution_id
        awaited = self._awaited.setdefault(sender, set())
        for message in list(source.outbox)[:_ASKED_AHEAD]:
            receiver = message.to
            if receiver in awaited or receiver in self._residents.quarantined or self._is_here(message):
                continue
            awaited.add(receiver)
            self._loading.ask(receiver, partial(self._loaded, sender, receiver))

    def _loaded(self, sender: str, receiver: str, loaded: Loaded) -> None:
        """A receiver is here now, or will never be."""
        if isinstance(loaded, ExecutionState):
            if receiver not in self._residents.states:
                self._residents.add(loaded)
            self._residents.pin(receiver)
        elif isinstance(loaded, NotFound):
            log.warning("message for nobody", extra={"execution": sender, "to": receiver})
            self._gone.add(receiver)
        else:
            log.error("message cannot be delivered", extra={"execution": sender, "to": receiver})
            self._residents.quarantine(receiver, str(loaded))
        awaited = self._awaited[sender]
        awaited.discard(receiver)
        if not awaited:
            del self._awaited[sender]
            self._decider.go_on(sender)


def refused(message: Message, refusal: AsyncflowError) -> None:
    """A receiver refused: it is in a state in which the message means nothing."""
    log.warning("message refused", extra={"execution": message.to, "reason": str(refusal)})
