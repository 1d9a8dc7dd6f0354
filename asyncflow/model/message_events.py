"""Recorded facts about messages: what was published for handlers, and what one execution tells another.

They follow the rules of `model/events`, whose union they are part of. They say nothing of a task.
`decide/evolve` gives them effect; `app/event_handlers` reads what was published.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncflow.model.values import JsonObject, JsonValue


class MessagePublished(NamedTuple):
    """An EVENT task put a message on an internal queue; the message id is the task id.

    Or somebody outside did, under a `message_id`: then it lies in a stream of such messages, and
    `number` is 0; if the id `is_given`, there may be others of it.
    """

    number: int
    queue: str
    payload: JsonObject
    message_id: str = ""
    is_given: bool = False


class InputApplied(NamedTuple):
    """What came before it in this turn was done for a command with this token, which is not done again."""

    token: str


class MessageQueued(NamedTuple):
    """An input for another stream waits to be delivered, once: kind and fields of the input."""

    to: str
    kind: str
    fields: list[JsonValue]


class MessageDelivered(NamedTuple):
    """The oldest queued message was decided by its receiver in the same commit."""
