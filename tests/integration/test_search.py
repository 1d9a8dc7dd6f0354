"""Search on a real engine and file: exact right after a write, and Conductor's words for everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.search import Search
from asyncflow.app.search_summaries import summary
from asyncflow.app.service import Service, StartRequest
from asyncflow.errors import InvalidInput
from tests.integration.engine_support import noop, simple, waiting, workflow

ECHO = workflow("echo", [simple("noop")]) | {"outputParameters": {"said": "${workflow.input.say}"}}
OPEN = workflow("open", [simple("noop"), waiting("w")])


@asynccontextmanager
async def searching(path: Path) -> AsyncIterator[tuple[Service, Search]]:
    async with af.Engine(path, tasks=[noop], durability="normal") as engine:
        for definition in (ECHO, OPEN):
            await engine.register(definition)
        inner = engine.service.engine
        yield engine.service, Search(inner, inner._store)


async def start(service: Service, name: str, **given: object) -> str:
    correlation = given.pop("correlation", None)
    request = StartRequest(
        name=name, input=dict(given), correlation_id=None if correlation is None else str(correlation)
    )
    return await service.start(request)


async def ids(search: Search, query: str = "", free_text: str = "*", **more: object) -> list[str]:
    total, rows = await search.executions(query, free_text, **more)  # type: ignore[arg-type]
    assert total == len(rows) or more
    return [row.execution_id for row in rows]


async def test_what_was_started_is_found_at_once(tmp_path: Path) -> None:
    async with searching(tmp_path / "a.db") as (service, search):
        for number in range(20):
            started = await start(service, "open", number=number)
            assert started in await ids(search, "workflowType = open AND status = running")
            assert await ids(search, free_text=f"number {number}") == [started]


async def test_output_is_found_by_its_words(tmp_path: Path) -> None:
    async with searching(tmp_path / "a.db") as (service, search):
        first = await start(service, "echo", say='a "quoted" pièce\nof C:\\news')
        second = await start(service, "echo", say="another piece")
        for each in (first, second):
            await service.ended(each)

        assert set(await ids(search, free_text="said PIECE")) == {first, second}
        assert await ids(search, free_text='"of C" news') == [first]
        assert await ids(search, free_text="anoth*") == [second]
        assert await ids(search, free_text="anoth") == []
        assert set(await ids(search, free_text="news OR another")) == {first, second}
        assert await ids(search, "status=COMPLETED", "quoted") == [first]


async def test_text_that_changed_is_found_by_the_new_one_only(tmp_path: Path) -> None:
    async with searching(tmp_path / "a.db") as (service, search):
        execution = await start(service, "open", say="hello")
        assert await ids(search, free_text="hello") == [execution]
        await service.terminate(execution, "enough of it")
        assert await ids(search, free_text="enough") == [execution]
        await service.restart(execution)
        assert await ids(search, free_text="enough") == []
        assert await ids(search, free_text="hello") == [execution]


async def test_tasks_are_found_with_their_payloads(tmp_path: Path) -> None:
    async with searching(tmp_path / "a.db") as (service, search):
        execution = await start(service, "open", correlation="c-1")
        total, found = await search.tasks("status IN (IN_PROGRESS, SCHEDULED) AND correlationId='c-1'")
        owners = await search.by_tasks("taskType = WAIT", sort=["startTime:DESC"])

        assert (total, [hit.task.reference for hit in found]) == (1, ["w"])
        shown = summary(found[0])
        assert shown["workflowId"] == execution
        assert (shown["taskType"], shown["input"], shown["workflowType"]) == ("WAIT", "{}", "open")
        assert [row.execution_id for row in owners.rows] == [execution]
        assert (await search.tasks(free_text="NOOP")).total == 1
        assert (await search.tasks(free_text="100%")).total == 0


async def test_running_and_correlated(tmp_path: Path) -> None:
    async with searching(tmp_path / "a.db") as (service, search):
        first = await start(service, "open", correlation="c-1")
        ended = await start(service, "echo", correlation="c-1")
        await service.ended(ended)

        assert await search.running("open") == [first]
        assert await search.running("echo") == []
        assert await search.running("echo", 1, 0, 1 << 62) == [ended]
        assert await search.correlated("echo", ["c-1", "c-2"]) == {"c-1": [], "c-2": []}
        assert await search.correlated("echo", ["c-1"], include_closed=True) == {"c-1": [ended]}


async def test_summary_has_the_words_of_conductor(tmp_path: Path) -> None:
    async with searching(tmp_path / "a.db") as (service, search):
        execution = await start(service, "echo", say="x", correlation="c")
        await service.ended(execution)
        (row,) = (await search.executions(f"workflowId='{execution}'")).rows
        shown = summary(row)

    assert shown["workflowType"] == "echo"
    assert (shown["input"], shown["output"]) == ('{"say":"x"}', '{"said":"x"}')
    assert (shown["inputSize"], shown["failedTaskNames"], shown["priority"]) == (11, [], 0)
    assert str(shown["startTime"]).endswith("Z")
    assert "reasonForIncompletion" not in shown


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"query": "status = 'A"}, "position 10"),
        ({"query": "colour = red"}, "position 1"),
        ({"size": 5_001}, "size"),
        ({"start": -1}, "start"),
        ({"sort": ["colour:ASC"]}, "sort"),
        ({"free_text": "x" * 3_000}, "freeText"),
    ],
)
async def test_what_cannot_be_read_is_refused_by_name(
    tmp_path: Path, arguments: dict[str, object], message: str
) -> None:
    async with searching(tmp_path / "a.db") as (_, search):
        with pytest.raises(InvalidInput, match=message):
            await search.executions(**arguments)  # type: ignore[arg-type]
