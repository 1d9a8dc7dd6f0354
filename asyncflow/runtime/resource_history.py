"""What is recorded of a resource, as people read it: all of its streams, a page of them, the newest first.

It reads the journal and nothing else; how a resource stands now is `runtime/resource_shown`.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncflow.errors import StoreError
from asyncflow.model.resource_events import resource_stream
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject
from asyncflow.store.journal import Journal


class HistoryPage(NamedTuple):
    """Events of a resource, the newest first, and how many there are in all."""

    total: int
    events: list[JsonObject]


async def history_of(name: str, generation: int, journal: Journal, *, start: int, count: int) -> HistoryPage:
    """Events of a resource from this one of its streams back; a part that cannot be read is named as such.

    Cost: what is read is the page, and the rest of the segments that it lies in.
    """
    total, found = 0, list[JsonObject]()
    for each in range(generation, 0, -1):
        stream = resource_stream(name, each)
        newest = await journal.last_seq(stream)
        first = max(0, start - total)  # of this stream, passed over from its end
        wanted = min(count - len(found), newest - first)
        total += newest
        if wanted > 0:
            try:
                found += map(_shown, await _read(journal, stream, newest - first - wanted, wanted))
            except StoreError as damage:
                found.append({"event": "Unreadable", "reason": str(damage)})
    return HistoryPage(total, found)


async def _read(journal: Journal, stream: str, after: int, count: int) -> list[Recorded]:
    """So many events behind this one, the newest first."""
    found: list[Recorded] = []
    async for events in journal.read_events(stream, after):
        found += events
        if len(found) >= count:
            break
    return found[:count][::-1]


def _shown(recorded: Recorded) -> JsonObject:
    event = recorded.event
    facts = {"seq": recorded.seq, "atMs": recorded.at_ms, "event": type(event).__name__}
    return {**facts, **event._asdict()}
