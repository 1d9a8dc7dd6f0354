"""What workers are given and give back: secrets filled in and taken out, lines of their logs, sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.app.logbook import Logbook
from asyncflow.app.workers import TaskResult, Workers
from asyncflow.errors import LimitExceeded
from asyncflow.model.limits import Limits
from asyncflow.runtime.engine import Engine, EngineSettings
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import simple, workflow
from tests.integration.worker_support import Shop, result_of, shop


async def test_secret_is_given_to_the_worker_and_never_recorded(tmp_path: Path) -> None:
    settings = EngineSettings(secrets={"KEY": "very-secret"})
    body = workflow("w", [simple("far", inputParameters={"key": "${workflow.secrets.KEY}"})])
    async with shop(tmp_path / "a.db", settings=settings) as made:
        execution = await made.start(body)
        (task,) = await made.poll("w1")
        assert task["inputData"] == {"key": "very-secret"}
        await made.complete(task, output={"used": "very-secret"})

        shown = await made.task(execution)
        assert shown["inputData"] == {"key": "${workflow.secrets.KEY}"}
        assert "very-secret" not in str(shown["outputData"])


async def test_output_over_the_limit_is_refused_and_the_task_goes_on(tmp_path: Path) -> None:
    settings = EngineSettings(limits=Limits(payload_bytes=1_000))
    async with shop(tmp_path / "a.db", settings=settings) as made:
        (execution,) = await made.start_many(1)
        (task,) = await made.poll("w1")
        with pytest.raises(LimitExceeded):
            await made.complete(task, output={"text": "x" * 2_000})

        assert (await made.task(execution))["status"] == "IN_PROGRESS"


async def test_first_ten_lines_of_a_log_are_kept_also_with_times_in_seconds(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "a.db") as store, Engine(store) as engine:
        made, book = Shop(engine, store), Logbook(engine, store)
        made.workers = Workers(engine, store, book)
        await made.start_many(1)
        (task,) = await made.poll("w1")
        lines = [{"log": f"line {n}", "createdTime": 1_700_000_000 + n} for n in range(12)]
        result = result_of(task, "FAILED", logs=lines)
        assert isinstance(result, TaskResult)
        await made.workers.update(result)

        kept = await book.log_lines(str(task["taskId"]))
        assert [line["log"] for line in kept] == [f"line {n}" for n in range(10)]
        assert kept[0]["createdTime"] == 1_700_000_000_000


async def test_update_by_reference_lays_its_output_over_the_present_one(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        (execution,) = await made.start_many(1)
        (task,) = await made.poll("w1")
        await made.complete(task, "IN_PROGRESS", output={"a": 1})
        told = await made.workers.update_by_reference(execution, "far", "COMPLETED", {"b": 2})

        assert told == task["taskId"]
        assert (await made.task(execution))["outputData"] == {"a": 1, "b": 2}
        assert await made.workers.update_by_reference(execution, "far", "COMPLETED", {}) is None
        assert await made.workers.update_by_reference("nothing", "far", "COMPLETED", {}) is None
