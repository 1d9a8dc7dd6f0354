"""The history of a resource is read page by page from its end, over all of its streams."""

from __future__ import annotations

import pytest

from asyncflow.model.resource_events import ResourceDrained, resource_stream
from asyncflow.model.turn import Moment, StreamEvents, Turn, recorded
from asyncflow.runtime.resource_history import history_of
from asyncflow.store.records import Segment
from asyncflow.store.sqlite import SqliteStore

STREAMS = (7, 0, 12)


async def written(store: SqliteStore) -> None:
    """Streams of one resource, half of each in segments of two events, and in the turns."""
    number = 0
    for generation, events in enumerate(STREAMS, start=1):
        stream = resource_stream("r", generation)
        drained = [ResourceDrained(f"{generation}:{n}") for n in range(1, events + 1)]
        for seq, event in enumerate(drained, start=1):
            number += 1
            await store.append(Turn(number, Moment(number, number), [StreamEvents(stream, seq, [event])], []))
        for first in range(1, events // 2, 2):
            part = [*recorded(first, first, drained[first - 1 : first + 1])]
            await store.write_segments([Segment(stream, first, first + 1, part, open=True)])


@pytest.mark.parametrize("count", [1, 3, 100])
async def test_pages_of_a_resources_history_are_the_whole_newest_first(count: int) -> None:
    async with SqliteStore.open(":memory:") as store:
        await written(store)
        shown: list[object] = []
        while page := (await history_of("r", 3, store, start=len(shown), count=count)).events:
            shown += [event["by"] for event in page]
        total, beyond = await history_of("r", 3, store, start=sum(STREAMS), count=count)

    newest_first = [f"{g}:{n}" for g in (3, 2, 1) for n in range(STREAMS[g - 1], 0, -1)]
    assert shown == newest_first
    assert (total, beyond) == (sum(STREAMS), [])
