"""Messages that were published, in the order of their commits, each until it has been dealt with.

How they come out of the journal is in `turn_feed`. It knows no handler; `event_delivery` does.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncflow.app.turn_feed import FeedStore, Reader, TurnFeed
from asyncflow.ids import task_id
from asyncflow.model.events import MessagePublished
from asyncflow.model.turn import Turn
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine

__all__ = ["CURSOR", "EventFeed", "FeedStore", "Message"]

CURSOR = "events"
"""The name of the stored cursor."""


class Message(NamedTuple):
    """A message; `is_repeat`: it may have been dealt with before, wholly or in part."""

    turn: int
    id: str
    queue: str
    payload: JsonObject
    is_repeat: bool


class EventFeed(TurnFeed[Message]):
    """The messages of one engine for its handlers; while nobody wants them, they are passed over."""

    def __init__(self, engine: Engine, store: FeedStore) -> None:
        """Read nothing yet."""
        super().__init__(engine, store, Reader(CURSOR, _messages))
        self.is_wanted = lambda: False


def _messages(turn: Turn, is_repeat: bool) -> list[Message]:  # noqa: FBT001 - as a reader is called
    found: list[Message] = []
    for stream, _, events in turn.entries:
        for event in events:
            if type(event) is MessagePublished:
                identity = event.message_id or task_id(stream, event.number)
                repeated = is_repeat or event.is_given
                found.append(Message(turn.number, identity, event.queue, event.payload, repeated))
    return found
