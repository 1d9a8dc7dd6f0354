"""The promises of a seam as a suite: whoever implements it inherits the suite and gives it an instance.

It knows no implementation and needs pytest with a plugin that runs coroutine tests. The promises
themselves are the docstrings of `store/journal`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from asyncflow.errors import Conflict, InvalidInput
from asyncflow.model.events import Event, ExecutionPaused, VariablesSet
from asyncflow.model.turn import Moment, Recorded, StoredDefinition, StreamEvents, Turn
from asyncflow.store.journal import Journal
from asyncflow.store.records import Segment

_SECOND_MS = 1000


def a_turn(number: int, *entries: StreamEvents, definitions: Sequence[StoredDefinition] = ()) -> Turn:
    """Turn `number`, a second after the one before; one event of stream "s" unless told otherwise."""
    moment = Moment(number * _SECOND_MS, number * _SECOND_MS + 7)
    return Turn(
        number, moment, list(entries or (an_entry("s", number, f"of turn {number}"),)), list(definitions)
    )


def an_entry(stream: str, first_seq: int, *texts: str) -> StreamEvents:
    """Events of a stream, told apart by their texts."""
    return StreamEvents(stream, first_seq, [_event(text) for text in texts])


def a_segment(first: int, last: int, *, is_open: bool = True) -> Segment:
    """What `a_turn` puts into stream "s" in turns `first` to `last`, as a segment."""
    return Segment("s", first, last, _recorded(first, last), is_open)


def _event(text: str) -> Event:
    return ExecutionPaused(text)


def _recorded(first: int, last: int) -> list[Recorded]:
    return [Recorded(n, n * _SECOND_MS, _event(f"of turn {n}")) for n in range(first, last + 1)]


async def _turns(store: Journal, after: int = 0, *, unsegmented: bool = False) -> list[Turn]:
    return [turn async for batch in store.read_turns(after, unsegmented=unsegmented) for turn in batch]


async def _stream(store: Journal, name: str = "s") -> list[Recorded]:
    return (await store.read_streams([name]))[name]


class TurnPromises:
    """What a journal promises of turns: order, atomicity, one owner."""

    async def test_new_journal_stands_at_nothing(self, store: Journal) -> None:
        """A new journal holds no turn, and the first to come is turn 1."""
        assert await store.recover() == (0, 1, 0, 0, 0, [], 0)
        assert await _turns(store) == []

    async def test_turns_come_back_in_order_as_they_were_appended(self, store: Journal) -> None:
        """Turns are read as written, whatever is in their texts, also from the middle on."""
        written = [
            a_turn(1, an_entry("a", 1, "x", "y"), an_entry("b", 1, "é\0\n\u2028")),
            a_turn(2, an_entry("a", 3, "")),
        ]
        for one in written:
            await store.append(one)

        assert await _turns(store) == written
        assert await _turns(store, after=1) == written[1:]

    async def test_recovery_names_last_turn_and_its_clocks(self, store: Journal) -> None:
        """A start learns where the journal stands on both clocks."""
        await store.append(a_turn(1))
        await store.append(a_turn(2))

        assert (await store.recover())[:6] == (2, 1, 2000, 2007, 0, [])

    async def test_appends_in_flight_take_effect_in_the_order_of_their_calls(self, store: Journal) -> None:
        """Nobody has to wait for one append before the next is called."""
        await asyncio.gather(*(store.append(a_turn(n)) for n in range(1, 51)))

        assert await _stream(store) == _recorded(1, 50)

    @pytest.mark.parametrize("number", [0, 1, 2, 4, -1])
    async def test_turn_that_does_not_follow_is_refused_and_leaves_nothing(
        self, store: Journal, number: int
    ) -> None:
        """Turn numbers have no gap, and nothing of a refused turn is stored."""
        await store.append(a_turn(1))
        await store.append(a_turn(2))
        wrong = a_turn(number, an_entry("other", 1, "x"), definitions=[StoredDefinition("h", "{}")])
        with pytest.raises(Conflict, match=f"turn {number} cannot follow turn 2"):
            await store.append(wrong)

        assert len(await _turns(store)) == 2
        assert await store.read_definitions(["h"]) == {}

    async def test_turn_appended_twice_is_stored_once(self, store: Journal) -> None:
        """A turn whose commit failed is appended again without harm."""
        await store.append(a_turn(1, definitions=[StoredDefinition("h", "{}")]))
        await store.append(a_turn(1, definitions=[StoredDefinition("h", "{}")]))
        await store.append(a_turn(1))

        assert await _turns(store) == [a_turn(1)]

    async def test_value_without_json_form_is_refused_and_leaves_nothing(self, store: Journal) -> None:
        """What cannot be read back is not written, and the turn's number stays free."""
        bad = StreamEvents("s", 1, [VariablesSet({"x": float("nan")})])
        with pytest.raises(InvalidInput, match="nan"):
            await store.append(a_turn(1, bad))

        assert await _turns(store) == []
        await store.append(a_turn(1))

    async def test_definition_is_kept_as_first_stored(self, store: Journal) -> None:
        """Definitions stand under their hash, are written once and never change."""
        first = [StoredDefinition("h1", '{"a":"é"}'), StoredDefinition("h2", "{}")]
        await store.append(a_turn(1, definitions=first))
        await store.append(a_turn(2, definitions=first[:1]))

        assert await store.read_definitions(["h1", "h2", "h3"]) == {"h1": '{"a":"é"}', "h2": "{}"}

    async def test_turns_without_events_are_kept(self, store: Journal) -> None:
        """An empty turn counts as one."""
        await store.append(a_turn(1)._replace(entries=[]))

        assert (await _turns(store))[0].entries == []
        assert (await store.recover()).last_turn == 1

    async def test_cancelled_append_is_whole_and_holds_up_nobody(self, store: Journal) -> None:
        """A caller that gives up leaves all of its turn or nothing, and the next one goes on."""
        entries = an_entry("s", 1, "of turn 1"), an_entry("t", 1, "x")
        append = asyncio.ensure_future(store.append(a_turn(1, *entries)))  # noqa: TID251 - to be cancelled
        await asyncio.sleep(0)  # noqa: TID251 - no waiting: the append begins
        append.cancel()
        await asyncio.gather(append, return_exceptions=True)
        await store.trim_turns(0)  # a write is done only after those called before it

        last = (await store.recover()).last_turn
        assert [len(one.entries) for one in await _turns(store)] == [2] * last
        await store.append(a_turn(last + 1))


class SegmentPromises:
    """What a journal promises of streams, however they are split into segments and turns."""

    async def test_stream_is_read_from_turns_alone(self, store: Journal) -> None:
        """Without segments a stream is what its turns hold; an unknown one is empty."""
        await store.append(a_turn(1, an_entry("s", 1, "of turn 1"), an_entry("t", 1, "other")))
        await store.append(a_turn(2))

        assert await _stream(store) == _recorded(1, 2)
        assert await _stream(store, "unknown") == []

    @pytest.mark.parametrize("segmented", [1, 2, 3])
    @pytest.mark.parametrize("trimmed", [0, 1, 2, 3])
    async def test_stream_is_whole_however_it_is_split(
        self, store: Journal, segmented: int, trimmed: int
    ) -> None:
        """What segments and turns both hold comes once, and nothing is missing between them."""
        for number in range(1, 5):
            await store.append(a_turn(number))
        await store.write_segments([a_segment(1, segmented)])
        await store.trim_turns(min(trimmed, segmented) + 1)

        assert await _stream(store) == _recorded(1, 4)

    @pytest.mark.parametrize("segmented", [0, 1, 3])
    @pytest.mark.parametrize("after", [0, 1, 2, 4, 9])
    async def test_stream_in_pages_is_the_same_from_any_place(
        self, store: Journal, segmented: int, after: int
    ) -> None:
        """Pages go on behind any event, also where segments are made and turns trimmed between two."""
        await store.append(a_turn(1, an_entry("s", 1, "of turn 1"), an_entry("t", 1, "other")))
        for number in range(2, 5):
            await store.append(a_turn(number))
        if segmented:
            await store.write_segments([a_segment(1, segmented)])
            await store.trim_turns(segmented)
        found: list[Recorded] = []
        async for page in store.read_events("s", after):
            assert page
            found += page
            if segmented == 1 and len(found) == len(page):
                await store.write_segments([a_segment(2, 3)])
                await store.trim_turns(3)

        assert found == _recorded(1, 4)[after:]
        assert [page async for page in store.read_events("unknown")] == []

    async def test_segments_alone_leave_out_what_turns_hold(self, store: Journal) -> None:
        """One who has read the turns gets the segments alone."""
        for number in range(1, 5):
            await store.append(a_turn(number))
        await store.write_segments([a_segment(1, 3)])

        found = await store.read_streams(["s", "t"], segments_only=True)
        assert found == {"s": _recorded(1, 3), "t": []}

    async def test_many_streams_are_read_as_one_is(self, store: Journal) -> None:
        """Reading several streams at once gives what reading each gives, whatever their names."""
        names = [f'{n}:"quoted" é' for n in range(12)]
        await store.append(a_turn(1, *(an_entry(name, 1, name) for name in names)))
        singly = {name: await _stream(store, name) for name in names}

        assert await store.read_streams(names) == singly
        assert [events[0].event for events in singly.values()] == [_event(name) for name in names]

    async def test_segments_must_follow_each_other(self, store: Journal) -> None:
        """A segment that leaves a gap or overlaps is refused, with all that was written beside it."""
        await store.write_segments([a_segment(1, 2)])
        for wrong in (a_segment(2, 3), a_segment(4, 5), a_segment(1, 2)):
            beside = Segment("new", 1, 2, _recorded(1, 2), open=True)
            with pytest.raises(Conflict):
                await store.write_segments([beside, wrong])

        assert await _stream(store, "new") == []
        await store.write_segments([a_segment(3, 4), a_segment(5, 5)])

    async def test_segment_must_hold_the_events_it_names(self, store: Journal) -> None:
        """A segment with fewer events than its numbers say is refused."""
        with pytest.raises(Conflict):
            await store.write_segments([Segment("s", 1, 3, _recorded(1, 2), open=True)])

    async def test_open_streams_are_those_whose_newest_segment_says_so(self, store: Journal) -> None:
        """A start learns from the newest segment of each stream which executions go on."""
        other = Segment("u", 1, 1, _recorded(1, 1), open=False)
        await store.write_segments([a_segment(1, 2), a_segment(3, 3), other])
        assert (await store.recover()).open_streams == ["s"]

        await store.write_segments([a_segment(4, 4, is_open=False)])
        assert (await store.recover()).open_streams == []

        await store.write_segments([a_segment(5, 5)])
        assert (await store.recover()).open_streams == ["s"]

    async def test_unsegmented_turns_leave_out_what_segments_hold(self, store: Journal) -> None:
        """Events and whole entries that a segment holds are left out where that is asked for."""
        await store.append(a_turn(1, an_entry("s", 1, "of turn 1"), an_entry("t", 1, "t1")))
        await store.append(a_turn(2, an_entry("s", 2, "of turn 2", "s3"), an_entry("t", 2, "t2")))
        await store.write_segments([a_segment(1, 2)])

        left = [one.entries for one in await _turns(store, unsegmented=True)]
        assert left == [[an_entry("t", 1, "t1")], [an_entry("s", 3, "s3"), an_entry("t", 2, "t2")]]

    async def test_trimming_keeps_the_last_turn_and_the_count(self, store: Journal) -> None:
        """The last turn is never trimmed, so the count goes on from it."""
        for number in range(1, 4):
            await store.append(a_turn(number))

        assert await store.trim_turns(100) == 2
        assert await store.trim_turns(100) == 0
        assert (await store.recover())[:2] == (3, 3)
        await store.append(a_turn(4))

    async def test_recovery_measures_the_turns_held(self, store: Journal) -> None:
        """The size of the turns held rises with what is written and falls with what is trimmed."""
        await store.append(a_turn(1, an_entry("s", 1, "é" * 1000)))
        large = (await store.recover()).turn_bytes
        await store.append(a_turn(2))
        await store.trim_turns(2)

        assert large > (await store.recover()).turn_bytes > 0


class JournalContract(TurnPromises, SegmentPromises):
    """The suite of `store/journal.Journal`: inherit it and override the fixture `store`."""

    @pytest.fixture
    def store(self) -> Journal:
        """An empty journal, of the implementation on trial."""
        raise NotImplementedError("override the fixture `store` with an empty journal")
