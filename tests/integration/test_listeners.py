"""Listeners: told of committed events in order, at least once, and unable to delay anybody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from asyncflow.app.event_catalogue import catalogue
from asyncflow.app.logbook import LogFilter
from asyncflow.app.options import EngineSettings
from asyncflow.app.services import open_services
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listeners import CommittedEvent, Listener
from asyncflow.plugins.listening import ListenerSettings
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.tasks import Context, TaskType
from tests.integration.listener_support import Ear, heard_by, ran, settings_of, shown
from tests.integration.schedule_support import wait
from tests.integration.waiting import until

SCHEMAS: dict[str, Any] = {str(each["name"]): each["schema"] for each in catalogue()}
ENDS = ("execution.started", "execution.completed")
SMALL = EngineSettings(turn_log_bytes=4_000, keep_ended=0)


async def test_events_are_told_in_the_order_of_their_commits_with_facts() -> None:
    ear = Ear()
    async with heard_by(ear) as services:
        execution = await ran(services)
        await until(lambda: "execution.completed" in ear.names)

    of_ours = [event for event in ear.heard if event.subject == execution]
    told = [event.name for event in of_ours]
    assert told == [
        "execution.started",
        "task.scheduled",
        "execution.variables_set",
        "task.completed",
        "execution.completed",
    ]
    assert [int(event.id.rpartition(":")[2]) for event in of_ours] == sorted(
        int(event.id.rpartition(":")[2]) for event in of_ours
    )
    done = of_ours[3].data
    assert (done["workflow"], done["version"], done["ref"], done["type"]) == ("w", 1, "s", "SET_VARIABLE")
    assert done["settled"] is True


async def test_everything_that_is_told_fits_its_schema(tmp_path: Path) -> None:
    ear = Ear()
    async with heard_by(ear, database=tmp_path / "a.db", more=SMALL) as services:
        await ran(services, "w", wait("hold", duration="1 seconds"))
        execution = await ran(services)
        await services.executions.remove(execution)
        await until(lambda: "execution.removed" in ear.names)

    for event in ear.heard:
        Draft202012Validator(SCHEMAS[event.name]).validate(event.data)
    assert {"workflow.registered", "task.scheduled", "execution.completed"} <= set(ear.names)


async def test_only_names_of_the_patterns_are_told() -> None:
    ear = Ear()
    async with heard_by(ear, patterns=("execution.*ed", "*.registered")) as services:
        await ran(services)
        await until(lambda: "execution.completed" in ear.names)

    assert ear.names == ["workflow.registered", "execution.started", "execution.completed"]


async def test_what_is_refused_is_told_again_then_skipped_and_written_down() -> None:
    ear = Ear()
    ear.refuses = {"execution.started"}
    async with heard_by(ear, patterns=ENDS) as services:
        execution = await ran(services)
        await until(lambda: ear.names)
        total, skipped = await services.listeners.skipped("ear")
        logged = await services.logbook.entries(LogFilter(resource="listener:ear"))
        found = shown(services)

    assert ear.names == ["execution.completed"]
    assert ear.tries == 3 + 1
    assert total == 1
    assert (skipped[0]["name"], skipped[0]["id"]) == ("execution.started", f"{execution}:1")
    assert "no line for execution.started" in str(skipped[0]["reason"])
    assert (found["told"], found["retried"], found["skipped"]) == (1, 2, 1)
    (line,) = logged.rows
    assert (line.execution_id, line.level) == (execution, "ERROR")
    assert "no line for execution.started" in line.line


async def test_one_that_takes_its_time_delays_nobody() -> None:
    slow, quick = Ear("slow"), Ear("quick")
    slow.may_go_on.clear()
    async with heard_by(slow, quick, patterns=("execution.completed",)) as services:
        executions = [await ran(services) for _ in range(20)]
        await until(lambda: len(quick.heard) == 20)

        assert slow.heard == []
        assert shown(services, "slow")["told"] == 0
        slow.may_go_on.set()
        await until(lambda: len(slow.heard) == 20)

    assert [event.subject for event in slow.heard] == executions


async def test_one_that_never_answers_is_given_up_after_its_time() -> None:
    ear = Ear()
    ear.may_go_on.clear()
    async with heard_by(ear, patterns=("execution.completed",), timeout_s=0.01, retries=1) as services:
        await ran(services)
        await until(lambda: shown(services)["skipped"] == 1)
        _, skipped = await services.listeners.skipped("ear")

    assert ear.tries == 2
    assert skipped[0]["reason"] == "no answer in 0.01 s"


class Quitter(Ear):
    async def on_event(self, event: CommittedEvent) -> None:
        self.tries += 1
        if event.name == "execution.started":
            raise SystemExit(3)
        await super().on_event(event)


async def test_one_that_ends_the_process_is_not_let() -> None:
    ear = Quitter()
    async with heard_by(ear, patterns=ENDS) as services:
        await ran(services)
        await until(lambda: ear.names == ["execution.completed"])

        assert shown(services)["skipped"] == 1


async def test_over_clean_restarts_each_event_is_told_once(tmp_path: Path) -> None:
    heard: Counter[str] = Counter()
    executions: list[str] = []
    for _ in range(3):
        ear = Ear()
        async with heard_by(ear, database=tmp_path / "a.db", patterns=("execution.*",)) as services:
            executions += [await ran(services) for _ in range(5)]
        heard.update(ear.ids)
    ear = Ear()
    async with heard_by(ear, database=tmp_path / "a.db", patterns=("execution.*",)) as services:
        await ran(services)
        await until(lambda: len(heard) + len(ear.heard) >= 32)
    heard.update(ear.ids)

    assert set(heard.values()) == {1}
    assert {each.rpartition(":")[0] for each in heard} >= set(executions)


async def test_a_new_one_begins_with_now_and_then_goes_on_where_it_was(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with heard_by(database=database) as services:
        await ran(services)
    first, second = Ear(), Ear()
    async with heard_by(first, database=database, start="now", patterns=("execution.started",)) as services:
        pass
    async with heard_by(database=database) as services:
        missed = await ran(services)
    async with heard_by(second, database=database, start="now", patterns=("execution.started",)) as services:
        heard = await ran(services)
        await until(lambda: len(second.heard) == 2)

    assert first.heard == []
    assert [event.subject for event in second.heard] == [missed, heard]


async def test_what_is_in_memory_no_more_is_told_with_its_facts(tmp_path: Path) -> None:
    deaf, ear = Ear(), Ear()
    deaf.refuses = {"task.completed"}
    database, patterns = tmp_path / "a.db", ("task.completed",)
    async with heard_by(deaf, database=database, more=SMALL, patterns=patterns, retries=10**6) as services:
        executions = [await ran(services) for _ in range(30)]
    async with heard_by(ear, database=database, more=SMALL, patterns=patterns):
        await until(lambda: len(ear.heard) == 30)

    assert [event.subject for event in ear.heard] == executions
    assert {(event.data["workflow"], event.data["ref"]) for event in ear.heard} == {("w", "s")}


async def test_one_that_falls_behind_is_told_of_the_gap(tmp_path: Path) -> None:
    ear = Ear()
    ear.may_go_on.clear()
    async with heard_by(ear, database=tmp_path / "a.db", more=SMALL, max_lag=5) as services:
        compaction = services.executions.engine.compaction
        for _ in range(250):
            await ran(services)

        def is_short() -> bool:
            compaction._wake.set()
            return compaction._first > 200

        await until(is_short)
        ear.may_go_on.set()
        await until(lambda: shown(services)["lagTurns"] == 0)
        found = shown(services)

    gaps = [event for event in ear.heard if event.name == "listener.gap"]
    assert found["gaps"] == len(gaps) >= 1
    assert sum(int(str(event.data["turns"])) for event in gaps) == found["missedTurns"]
    assert Counter(ear.ids).most_common(1)[0][1] == 1
    assert ear.names.count("execution.completed") < 250
    assert ear.names[-1] == "execution.completed"


async def test_one_that_is_not_behind_keeps_its_turns_from_being_trimmed(tmp_path: Path) -> None:
    ear = Ear()
    ear.may_go_on.clear()
    async with heard_by(
        ear, database=tmp_path / "a.db", more=SMALL, patterns=("execution.completed",)
    ) as services:
        executions = [await ran(services) for _ in range(60)]
        compaction = services.executions.engine.compaction
        rounds = compaction.rounds
        compaction._wake.set()
        await until(lambda: compaction.rounds > rounds)
        ear.may_go_on.set()
        await until(lambda: len(ear.heard) == 60)

    assert [event.subject for event in ear.heard] == executions


async def test_one_that_cannot_be_made_is_told_of_and_stops_nobody() -> None:
    broken = EngineSettings(
        listeners={
            "a": ListenerSettings(type="nothing"),
            "b": ListenerSettings(type="hears", patterns=("task.complete",)),
        },
        registry=Registry.built_in().with_classes(listeners={"hears": Hears}),
    )
    async with open_services(settings=broken) as services:
        await ran(services)
        found = {each["name"]: each for each in services.listeners.all()}

    assert {name: each["state"] for name, each in found.items()} == {"a": "broken", "b": "broken"}
    assert "no plugin of this name" in str(found["a"]["reason"])
    assert "'task.complete' fits the name of no event" in str(found["b"]["reason"])


class Hears(Listener):
    async def on_event(self, event: CommittedEvent) -> None:
        """Hear."""


class Late(Ear):
    opened = 0

    async def open(self) -> None:
        self.opened += 1
        if self.opened < 3:
            raise ConnectionError("not yet")


async def test_one_that_cannot_open_is_opened_later_and_told_everything() -> None:
    ear = Late()
    async with heard_by(ear, patterns=ENDS) as services:
        await ran(services)
        await until(lambda: len(ear.heard) == 2)

    assert ear.opened == 3


class Beat(TaskType):
    name = "BEAT"

    async def run(self, ctx: Context, given: BaseModel | JsonObject) -> Mapping[str, object]:
        return {}


async def test_leases_are_told_besides_the_start_that_holds_them() -> None:
    ear = Ear()
    chosen = settings_of(ear, patterns=("resource.leased", "task.started"))
    settings = EngineSettings(
        listeners=chosen.listeners,
        resources={"r": ResourceLimit(1)},
        registry=Registry.built_in().with_classes(tasks=[Beat]),
    )
    held: JsonObject = {"name": "beat", "taskReferenceName": "beat", "type": "BEAT"}
    held["asyncflow"] = {"resources": [{"name": "r"}]}
    async with open_services(settings=settings) as services:
        await ran(services, "w", held)
        await until(lambda: len(ear.heard) == 2)

    started, leased = ear.heard
    assert (started.name, leased.name) == ("task.started", "resource.leased")
    assert leased.id == f"{started.id}/r/"
    assert (leased.subject, leased.data["weight"], leased.data["taskId"]) == ("r", 1, started.data["taskId"])


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
