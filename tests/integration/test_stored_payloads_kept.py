"""Law: what an event names is on disk before the event is, and is never pruned while any event names it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic_core import to_json

from asyncflow.app.options import EngineSettings
from asyncflow.app.service import Service, StartRequest
from asyncflow.app.stored_payloads import survey
from asyncflow.errors import OutcomeUnknown, StoreError, StoreLocked
from asyncflow.model.definition import parse_workflow
from asyncflow.model.payload_reference import names_in
from asyncflow.model.turn import Turn
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from tests.integration.engine_support import HeldStore, simple, waiting, workflow
from tests.integration.stored_support import LIMITS, ROWS, ROWS_OF, TASKS, files, stored_engine

BODY = workflow("w", [simple("make"), simple("add", inputParameters=ROWS_OF)])


class WatchedStore(HeldStore):
    """A store that looks, as each turn is about to be committed, whether what it names is there."""

    folder: Path
    named: set[str]

    async def append(self, turn: Turn) -> None:
        there = {path.stem for path in self.folder.rglob("*.json")}
        names = names_in(to_json([list(event) for entry in turn.entries for event in entry.events]))
        assert names <= there
        self.named |= names
        await super().append(turn)


@asynccontextmanager
async def watched(tmp_path: Path) -> AsyncIterator[tuple[Service, WatchedStore]]:
    async with WatchedStore.open(tmp_path / "a.db") as store:
        store.prepare()
        store.folder, store.named = tmp_path / "payloads", set()
        facts = await store.facts()
        settings = EngineSettings(
            limits=LIMITS, payload_folder=store.folder, installation=facts.installation_id
        )
        functions = {task.name: task for task in TASKS}
        async with Engine(store, functions=functions, settings=settings) as engine:
            yield Service(engine), store


def request(body: JsonObject, given: JsonObject | None = None) -> StartRequest:
    return StartRequest(definition=parse_workflow(body), input=given)


async def test_files_are_there_before_the_events_that_name_them(tmp_path: Path) -> None:
    async with watched(tmp_path) as (service, store):
        identity = await service.start(request(BODY, {"rows": list(reversed(ROWS))}))
        state = await service.ended(identity)

    assert state.status == "COMPLETED"
    assert store.named == {path.stem for path in files(tmp_path)}
    assert len(store.named) == 2


async def start_without_a_commit(tmp_path: Path) -> None:
    async with watched(tmp_path) as (service, store):
        store.failures = [OutcomeUnknown("the disk is gone")]
        with pytest.raises(StoreError):
            await service.start(request(BODY, {"rows": ROWS}))


async def test_crash_before_the_commit_leaves_only_an_orphan_that_prune_removes(tmp_path: Path) -> None:
    with pytest.raises(OutcomeUnknown):
        await start_without_a_commit(tmp_path)

    assert len(files(tmp_path)) == 1
    before = await survey(tmp_path / "a.db", tmp_path / "payloads", prune=True)
    assert (before.files, before.unnamed, before.missing) == (1, 1, ())
    assert files(tmp_path) == []
    async with stored_engine(tmp_path) as engine:
        assert (await engine.run(BODY))["agrees"] is True


@pytest.mark.parametrize("settings", [EngineSettings(), EngineSettings(turn_log_bytes=1)])
async def test_prune_keeps_what_any_event_names(tmp_path: Path, settings: EngineSettings) -> None:
    async with stored_engine(tmp_path, settings=settings) as engine:
        for rows in (ROWS, [*ROWS, 1]):
            await engine.run(BODY, {"rows": rows})
        await engine.start(workflow("open", [waiting()]), {"rows": [*ROWS, 2]})
        await engine.service.engine.views_caught_up()
    (tmp_path / "payloads" / files(tmp_path)[0].parent.name / f"{'0' * 64}.json").write_text("[]")
    facts = await survey(tmp_path / "a.db", tmp_path / "payloads", prune=True)

    assert (facts.files, facts.unnamed, facts.missing) == (4, 1, ())
    assert len(files(tmp_path)) == 3


async def test_survey_names_what_is_missing(tmp_path: Path) -> None:
    async with stored_engine(tmp_path) as engine:
        await engine.run(BODY)
    (stored,) = files(tmp_path)
    stored.unlink()

    facts = await survey(tmp_path / "a.db", tmp_path / "payloads")
    assert facts.missing == (stored.stem,)


async def test_survey_waits_for_no_engine_and_makes_no_file(tmp_path: Path) -> None:
    async with stored_engine(tmp_path):
        with pytest.raises(StoreLocked):
            await survey(tmp_path / "a.db", tmp_path / "payloads", prune=True)
    with pytest.raises(StoreError, match="there is no database"):
        await survey(tmp_path / "other.db", tmp_path / "payloads")
    assert not (tmp_path / "other.db").exists()


async def test_values_outlive_the_engine_that_stored_them(tmp_path: Path) -> None:
    body = workflow("w", [simple("make"), waiting("w"), simple("add", inputParameters=ROWS_OF)])
    async with stored_engine(tmp_path) as engine:
        execution = await engine.start(body)
        async for recorded in execution.events():
            if type(recorded.event).__name__ == "TaskEnded":
                break
    async with stored_engine(tmp_path) as engine:
        again = engine.execution(execution.id)
        await again.signal("w", {})

        assert await again.result() == {"total": sum(ROWS), "agrees": True}
