"""What is broken is set aside by name, tells nobody what is not so, and keeps nobody else from anything."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.decide import decider
from asyncflow.decide.step import Step
from asyncflow.errors import StoreError
from asyncflow.model import events as ev
from asyncflow.model import inputs
from asyncflow.store.writing import definition_crc
from tests.integration.engine_support import waiting, workflow
from tests.integration.waiting import next_turn


def break_deciding(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on pausing changes the state, and then fails by a bug."""

    def broken(step: Step, _command: inputs.PauseExecution) -> None:
        step.emit(ev.ExecutionPaused("never recorded"))
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(decider._HANDLERS, inputs.PauseExecution, broken)


@pytest.mark.parametrize("who", ["ended", "events"])
async def test_who_waits_for_an_execution_learns_that_it_was_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: str
) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        execution = await engine.start(workflow("w", [waiting()]))

        async def listen() -> None:
            async for _ in execution.events():
                pass

        waiter = asyncio.ensure_future(execution.ended() if who == "ended" else listen())
        for _ in range(20):
            await next_turn()
        break_deciding(monkeypatch)
        with pytest.raises(StoreError, match="quarantined"):
            await execution.pause()
        async with asyncio.timeout(60):
            with pytest.raises(StoreError, match="quarantined"):
                await waiter


async def test_what_a_broken_decision_left_is_not_in_the_views(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        execution = await engine.start(workflow("w", [waiting()]))
        await engine.service.engine.views_caught_up()
        await execution.set_variables(a=1)
        break_deciding(monkeypatch)
        with pytest.raises(StoreError, match="quarantined"):
            await execution.pause()
        await engine.service.engine.views_caught_up()
    with sqlite3.connect(tmp_path / "a.db") as db:
        assert db.execute("SELECT status FROM execution").fetchall() == [("RUNNING",)]


async def test_definition_that_is_none_any_more_does_not_stop_the_start(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with af.Engine(database) as engine:
        await engine.register(workflow("good", [waiting()]))
        await engine.register(workflow("bad", [waiting("other")]))
        good, bad = await engine.start("good"), await engine.start("bad")
    with sqlite3.connect(database) as db:
        for (name,) in db.execute("SELECT hash FROM definition WHERE body LIKE '%other%'").fetchall():
            body = b'{"name": "bad", "tasks": 5}'
            db.execute(
                "UPDATE definition SET body = ?, crc = ? WHERE hash = ?",
                (body.decode(), definition_crc(name, body), name),
            )
    async with af.Engine(database) as engine:
        catalog, aside = engine.service.engine.catalog, engine.service.engine.turns.quarantined
        await engine.execution(good.id).signal("wait")
        assert (await engine.execution(good.id).ended()).status == "COMPLETED"
        with pytest.raises(StoreError):
            await engine.execution(bad.id).get()
        assert list(aside) == [bad.id]
        assert "bad version 1" in catalog.unreadable
        await engine.register(workflow("bad", [waiting("again")]))
        assert not catalog.unreadable
        await engine.start("bad")
