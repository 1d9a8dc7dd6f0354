"""The contract of a journal: what every implementation of `Journal` promises, tried on each.

A subclass gives `store`; the promises are those in the docstrings of `store/journal`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncflow.errors import Conflict, InvalidInput
from asyncflow.model.events import VariablesSet
from asyncflow.model.turn import StoredDefinition, StreamEvents
from asyncflow.store.records import Recovery, Segment
from asyncflow.store.sqlite import MEMORY, SqliteStore
from tests.store.making import entry, event, recorded, segment, turn, turns


class JournalContract:
    """Inherit it, and override the fixture `store` with an empty journal."""

    @pytest.fixture
    def store(self) -> SqliteStore:
        raise NotImplementedError

    async def test_new_journal_stands_at_nothing(self, store: SqliteStore) -> None:
        assert await store.recover() == Recovery(0, 1, 0, 0, 0, [])
        assert await turns(store) == []

    async def test_turns_come_back_in_order_as_they_were_appended(self, store: SqliteStore) -> None:
        written = [turn(1, entry("a", 1, "x", "y"), entry("b", 1, "é\0\n\u2028")), turn(2, entry("a", 3, ""))]
        for one in written:
            await store.append(one)

        assert await turns(store) == written
        assert await turns(store, after=1) == written[1:]

    async def test_recovery_names_last_turn_and_its_clocks(self, store: SqliteStore) -> None:
        await store.append(turn(1))
        await store.append(turn(2))

        assert (await store.recover())[:6] == (2, 1, 2000, 2007, 0, [])

    async def test_recovery_measures_the_turns_held(self, store: SqliteStore) -> None:
        await store.append(turn(1, entry("s", 1, "é" * 1000)))
        large = (await store.recover()).turn_bytes
        await store.append(turn(2))
        await store.trim_turns(2)

        assert large > 2000
        assert (await store.recover()).turn_bytes < 200

    async def test_appends_in_flight_take_effect_in_the_order_of_their_calls(
        self, store: SqliteStore
    ) -> None:
        await asyncio.gather(*(store.append(turn(n)) for n in range(1, 51)))

        assert await store.read_stream("s") == recorded(1, 50)

    @pytest.mark.parametrize("number", [0, 1, 2, 4, -1])
    async def test_turn_that_does_not_follow_is_refused_and_leaves_nothing(
        self, store: SqliteStore, number: int
    ) -> None:
        await store.append(turn(1))
        await store.append(turn(2))
        with pytest.raises(Conflict, match=f"turn {number} cannot follow turn 2"):
            await store.append(
                turn(number, entry("other", 1, "x"), definitions=[StoredDefinition("h", "{}")])
            )

        assert len(await turns(store)) == 2
        assert await store.read_definitions(["h"]) == {}

    async def test_turn_appended_twice_is_stored_once(self, store: SqliteStore) -> None:
        await store.append(turn(1, definitions=[StoredDefinition("h", "{}")]))
        await store.append(turn(1, definitions=[StoredDefinition("h", "{}")]))
        await store.append(turn(1))

        assert await turns(store) == [turn(1)]

    async def test_value_without_json_form_is_refused_and_leaves_nothing(self, store: SqliteStore) -> None:
        bad = StreamEvents("s", 1, [VariablesSet({"x": float("nan")})])
        with pytest.raises(InvalidInput, match="nan"):
            await store.append(turn(1, bad))

        assert await turns(store) == []
        await store.append(turn(1))

    async def test_definition_is_kept_as_first_stored(self, store: SqliteStore) -> None:
        await store.append(
            turn(1, definitions=[StoredDefinition("h1", '{"a":"é"}'), StoredDefinition("h2", "{}")])
        )
        await store.append(turn(2, definitions=[StoredDefinition("h1", '{"a":"é"}')]))

        assert await store.read_definitions(["h1", "h2", "h3"]) == {"h1": '{"a":"é"}', "h2": "{}"}

    async def test_turns_without_events_are_kept(self, store: SqliteStore) -> None:
        await store.append(turn(1)._replace(entries=[]))

        assert (await turns(store))[0].entries == []
        assert (await store.recover()).last_turn == 1

    async def test_stream_is_read_from_turns_alone(self, store: SqliteStore) -> None:
        await store.append(turn(1, entry("s", 1, "of turn 1"), entry("t", 1, "other")))
        await store.append(turn(2))

        assert await store.read_stream("s") == recorded(1, 2)
        assert await store.read_stream("unknown") == []

    @pytest.mark.parametrize("segmented", [1, 2, 3])
    @pytest.mark.parametrize("trimmed", [0, 1, 2, 3])
    async def test_stream_is_whole_however_it_is_split(
        self, store: SqliteStore, segmented: int, trimmed: int
    ) -> None:
        for number in range(1, 5):
            await store.append(turn(number))
        await store.write_segments([segment(1, segmented)])
        await store.trim_turns(min(trimmed, segmented) + 1)

        assert await store.read_stream("s") == recorded(1, 4)

    async def test_segments_alone_leave_out_what_turns_hold(self, store: SqliteStore) -> None:
        for number in range(1, 5):
            await store.append(turn(number))
        await store.write_segments([segment(1, 3)])

        assert await store.read_streams(["s", "t"], segments_only=True) == {"s": recorded(1, 3), "t": []}

    async def test_many_streams_are_read_as_one_is(self, store: SqliteStore) -> None:
        names = [f'{n}:"quoted" é' for n in range(12)]
        await store.append(turn(1, *(entry(name, 1, name) for name in names)))
        singly = {name: await store.read_stream(name) for name in names}

        assert await store.read_streams(names) == singly
        assert [events[0].event for events in singly.values()] == [event(name) for name in names]

    async def test_segments_must_follow_each_other(self, store: SqliteStore) -> None:
        await store.write_segments([segment(1, 2)])
        for wrong in (segment(2, 3), segment(4, 5), segment(1, 2)):
            with pytest.raises(Conflict):
                await store.write_segments([Segment("new", 1, 2, recorded(1, 2), open=True), wrong])

        assert await store.read_stream("new") == []
        await store.write_segments([segment(3, 4), segment(5, 5)])

    async def test_segment_must_hold_the_events_it_names(self, store: SqliteStore) -> None:
        with pytest.raises(Conflict):
            await store.write_segments([Segment("s", 1, 3, recorded(1, 2), open=True)])

    async def test_open_streams_are_those_whose_newest_segment_says_so(self, store: SqliteStore) -> None:
        await store.write_segments(
            [segment(1, 2), segment(3, 3, is_open=True), Segment("u", 1, 1, recorded(1, 1), open=False)]
        )
        assert (await store.recover()).open_streams == ["s"]

        await store.write_segments([segment(4, 4, is_open=False)])
        assert (await store.recover()).open_streams == []

        await store.write_segments([segment(5, 5)])
        assert (await store.recover()).open_streams == ["s"]

    async def test_unsegmented_turns_leave_out_what_segments_hold(self, store: SqliteStore) -> None:
        await store.append(turn(1, entry("s", 1, "of turn 1"), entry("t", 1, "t1")))
        await store.append(turn(2, entry("s", 2, "of turn 2", "s3"), entry("t", 2, "t2")))
        await store.write_segments([segment(1, 2)])

        left = [one.entries for one in await turns(store, unsegmented=True)]
        assert left == [[entry("t", 1, "t1")], [entry("s", 3, "s3"), entry("t", 2, "t2")]]

    async def test_trimming_keeps_the_last_turn_and_the_count(self, store: SqliteStore) -> None:
        for number in range(1, 4):
            await store.append(turn(number))

        assert await store.trim_turns(100) == 2
        assert await store.trim_turns(100) == 0
        assert (await store.recover())[:2] == (3, 3)
        await store.append(turn(4))

    async def test_trimming_goes_in_small_steps(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("asyncflow.store.writing._TRIM_BYTES", 1)
        for number in range(1, 5):
            await store.append(turn(number))

        assert [await store.trim_turns(3) for _ in range(4)] == [1, 1, 0, 0]

    async def test_reading_in_batches_meets_every_turn_once(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("asyncflow.store.reading.BATCH_BYTES", 100)
        for number in range(1, 21):
            await store.append(turn(number))
        batches = [batch async for batch in store.read_turns(5)]

        assert [one.number for batch in batches for one in batch] == list(range(6, 21))
        assert len(batches) > 2

    async def test_cancelled_append_is_whole_and_holds_up_nobody(self, store: SqliteStore) -> None:
        append = asyncio.ensure_future(store.append(turn(1, entry("s", 1, "of turn 1"), entry("t", 1, "x"))))
        await asyncio.sleep(0)
        append.cancel()
        await asyncio.gather(append, return_exceptions=True)
        await store.trim_turns(0)  # a write is done only after those called before it

        last = (await store.recover()).last_turn
        assert [len(one.entries) for one in await turns(store)] == [2] * last
        await store.append(turn(last + 1))


class TestSqliteFile(JournalContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        async with SqliteStore.open(tmp_path / "flow.db") as store:
            yield store


class TestSqliteMemory(JournalContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        async with SqliteStore.open(MEMORY) as store:
            yield store
