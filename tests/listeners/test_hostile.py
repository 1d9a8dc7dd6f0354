"""What could make a listener lose an event, stand still for ever, fill the memory or stop the engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from asyncflow.app.event_telling import Told
from asyncflow.app.logbook import AuditEntry, Logbook, LogFilter
from asyncflow.app.options import EngineSettings
from asyncflow.app.services import open_services
from asyncflow.errors import NotCommitted
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Turn
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listening import ListenerSettings
from asyncflow.plugins.registry import Registry
from tests.integration.listener_support import Ear, heard_by, ran, settings_of, shown
from tests.integration.test_listeners import SMALL, Beat
from tests.integration.waiting import until


class FullLogbook(Logbook):
    """One on a disk without room."""

    async def audit(self, entry: AuditEntry) -> None:
        raise NotCommitted("no room", code="storage_full")


async def test_an_event_with_a_long_id_is_skipped_like_any_other() -> None:
    ear = Ear()
    ear.refuses = {"resource.leased"}
    settings = replace(
        settings_of(ear, patterns=("resource.leased", "execution.completed")),
        resources={"r": ResourceLimit(1)},
        registry=Registry.built_in().with_classes(tasks=[Beat]),
    )
    held: JsonObject = {"name": "beat", "taskReferenceName": "beat", "type": "BEAT"}
    held["asyncflow"] = {"resources": [{"name": "r", "mode": "exclusive", "key": "k" * 1_500}]}
    async with open_services(settings=settings) as services:
        await ran(services, "w", held)
        await until(lambda: ear.names == ["execution.completed"])
        _, skipped = await services.listeners.skipped("ear")
        ear.refuses = set()
        told = await services.listeners.tell_skipped("ear")

    assert (skipped[0]["name"], told["told"]) == ("resource.leased", 1)
    assert ear.heard[-1].id.endswith("k" * 1_500)


async def test_what_could_not_be_noted_as_skipped_is_told_by_the_next_start(tmp_path: Path) -> None:
    database, patterns = tmp_path / "a.db", ("execution.completed",)
    ear = Ear()
    ear.refuses = {"execution.completed"}
    async with heard_by(ear, database=database, patterns=patterns, retries=0) as services:
        engine = services.executions.engine
        services.listeners.working["ear"]._logbook = FullLogbook(engine, engine._store)
        execution = await ran(services)
        await until(lambda: ear.tries == 1)
    later = Ear()
    async with heard_by(later, database=database, patterns=patterns):
        await until(lambda: later.heard)

    assert [event.subject for event in later.heard] == [execution]


async def test_the_place_stays_before_a_gap_until_that_is_told(tmp_path: Path) -> None:
    database, deaf, ear = tmp_path / "a.db", Ear(), Ear()
    deaf.refuses = {"execution.completed"}
    ear.refuses = {"listener.gap"}
    patterns = ("execution.completed", "listener.gap")
    said = {"more": SMALL, "max_lag": 5, "retries": 10**6, "patterns": patterns}
    async with heard_by(deaf, database=database, **said) as services:  # type: ignore[arg-type]  # by name
        compaction = services.executions.engine.compaction
        for _ in range(60):
            await ran(services)

        def is_short() -> bool:
            compaction._wake.set()
            return compaction._first > 40

        await until(is_short)
    async with heard_by(ear, database=database, **said) as services:  # type: ignore[arg-type]  # by name
        each = services.listeners.working["ear"]
        await until(lambda: "listener.gap" in each.trouble)
        place, read = each.feed.position, each.feed._read
        await each.feed.save(at_once=True)
        stored = await services.executions.engine._store.cursor("listener:ear")  # type: ignore[attr-defined]  # it has
        ear.refuses = set()
        await until(lambda: "listener.gap" in ear.names)
        logged = await services.logbook.entries(LogFilter(resource="listener:ear", text="fell behind"))

    assert logged.rows[0].level == "WARN"
    gap = ear.heard[0].data
    assert stored == place == int(str(gap["fromTurn"])) - 1
    assert read >= int(str(gap["toTurn"]))


async def test_one_that_is_far_behind_has_little_in_memory(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with heard_by(database=database) as services:
        for _ in range(260):
            await ran(services)
    ear = Ear()
    ear.may_go_on.clear()
    async with heard_by(ear, database=database) as services:
        each = services.listeners.working["ear"]
        await until(lambda: ear.tries == 1)

        assert 900 < len(each._taken) + len(each.feed._ahead) < 1_100
        ear.may_go_on.set()
        await until(lambda: shown(services)["lagTurns"] == 0)
    assert len(ear.heard) > 1_300


async def test_an_event_that_cannot_be_told_stops_no_engine_and_is_told_later() -> None:
    ear = Ear()
    async with heard_by(ear, patterns=("execution.completed",)) as services:
        telling = services.listeners._telling
        right = telling.of_turn
        faults = [LookupError("live"), LookupError("read again")]

        def of_turn(turn: Turn) -> Sequence[Told]:
            if faults and any(entry.stream != "catalog" for entry in turn.entries):
                raise faults.pop()
            return right(turn)

        telling.of_turn = of_turn  # type: ignore[method-assign,assignment]  # a fault of ours
        executions = [await ran(services) for _ in range(3)]
        await until(lambda: len(ear.heard) == 3)

        assert [event.subject for event in ear.heard] == executions
        assert services.executions.engine.supervisor.faults == {"listener ear": 1}


async def test_executions_are_loaded_for_nobody_who_does_not_want_their_events(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with heard_by(database=database, more=SMALL) as services:
        for _ in range(20):
            await ran(services)
    wide, narrow = Ear("wide"), Ear("narrow")
    listeners = {
        "wide": ListenerSettings(made=wide, patterns=("task.*",)),
        "narrow": ListenerSettings(made=narrow, patterns=("execution.failed",), start="beginning"),
    }
    settings = EngineSettings(listeners=listeners, keep_ended=0)
    loaded: list[str] = []
    async with open_services(database, settings=settings) as services:
        engine = services.executions.engine
        right = engine.state

        async def state(execution_id: str) -> ExecutionState:
            loaded.append(execution_id)
            return await right(execution_id)

        engine.state = state  # type: ignore[method-assign,assignment]  # it counts
        await until(lambda: shown(services, "narrow")["lagTurns"] == 0)

    assert (loaded, narrow.heard) == ([], [])


async def test_health_names_who_is_told_nothing() -> None:
    deaf, ear = Ear("deaf"), Ear("ear")
    deaf.refuses = {"execution.completed"}
    settings = settings_of(deaf, ear, patterns=("execution.completed",), retries=10**6)
    listeners = {**settings.listeners, "gone": ListenerSettings(type="nothing")}
    async with open_services(settings=replace(settings, listeners=listeners)) as services:
        await ran(services)
        await until(lambda: deaf.tries >= 4)
        found = [each.message for each in services.health.findings() if each.name == "listeners"]
        deaf.refuses = set()
        await until(lambda: deaf.heard)
        later = [each.message for each in services.health.findings() if each.name == "listeners"]

    assert found == ["cannot be used: gone", "take nothing: deaf"]
    assert later == ["cannot be used: gone"]
