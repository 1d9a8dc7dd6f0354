"""The turn log kept short: the oldest turns become segments of their streams, and go.

Work comes in small slices, each one reading and a few writes, and only while no commit waits longer
because of it. A crash between any two writes loses nothing: segments and turns may overlap, and
what is already segmented is passed over.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator

from asyncflow.errors import StoreError
from asyncflow.model.resource_events import RESOURCE_STREAMS
from asyncflow.model.turn import Recorded, Turn, recorded
from asyncflow.runtime import points
from asyncflow.runtime.clock import breathe, comes_within
from asyncflow.runtime.open_turn import OpenTurn
from asyncflow.runtime.recovery import CATALOG_STREAM
from asyncflow.runtime.turns import Turns
from asyncflow.store.journal import Journal
from asyncflow.store.records import Recovery, Segment

log = logging.getLogger("asyncflow.compaction")

_AGAIN_S = 5.0  # after the journal could not be written
_SEGMENTS = 200  # of one write, at most: they are inserted with the interpreter's lock changing hands
_EVENTS = 4_000  # of one write, at most: some 20 ms in which no turn is committed
_SEGMENT_EVENTS = 1_000
_LARGE = 1_000  # events of an execution that gets segments at its end, so that loading it is cheap
_PART = 4  # a round brings the log down by this part of what it may be
_BATCH_BYTES = 4 << 20  # what one reading holds, about
_MEASURED = 8  # the log is measured when it may have grown by this part of what it may be
_EVENT_BYTES = 100  # of a recorded event without payload, about


class Compaction:
    """Keeps the size of the turns held below a bound.

    Attributes:
        turn_bytes: size of the turns held, when it was last measured.
        needed_by: each gives the oldest turn that somebody has still to read.
        rounds: how often turns were made into segments.
        is_held: no turn goes: readers that stored a place have still to say from where on they need them.
    """

    def __init__(
        self, journal: Journal, turns: Turns, *, most_bytes: int, needed_from: Callable[[], int]
    ) -> None:
        """Compact nothing yet; `needed_from` gives the oldest turn that the views have still to read."""
        self.needed_by = [needed_from]
        self.turn_bytes = 0
        self.rounds = 0
        self.is_held = False
        self._journal, self._turns = journal, turns
        self._most_bytes = most_bytes
        self._grown = 0
        self._first = 1
        self._ended: deque[str] = deque()
        self._wake = asyncio.Event()
        self._closing = asyncio.Event()
        self._at_rest = asyncio.Event()
        self._at_rest.set()

    def begin(self, position: Recovery) -> None:
        """Go on from where the journal stands."""
        self.turn_bytes, self._first = position.turn_bytes, position.first_turn
        if self.turn_bytes > self._most_bytes:
            self._wake.set()

    def release(self) -> None:
        """All readers have said what they need."""
        self.is_held = False
        if self.turn_bytes > self._most_bytes:
            self._wake.set()

    def committed(self, turn: OpenTurn) -> None:
        """A turn is durable: the log has grown, and large executions may have ended in it."""
        self._grown += turn.bytes + turn.count * _EVENT_BYTES
        if self._grown > self._most_bytes // _MEASURED:
            self._wake.set()
        for stream, state in turn.ended.items():
            if state.seq >= _LARGE and state.is_ended:
                self._ended.append(stream)
                self._wake.set()

    async def run(self) -> None:
        """Compact whenever it is needed, for ever; cancelled by the engine's end."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._at_rest.clear()
            try:
                await self._work()
            except StoreError as error:
                log.warning("turns not compacted", extra={"reason": str(error)})
                await comes_within(self._closing, _AGAIN_S)
                self._wake.set()
            finally:
                self._at_rest.set()

    async def _work(self) -> None:
        while self._ended and not self._closing.is_set():
            # Off the list first: where one cannot be read, the others are not to wait behind it. What
            # gets no segments here gets them with its turns.
            await self._segment_one(self._ended.popleft())
        if self._grown > self._most_bytes // _MEASURED:
            await self._measure()
        while self.turn_bytes > self._most_bytes and not self._closing.is_set():
            before = self._first
            await self.compact()
            if self._first == before:
                return  # somebody has still to read the oldest turn; the next commit looks again

    async def close(self) -> None:
        """Begin nothing more, and wait for the slice under way."""
        self._closing.set()
        await self._at_rest.wait()

    async def compact(self) -> None:
        """Make the oldest turns into segments and delete them: one round, about a quarter of the bound.

        Raises:
            StoreError: the journal cannot be read or written; what was done stays.
        """
        size, below = 0, 0
        async for batch in self._journal.read_turns(self._first - 1, unsegmented=True):
            await self._write(self._segments(batch))
            below = batch[-1].number + 1
            size += _BATCH_BYTES
            if size >= self._most_bytes // _PART or self._closing.is_set():
                break
        await self._trim(min(below, *(needed_from() for needed_from in self.needed_by)))
        self.rounds += 1

    async def _segment_one(self, stream: str) -> None:
        """Write segments of an execution that has ended, beyond those it has."""
        older = (await self._journal.read_streams([stream], segments_only=True))[stream]
        whole = (await self._journal.read_streams([stream]))[stream]
        await self._write(self._parts(stream, whole[len(older) :]))

    async def _write(self, segments: Iterable[Segment]) -> None:
        """Write segments, few enough at a time that commits hardly wait."""
        chunk: list[Segment] = []
        events = 0
        for segment in segments:
            chunk.append(segment)
            events += len(segment.events)
            if len(chunk) >= _SEGMENTS or events >= _EVENTS:
                await self._store(chunk)
                chunk, events = [], 0
        if chunk:
            await self._store(chunk)

    async def _store(self, chunk: list[Segment]) -> None:
        points.reach(points.BEFORE_SEGMENTS)
        await self._journal.write_segments(chunk)
        await breathe()

    def _segments(self, batch: Iterable[Turn]) -> Iterator[Segment]:
        by_stream: dict[str, list[Recorded]] = {}
        for turn in batch:
            at_ms = turn.moment.elapsed_ms
            for stream, first_seq, events in turn.entries:
                by_stream.setdefault(stream, []).extend(recorded(first_seq, at_ms, events))
        for stream, history in by_stream.items():
            yield from self._parts(stream, history)

    def _parts(self, stream: str, history: list[Recorded]) -> Iterator[Segment]:
        for start in range(0, len(history), _SEGMENT_EVENTS):
            part = history[start : start + _SEGMENT_EVENTS]
            yield Segment(stream, part[0].seq, part[-1].seq, part, self._is_open(stream))

    def _is_open(self, stream: str) -> bool:
        """Whether a start has to load it: not if its end is durable and nothing of it is left to do."""
        is_kept = stream == CATALOG_STREAM or stream.startswith(RESOURCE_STREAMS)
        if is_kept or stream in self._turns.quarantined:
            return True
        state = self._turns.states.get(stream)
        return state is not None and (
            not state.is_ended or bool(state.outbox or state.jobs) or self._turns.is_unsettled(stream)
        )

    async def _trim(self, below: int) -> None:
        points.reach(points.BEFORE_TRIM)
        while not self.is_held and await self._journal.trim_turns(below):
            await breathe()
        points.reach(points.AFTER_TRIM)
        await self._measure()

    async def _measure(self) -> None:
        self._grown = 0
        position = await self._journal.recover()
        self.turn_bytes, self._first = position.turn_bytes, position.first_turn
