"""The turn that is being decided: what it recorded, whom it owes an answer, what it stores first.

It is filled by `runtime/recording`, handed to the journal whole by `runtime/commits`, and released or
refused whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from asyncflow.errors import AsyncflowError
from asyncflow.model.definition import WorkflowDefinition, canonical_json
from asyncflow.model.events import Event
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Moment, StoredDefinition, StreamEvents, Turn

log = logging.getLogger("asyncflow.turns")

Answer = asyncio.Future[ExecutionState]
Watcher = Callable[[StreamEvents, Moment], None]
"""Told of the events of one stream once they are durable; never awaited."""

MOST_EVENTS = 20_000
MOST_BYTES = 4 << 20
"""A turn of more is committed before anything is added: encoding 4 MiB takes 10 ms of the loop."""


@dataclass(slots=True)
class OpenTurn:
    """What is decided and not yet handed to the journal.

    All of it happened at one `moment`, that of its first input, so that a replay, which knows
    the turn's moment only, makes the very same state. `done` is fulfilled when it is durable.
    `bytes` are those of the payloads that came in, as far as they are known, `inputs` how many were decided.
    """

    moment: Moment | None = None
    entries: dict[str, StreamEvents] = field(default_factory=dict)
    definitions: list[StoredDefinition] = field(default_factory=list)
    answers: list[tuple[Answer, ExecutionState]] = field(default_factory=list)
    ended: dict[str, ExecutionState] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    done: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    count: int = 0
    bytes: int = 0
    inputs: int = 0

    @property
    def is_full(self) -> bool:
        """Whether what comes now belongs to the next turn."""
        return self.count >= MOST_EVENTS or self.bytes >= MOST_BYTES

    def add(self, stream: str, first_seq: int, events: list[Event]) -> None:
        """Record events of a stream behind those it has in this turn."""
        entry = self.entries.get(stream)
        if entry is None:
            self.entries[stream] = StreamEvents(stream, first_seq, events)
        else:
            entry.events.extend(events)
        self.count += len(events)

    def store(self, name: str, definition: WorkflowDefinition) -> None:
        """Store a definition with the events that name it first."""
        self.definitions.append(StoredDefinition(name, canonical_json(definition).decode()))

    def close(self, number: int) -> Turn:
        """What the journal gets."""
        assert self.moment is not None  # set with the first input
        entries, removed = list(self.entries.values()), tuple(self.removed)
        return Turn(number, self.moment, entries, self.definitions, removed)

    def release(self) -> None:
        """It is durable: give the answers."""
        for answer, state in self.answers:
            if not answer.done():
                answer.set_result(state)
        self.done.set_result(None)

    def refuse(self, error: AsyncflowError) -> None:
        """It is not durable, or nobody knows: nobody learns of success."""
        for answer, _ in self.answers:
            refuse(answer, error)
        if not self.done.done():
            self.done.set_exception(error)
            self.done.exception()  # nobody may be waiting for it


def refuse(answer: Answer | None, error: AsyncflowError) -> None:
    """Tell whoever waits, if anybody does."""
    if answer is not None and not answer.done():
        answer.set_exception(error)


Listener = Callable[[OpenTurn, Turn], None]
"""Told of a turn that is durable, while what ended in it is still in memory; never awaited."""


def tell_listeners(listeners: list[Listener], turn: OpenTurn, record: Turn) -> None:
    """Tell those who only look; a fault of theirs is no fault of the engine, and they are told no more."""
    for listener in tuple(listeners):
        try:
            listener(turn, record)
        except Exception:
            log.exception("a listener broke and is told no more")
            listeners.remove(listener)
