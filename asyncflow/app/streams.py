"""Committed events for those who watch: live, and from the journal where they were left before.

A watcher is told what is durable and nothing else. One that does not keep up is ended, never waited for;
it goes on from the journal with the next call. How events go over the wire is in `http/streams`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

from pydantic_core import to_json

from asyncflow.app.event_telling import name_of
from asyncflow.app.watching import Ended, Gap, Live, News, Position, Shown, Watcher, Wish
from asyncflow.model.events import Event, ExecutionEnded, ExecutionStarted
from asyncflow.model.turn import StreamEvents, Turn
from asyncflow.runtime.clock import breathe
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.open_turn import OpenTurn
from asyncflow.store.journal import Journal, Views
from asyncflow.store.records import Condition, Page

MOST_WATCHERS = 1_000
_NAMES_KEPT = 10_000
_AT_ONCE = 500
_SLICE = 100  # events shown before others get the loop
_ID_CHARACTERS, _ID_HYPHENS = 36, 4  # an execution's id; streams of the engine itself have other names


class Streams:
    """Everybody who watches one engine.

    Attributes:
        cut: how many were ended because they did not keep up.
    """

    def __init__(self, engine: Engine, journal: Journal, views: Views) -> None:
        """Nobody watches."""
        self.cut = 0
        self._engine, self._journal = engine, journal
        self._names = _Names(views)
        self._of_one: dict[str, set[Watcher]] = {}
        self._of_all: set[Watcher] = set()
        self._all: set[Watcher] = set()
        self._is_hurried = False

    @property
    def count(self) -> int:
        """How many watch now."""
        return len(self._all)

    @property
    def has_room(self) -> bool:
        """Whether another one may watch."""
        return len(self._all) < MOST_WATCHERS

    def enter(self, wish: Wish) -> Watcher:
        """Watch from here on, until `leave`."""
        watcher = Watcher(wish)
        if self._is_hurried:
            watcher.close()
        if not self._all:
            self._engine.turns.listeners.append(self._turn)
        self._all.add(watcher)
        (self._of_one.setdefault(wish.execution, set()) if wish.execution else self._of_all).add(watcher)
        return watcher

    def leave(self, watcher: Watcher) -> None:
        """Watch no more; a second time changes nothing."""
        self._all.discard(watcher)
        self._of_all.discard(watcher)
        mine = self._of_one.get(watcher.wish.execution, set())
        mine.discard(watcher)
        if not mine:
            self._of_one.pop(watcher.wish.execution, None)
        if not self._all and self._turn in self._engine.turns.listeners:
            self._engine.turns.listeners.remove(self._turn)

    def hurry(self) -> None:
        """The server stops: everybody, who comes late too, gets what waits and is told that no more comes."""
        self._is_hurried = True
        for watcher in self._all:
            watcher.close()

    # --- live ---------------------------------------------------------------------------------------

    def _turn(self, _turn: OpenTurn, record: Turn) -> None:
        """A turn is durable: each of its events is encoded once, for whoever wants it."""
        of_all = [each for each in self._of_all if not each.is_behind]
        states = self._engine.turns.states
        place = 0
        for entry in record.entries:
            first, place = place, place + len(entry.events)
            of_one = self._of_one.get(entry.stream, ())
            if not (of_one or of_all) or not _is_execution(entry.stream):
                continue
            state = states.get(entry.stream)
            name = "" if state is None else state.name
            wanting = [*of_one, *(each for each in of_all if each.wish.accepts_name(name))]
            for offset, event in enumerate(entry.events if wanting else ()):
                takers = [each for each in wanting if each.wish.takes(event)]
                if takers:
                    at, seq = Position(record.number, first + offset + 1), entry.first_seq + offset
                    shown = _shown(entry.stream, seq, event, at_ms=record.moment.elapsed_ms, name=name)
                    live = Live(at, seq, type(event) is ExecutionEnded, shown)
                    for watcher in takers:
                        watcher.put(live)

    # --- all executions -----------------------------------------------------------------------------

    async def of_all(self, watcher: Watcher, start: Position | None, *, beat_s: float) -> AsyncIterator[News]:
        """Events of all executions behind `start`, or from now on; where that is comes first, as an id alone.

        Yields None whenever nothing came for `beat_s`. A gap that is `trimmed` is told and passed over;
        likewise one that is `ahead`, behind which it goes on from now on. One of `backlog` is the last
        there is.

        Raises:
            StoreError: the journal cannot be read.
        """
        commits = self._engine.turns.commits
        here = Position(commits.number + (commits.under_way is None))
        is_ahead = start is not None and start > here
        last = here if start is None or is_ahead else start
        if is_ahead:
            yield Gap("ahead", str(here))
        yield Shown(str(last), "", b"")
        if start is not None and not is_ahead:
            async for found in self._history(watcher.wish, start):
                if isinstance(found, Shown):
                    last = Position.parse(found.id)
                yield found
        async for live in watcher.news(beat_s):
            if live is None:
                yield None
            elif live.at > last:
                last = live.at
                yield live.shown._replace(id=str(last))
        yield self._end_of(watcher, str(last))

    def _end_of(self, watcher: Watcher, last: str) -> News:
        if not watcher.is_behind:
            return Ended("closing")
        self.cut += 1
        return Gap("backlog", last)

    async def _history(self, wish: Wish, start: Position) -> AsyncIterator[Shown | Gap]:
        """What the journal holds behind a position; what is committed meanwhile is told live as well."""
        first = max(start.turn, 1)
        expected = first
        async for turns in self._journal.read_turns(first - 1):
            if turns[0].number > expected:
                yield Gap("trimmed", str(Position(turns[0].number)))
            expected = turns[-1].number + 1
            names = await self._names.of(turns)
            for count, (at, at_ms, entry, offset) in enumerate(_places(turns)):
                event, name = entry.events[offset], names.get(entry.stream, "")
                if at > start and wish.accepts(event) and wish.accepts_name(name):
                    shown = _shown(entry.stream, entry.first_seq + offset, event, at_ms=at_ms, name=name)
                    yield shown._replace(id=str(at))
                if count % _SLICE == _SLICE - 1:
                    await breathe()

    # --- one execution ------------------------------------------------------------------------------

    async def of_one(self, watcher: Watcher, after: int, *, beat_s: float) -> AsyncIterator[News]:
        """Events of one execution behind this place in its stream, to its end; otherwise as `of_all`.

        Raises:
            NotFound: there is no such execution.
            StoreError: the journal cannot be read.
        """
        wish, last, event = watcher.wish, after, None
        state = await self._engine.state(wish.execution)
        known, was_ended = state.seq, state.is_ended  # it may go on while this waits
        await self._engine.turns.settled(wish.execution)
        if after > known:
            last = known
            yield Gap("ahead", str(last))
        async for page in self._journal.read_events(wish.execution, last):
            for count, (seq, at_ms, event) in enumerate(page):
                if wish.accepts(event):
                    yield _shown(wish.execution, seq, event, at_ms=at_ms, name=state.name)
                if count % _SLICE == _SLICE - 1:
                    await breathe()
            last = page[-1].seq
        if isinstance(event, ExecutionEnded) or (event is None and was_ended):
            yield Ended("ended")
            return
        async for live in watcher.news(beat_s):
            if live is None:
                yield None
            elif live.seq > last:
                last = live.seq
                if wish.accepts_kind(live.shown.kind):
                    yield live.shown
                if live.is_end:
                    yield Ended("ended")
                    return
        yield self._end_of(watcher, str(last))


class _Names:
    """The workflow names of executions, for those that are not in memory any more."""

    def __init__(self, views: Views) -> None:
        self._views = views
        self._known: dict[str, str] = {}

    async def of(self, turns: Sequence[Turn]) -> dict[str, str]:
        """The names of the executions in these turns, as far as anybody knows them."""
        if len(self._known) > _NAMES_KEPT:
            self._known = {}
        unknown: dict[str, None] = {}
        for turn in turns:
            for entry in turn.entries:
                first = entry.events[0]
                if isinstance(first, ExecutionStarted):
                    self._known[entry.stream] = first.name
                elif entry.stream not in self._known and _is_execution(entry.stream):
                    unknown[entry.stream] = None
        missing = [each for each in unknown if each not in self._known]
        for begin in range(0, len(missing), _AT_ONCE):
            part = tuple(missing[begin : begin + _AT_ONCE])
            rows = await self._views.list_executions([Condition("execution_id", "in", part)], Page(_AT_ONCE))
            self._known.update((row.execution_id, row.name) for row in rows)
        return self._known


def _places(turns: Sequence[Turn]) -> Iterator[tuple[Position, int, StreamEvents, int]]:
    """Every event of executions: where it stands, when it happened, its entry and place there."""
    for turn in turns:
        place = 0
        for entry in turn.entries:
            first, place = place, place + len(entry.events)
            if _is_execution(entry.stream):
                for offset in range(len(entry.events)):
                    at = Position(turn.number, first + offset + 1)
                    yield at, turn.moment.elapsed_ms, entry, offset


def _is_execution(stream: str) -> bool:
    """Whether a stream is an execution's: what belongs to the engine itself is not for everybody."""
    return len(stream) == _ID_CHARACTERS and stream.count("-") == _ID_HYPHENS


def _shown(stream: str, seq: int, event: Event, *, at_ms: int, name: str) -> Shown:
    """An event of an execution, with its place in the stream as its id."""
    kind = type(event).__name__
    whole = {
        "executionId": stream,
        "workflow": name,
        "seq": seq,
        "at": at_ms,
        "kind": kind,
        "name": name_of(event),
        "event": event._asdict(),
    }
    return Shown(str(seq), kind, to_json(whole))
