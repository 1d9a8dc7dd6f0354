"""What one turn commits, and how a recorded event comes back.

A turn is all events that one round of deciding produced, for every stream it touched; it is
committed whole or not at all. These records carry; `store/` writes them and `runtime/turns`
fills them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import count, repeat
from typing import NamedTuple

from asyncflow.model.events import Event


class Moment(NamedTuple):
    """The two clocks, both in UTC milliseconds, as one input of `decide`.

    `elapsed_ms` never goes backwards, across restarts too: durations, delays and timeouts are
    measured on it. `wall_ms` is the calendar: `until`, cron, display.
    """

    elapsed_ms: int
    wall_ms: int


class StreamEvents(NamedTuple):
    """Events of one stream, gap-free from `first_seq`, in the order in which they happened."""

    stream: str
    first_seq: int
    events: list[Event]


class StoredDefinition(NamedTuple):
    """A definition's canonical JSON under its content hash; written once, never changed."""

    hash: str
    body: str


class Turn(NamedTuple):
    """One commit: the events of all streams touched, and the definitions they name first.

    `removed` are streams that end in it for good: what is stored of them goes with the commit.
    """

    number: int
    moment: Moment
    entries: list[StreamEvents]
    definitions: list[StoredDefinition]
    removed: tuple[str, ...] = ()


class Recorded(NamedTuple):
    """An event as it comes back from the journal: its place in the stream and its time."""

    seq: int
    at_ms: int
    event: Event


def recorded(first_seq: int, at_ms: int, events: Sequence[Event]) -> Iterator[Recorded]:
    """Events of one stream that happened in one turn, as they come back.

    Cost: half of what it is to call the class, and a start does it for every event there is.
    """
    return map(_recorded, zip(count(first_seq), repeat(at_ms), events, strict=False))


_recorded = partial(tuple.__new__, Recorded)
