"""C93: what tasks and resources logged is searched together, by whatever one knows."""

from __future__ import annotations

from typing import Any

import pytest

from asyncflow.app.options import EngineSettings
from asyncflow.http import logs
from asyncflow.model.events import Event
from asyncflow.model.resource_events import InstanceAsked, InstanceDestroying
from asyncflow.model.turn import Moment, StreamEvents, Turn
from asyncflow.runtime.open_turn import OpenTurn
from tests.http.conftest import Server, serving

pytestmark = pytest.mark.route("GET /api/asyncflow/log")

CAUSE = "11111111-0000-4000-8000-000000000000/report"


async def filled(server: Server) -> None:
    """A line of a task, and the life of an instance in the turns that recorded it."""
    services = server.services
    await services.logbook.add_log_lines("t1", ["the report is late"], execution_id="e1", at_ms=1_000)
    events: list[tuple[int, Event]] = [
        (2_000, InstanceAsked(3, "token", CAUSE)),
        (3_000, InstanceDestroying(3, "idle", 7, "idle for 600 s")),
    ]
    for number, (at_ms, event) in enumerate(events, 10):
        entries = [StreamEvents("resource:emr-prod", 1, [event])]
        turn = Turn(number, Moment(at_ms, at_ms), entries, [])
        services.executions.engine._task_logs.committed(OpenTurn(), turn)


async def found(server: Server, **wanted: str | int) -> list[dict[str, Any]]:
    answer = await server.get("/api/asyncflow/log", params=wanted)
    assert answer.status == 200, answer.text
    assert isinstance(answer.json, dict)
    results: list[dict[str, Any]] = answer.json["results"]
    assert answer.json["totalHits"] == len(results)
    return results


async def test_who_destroyed_it_when_and_why_is_one_query() -> None:
    async with serving(logs.routes) as server:
        await filled(server)
        told = await found(server, resource="emr-prod", text="destroying")

    assert told == [
        {
            "time": 3_000,
            "source": "resource",
            "workflowId": "",
            "taskId": "",
            "resource": "emr-prod",
            "level": "INFO",
            "line": "instance destroying 3: cause idle, reason idle for 600 s",
        }
    ]


async def test_lines_of_tasks_and_resources_stand_together_newest_first() -> None:
    async with serving(logs.routes) as server:
        await filled(server)
        everything = await found(server)
        page = await server.get("/api/asyncflow/log", params={"start": 1, "size": 1})

    assert [(each["time"], each["source"]) for each in everything] == [
        (3_000, "resource"),
        (2_000, "resource"),
        (1_000, "task"),
    ]
    assert isinstance(page.json, dict)
    assert (page.json["totalHits"], [each["time"] for each in page.json["results"]]) == (3, [2_000])


@pytest.mark.parametrize(
    ("wanted", "times"),
    [
        ({"task": "t1"}, [1_000]),
        ({"execution": "e1"}, [1_000]),
        ({"execution": CAUSE.partition("/")[0]}, [2_000]),
        ({"from": 1_500, "to": 2_500}, [2_000]),
        ({"text": "late"}, [1_000]),
        ({"resource": "other"}, []),
    ],
)
async def test_lines_are_found_by_what_one_knows(wanted: dict[str, str | int], times: list[int]) -> None:
    async with serving(logs.routes) as server:
        await filled(server)
        told = await found(server, **wanted)

    assert [each["time"] for each in told] == times


async def test_secrets_are_taken_out_of_lines_of_resources() -> None:
    async with serving(logs.routes, engine=EngineSettings(secrets={"pg": "hunter2-hunter2"})) as server:
        entries = [StreamEvents("resource:x", 1, [InstanceDestroying(1, "idle", 1, "said hunter2-hunter2")])]
        turn = Turn(9, Moment(1, 1), entries, [])
        server.services.executions.engine._task_logs.committed(OpenTurn(), turn)
        (told,) = await found(server)

    assert "hunter2" not in told["line"]


async def test_pages_hold_every_line_once_also_of_one_moment() -> None:
    async with serving(logs.routes) as server:
        book = server.services.logbook
        for task in ("t1", "t2"):
            await book.add_log_lines(task, [f"{task} {n}" for n in range(6)], execution_id="e1", at_ms=1_000)
        pages = [
            await server.get("/api/asyncflow/log", params={"start": start, "size": 5}) for start in (0, 5, 10)
        ]

    lines = [each["line"] for page in pages for each in page.json["results"]]  # type: ignore[index]
    assert lines == [f"{task} {n}" for task in ("t2", "t1") for n in reversed(range(6))]


async def test_lines_further_back_are_asked_for_by_time() -> None:
    async with serving(logs.routes) as server:
        last = await server.get("/api/asyncflow/log", params={"start": 100_000})
        beyond = await server.get("/api/asyncflow/log", params={"start": 100_001})

    assert (last.status, beyond.status) == (200, 400)
    assert "start" in beyond.message
