"""Listeners made, changed and removed while the engine runs: journaled, told at once, others undisturbed."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.errors import InvalidInput, NotFound, Refused
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listening import ListenerSettings
from tests.integration.listener_support import Ear, ran, shown
from tests.integration.waiting import until
from tests.listeners.support import NOTING, listened, notes_of


async def test_one_that_is_made_is_told_from_now_on_and_after_restarts(tmp_path: Path) -> None:
    database, notes = tmp_path / "a.db", notes_of("ops")
    async with listened(database) as services:
        await ran(services)
        made = await services.listeners.save("ops", NOTING, by="ada")
        first = await ran(services)
        await until(lambda: len(notes.heard) == 2)
    async with listened(database) as services:
        second = await ran(services)
        await until(lambda: len(notes.heard) == 4)
        listed = services.listeners.all()

    assert notes.names == ["execution.started", "execution.completed"] * 2
    assert notes.subjects == [first, first, second, second]
    assert (made["source"], made["type"], made["told"]) == ("document", "noting", 0)
    assert [(each["name"], each["told"]) for each in listed] == [("ops", 2)]


async def test_one_that_is_changed_goes_on_where_it_was_with_what_is_new() -> None:
    notes = notes_of("ops")
    async with listened() as services:
        await services.listeners.save("ops", NOTING)
        notes.may_go_on.clear()
        execution = await ran(services)
        await until(lambda: notes.tries == 1)
        changed: JsonObject = {**NOTING, "patterns": ["execution.completed"], "tag": "x"}
        found = await services.listeners.save("ops", changed)
        notes.may_go_on.set()
        await until(lambda: notes.names == ["execution.completed"])

    assert notes.subjects == [execution]
    assert (notes.lives, notes.closed, notes.most_at_once) == (2, 2, 1)
    settings = found["settings"]
    assert isinstance(settings, dict)
    assert (settings["tag"], settings["patterns"], settings["from"]) == ("x", ["execution.completed"], "now")


async def test_one_that_is_deleted_is_told_nothing_and_nothing_of_it_is_left(tmp_path: Path) -> None:
    notes = notes_of("ops")
    async with listened(tmp_path / "a.db") as services:
        await services.listeners.save("ops", NOTING)
        await ran(services)
        await until(lambda: len(notes.heard) == 2)
        await services.listeners.delete("ops")
        await ran(services)
        assert services.listeners.all() == []
        with pytest.raises(NotFound):
            services.listeners.get("ops")
        await services.listeners.save("ops", NOTING)
        last = await ran(services)
        await until(lambda: len(notes.heard) == 4)

    assert notes.subjects[2:] == [last, last]


async def test_many_changes_leave_nothing_behind_in_the_engine() -> None:
    notes_of("ops")
    async with listened() as services:
        engine = services.executions.engine
        before = len(engine.turns.listeners), len(engine.compaction.needed_by), len(engine.supervisor._tasks)
        for number in range(20):
            await services.listeners.save("ops", {**NOTING, "tag": str(number)})
        await services.listeners.delete("ops")
        await until(lambda: len(engine.supervisor._tasks) == before[2])

        assert (len(engine.turns.listeners), len(engine.compaction.needed_by)) == before[:2]
        assert engine.supervisor.faults == {}


async def test_those_of_the_configuration_are_changed_there() -> None:
    ear = Ear("ops")
    async with listened(listeners={"ops": ListenerSettings(made=ear)}) as services:
        for change in (services.listeners.save("ops", NOTING), services.listeners.delete("ops")):
            with pytest.raises(Refused, match="in the configuration"):
                await change

        assert shown(services, "ops")["source"] == "configuration"
        assert services.listeners.get("ops")["settings"]


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"type": "nobody"}, "no plugin of this name"),
        ({**NOTING, "retries": -1}, "listeners.ops.retries"),
        ({**NOTING, "tagg": "x"}, "did you mean tag"),
        ({**NOTING, "patterns": ["execution.begun"]}, "fits the name of no event"),
        ({**NOTING, "folder": "/etc"}, "listeners.ops.folder: only the configuration file"),
        ({**NOTING, "password": "hunter2"}, "name a secret"),
        ({**NOTING, "password": "${secret:nothing}"}, "there is no secret nothing"),
        ({"type": "webhook", "url": "https://example.com", "allow": ["10.0.0.0/8"]}, "listeners.ops.allow"),
        ({"type": "webhook", "url": "ftp://example.com"}, "listeners.ops.url"),
        (
            {"type": "webhook", "url": "http://example.com", "headers": {"X-Token": "hunter2"}},
            "name a secret",
        ),
        ({"type": "log", "folder": "/etc", "file": "passwd"}, "listeners.ops.file: only the configuration"),
    ],
)
async def test_settings_that_do_not_fit_are_refused_by_name(body: JsonObject, named: str) -> None:
    async with listened() as services:
        with pytest.raises(InvalidInput) as refused:
            await services.listeners.save("ops", body)

        assert services.listeners.all() == []
    assert named in str(refused.value)
    assert "hunter2" not in str(refused.value)


async def test_a_secret_is_named_in_the_journal_and_known_to_the_listener(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with listened(database, secrets={"word": "hunter2"}) as services:
        await services.listeners.save("ops", {**NOTING, "password": "${secret:word}"})
        made = services.listeners.working["ops"].post.listener
        assert made.config.model_dump()["password"] == "hunter2"
        found = services.listeners.get("ops")

    assert "hunter2" not in str(found)
    assert b"hunter2" not in database.read_bytes()


async def test_one_whose_plugin_is_gone_is_shown_broken_and_can_be_deleted(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with listened(database) as services:
        await services.listeners.save("ops", NOTING)
    async with listened(database, registry=None) as services:
        found = shown(services, "ops")
        with pytest.raises(Refused, match="told of nothing"):
            await services.listeners.rewind("ops", 1)
        await services.listeners.delete("ops")

        assert (found["state"], found["source"]) == ("broken", "document")
        assert services.listeners.all() == []
