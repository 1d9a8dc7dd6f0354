"""What is recorded of a resource, as people read it: all of its streams, oldest first.

It reads the journal and nothing else; how a resource stands now is `runtime/resource_shown`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from asyncflow.errors import StoreError
from asyncflow.model.resource_events import resource_stream
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject

Read = Callable[[str], Awaitable[Sequence[Recorded]]]


async def history_of(name: str, generation: int, read: Read) -> list[JsonObject]:
    """The events of a resource up to this one of its streams; a part that cannot be read is named as such."""
    found: list[JsonObject] = []
    for each in range(1, generation + 1):
        try:
            found += map(_shown, await read(resource_stream(name, each)))
        except StoreError as damage:
            found.append({"event": "Unreadable", "reason": str(damage)})
    return found


def _shown(recorded: Recorded) -> JsonObject:
    event = recorded.event
    facts = {"seq": recorded.seq, "atMs": recorded.at_ms, "event": type(event).__name__}
    return {**facts, **event._asdict()}
