"""Events told again: all from a turn or an event on, and those that were skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.app.services import Services
from asyncflow.errors import InvalidInput, NotFound, Refused
from asyncflow.model.values import JsonObject
from tests.integration.listener_support import ran, shown
from tests.integration.waiting import until
from tests.listeners.support import NOTING, Notes, listened, notes_of

ENDS: JsonObject = {**NOTING, "patterns": ["execution.completed"]}


async def skipping(services: Services, notes: Notes, count: int) -> list[str]:
    """Executions whose end was skipped."""
    notes.refuses = {"execution.completed"}
    await services.listeners.save("ops", ENDS)
    executions = [await ran(services) for _ in range(count)]
    await until(lambda: shown(services, "ops")["skipped"] == count)
    notes.refuses = set()
    return executions


# --- going back -----------------------------------------------------------------------------------


async def test_all_from_an_event_on_is_told_again_also_over_a_restart(tmp_path: Path) -> None:
    database, notes = tmp_path / "a.db", notes_of("ops")
    async with listened(database) as services:
        await services.listeners.save("ops", ENDS)
        executions = [await ran(services) for _ in range(4)]
        await until(lambda: len(notes.heard) == 4)
        second = notes.heard[1].id
        notes.may_go_on.clear()
        await services.listeners.rewind("ops", 0, second)
        await until(lambda: notes.tries == 5)
    notes.may_go_on.set()
    async with listened(database):
        await until(lambda: len(notes.heard) == 7)

    assert notes.subjects[4:] == executions[1:]
    assert [event.id for event in notes.heard[4:]] == [event.id for event in notes.heard[1:4]]


async def test_from_the_first_turn_on_is_everything(tmp_path: Path) -> None:
    notes = notes_of("ops")
    async with listened(tmp_path / "a.db") as services:
        await ran(services)
        await services.listeners.save("ops", {**NOTING, "patterns": ["*"]})
        await services.listeners.rewind("ops", 1)
        await until(lambda: "execution.completed" in notes.names)

    assert notes.names[0] == "workflow.registered"
    assert "listener.gap" not in notes.names


async def test_turns_that_are_gone_are_refused_with_those_that_are_kept(tmp_path: Path) -> None:
    notes = notes_of("ops")
    small = listened(tmp_path / "a.db", turn_log_bytes=4_000, keep_ended=0)
    async with small as services:
        await services.listeners.save("ops", ENDS)
        first = await ran(services)
        compaction = services.executions.engine.compaction
        for _ in range(80):
            await ran(services)

        def is_trimmed() -> bool:
            compaction._wake.set()
            return compaction._first > 10

        await until(is_trimmed)
        await until(lambda: shown(services, "ops")["lagTurns"] == 0)
        with pytest.raises(Refused, match=r"turns \d+ to \d+ are kept, and 2 is none"):
            await services.listeners.rewind("ops", 2)
        with pytest.raises(NotFound, match="in the turns that are kept"):
            await services.listeners.rewind("ops", 0, f"{first}:1")

    assert len(notes.heard) == 81


async def test_turns_are_kept_for_one_that_asks_for_it(tmp_path: Path) -> None:
    notes = notes_of("ops")
    small = listened(tmp_path / "a.db", turn_log_bytes=4_000, keep_ended=0)
    async with small as services:
        await services.listeners.save("ops", {**ENDS, "keep": 100_000})
        compaction = services.executions.engine.compaction
        for _ in range(40):
            await ran(services)
        await until(lambda: len(notes.heard) == 40)
        rounds = compaction.rounds
        compaction._wake.set()
        await until(lambda: compaction.rounds > rounds)
        await services.listeners.rewind("ops", 1)
        await until(lambda: len(notes.heard) == 80)

    assert notes.subjects[:40] == notes.subjects[40:]


@pytest.mark.parametrize("event", ["", "x", "e:0", "e:1:", ":1"])
async def test_what_is_no_event_is_refused(event: str) -> None:
    notes_of("ops")
    async with listened() as services:
        await services.listeners.save("ops", ENDS)
        with pytest.raises((InvalidInput, Refused)):
            await services.listeners.rewind("ops", 0, event)


# --- what was skipped -----------------------------------------------------------------------------


async def test_what_was_skipped_is_told_once_more_the_oldest_first(tmp_path: Path) -> None:
    notes = notes_of("ops")
    async with listened(tmp_path / "a.db") as services:
        executions = await skipping(services, notes, 3)
        first = await services.listeners.tell_skipped("ops", most=2, by="ada")
        second = await services.listeners.tell_skipped("ops")
        third = await services.listeners.tell_skipped("ops")
        total, rows = await services.listeners.skipped("ops")

    assert (first, second, third) == (
        {"told": 2, "gone": [], "left": 1},
        {"told": 1, "gone": [], "left": 0},
        {"told": 0, "gone": [], "left": 0},
    )
    assert notes.subjects == executions
    assert notes.heard[0].data["workflow"] == "w"
    assert total == 3
    assert all(int(str(row["toldAt"])) > int(str(row["at"])) - 1 for row in rows)


async def test_the_first_that_is_refused_again_ends_it() -> None:
    notes = notes_of("ops")
    async with listened() as services:
        executions = await skipping(services, notes, 3)
        notes.refuses = {"execution.completed"}
        found = await services.listeners.tell_skipped("ops")

    assert (found["told"], found["left"]) == (0, 3)
    assert found["failed"] == {
        "id": f"{executions[0]}:5",
        "reason": "ConnectionError: no line for execution.completed",
    }
    assert notes.tries == 4


async def test_those_that_are_named_are_told_in_that_order() -> None:
    notes = notes_of("ops")
    async with listened() as services:
        first, _, third = await skipping(services, notes, 3)
        found = await services.listeners.tell_skipped("ops", [f"{third}:5", f"{first}:5"])
        with pytest.raises(NotFound, match="skipped event"):
            await services.listeners.tell_skipped("ops", [f"{first}:1"])

    assert (found["told"], notes.subjects) == (2, [third, first])


async def test_events_of_deleted_executions_are_named_as_gone() -> None:
    notes = notes_of("ops")
    async with listened() as services:
        first, second = await skipping(services, notes, 2)
        await services.executions.remove(first)
        found = await services.listeners.tell_skipped("ops")

    assert found == {"told": 1, "gone": [f"{first}:5"], "left": 0}
    assert notes.subjects == [second]


async def test_one_is_told_one_event_at_a_time() -> None:
    notes = notes_of("ops")
    async with listened() as services:
        await skipping(services, notes, 2)
        notes.may_go_on.clear()
        await ran(services)
        await until(lambda: notes.tries == 3)
        again = services.executions.engine.supervisor
        results: list[object] = []

        async def tell() -> None:
            results.append(await services.listeners.tell_skipped("ops"))

        again.start("a caller", tell, fatal=lambda _: None)
        notes.may_go_on.set()
        await until(lambda: results)

    assert notes.most_at_once == 1
    assert len(notes.heard) == 3
