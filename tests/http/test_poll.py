"""Workers take tasks over HTTP: one, many, none, held, from a domain, and with nobody left to take them."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.http.conftest import Server
from tests.http.worker_calls import SIMPLE, as_list, as_object, chain, polled, result, started

ONE = pytest.mark.route("GET /api/tasks/poll/{type}")
MANY = pytest.mark.route("GET /api/tasks/poll/batch/{type}")
LONG: dict[str, str | int] = {"workerid": "w1", "timeout": 5_000}


@ONE
async def test_a_poll_gives_a_task_in_conductors_shape(server: Server) -> None:
    execution = await started(server, {**SIMPLE, "inputParameters": {"to": "someone", "nothing": None}})

    task = await polled(server)

    assert task["workflowInstanceId"] == execution
    assert task["inputData"] == {"to": "someone", "nothing": None}
    assert {"taskType": "work", "taskDefName": "work", "status": "IN_PROGRESS", "workerId": "w1"}.items() <= (
        task.items()
    )
    assert (task["pollCount"], task["retryCount"], task["iteration"]) == (1, 0, 0)
    assert isinstance(task["responseTimeoutSeconds"], int)


@ONE
async def test_a_poll_that_finds_nothing_is_answered_204(server: Server) -> None:
    answer = await server.get("/api/tasks/poll/work", params={"workerid": "w1"})

    assert (answer.status, answer.body) == (204, b"")


@ONE
async def test_a_task_is_given_once(server: Server) -> None:
    await started(server)
    await polled(server)

    assert (await server.get("/api/tasks/poll/work")).status == 204


@ONE
async def test_what_a_poll_gave_is_in_progress_for_everybody(server: Server) -> None:
    task = await polled(server, workerid="w7") if await started(server) else {}

    shown = as_object(await server.get(f"/api/tasks/{task['taskId']}"))

    assert (shown["status"], shown["workerId"]) == ("IN_PROGRESS", "w7")


@ONE
async def test_names_with_reserved_characters_are_polled_for(server: Server) -> None:
    await started(server, {**SIMPLE, "name": "mail to/from 100 % now"})

    answer = await server.raw("GET", "/api/tasks/poll/mail%20to%2Ffrom%20100%20%25%20now?workerid=w1")

    assert answer.status == 200


@ONE
async def test_a_domain_gives_only_what_was_sent_to_it(server: Server) -> None:
    await started(server, task_to_domain={"work": "inner"})

    assert (await server.get("/api/tasks/poll/work")).status == 204
    assert (await polled(server, domain="inner"))["domain"] == "inner"


@ONE
async def test_a_literal_none_is_no_domain(server: Server) -> None:
    await started(server)

    assert (await polled(server, domain="None"))["referenceTaskName"] == "first"


@MANY
async def test_a_batch_is_no_longer_than_asked_for(server: Server) -> None:
    for _ in range(5):
        await started(server)

    first = as_list(await server.get("/api/tasks/poll/batch/work", params={**LONG, "count": 3}))
    second = as_list(await server.get("/api/tasks/poll/batch/work", params={**LONG, "count": 3}))

    assert (len(first), len(second)) == (3, 2)
    assert len({str(task["taskId"]) for task in first + second}) == 5


@MANY
async def test_an_empty_batch_is_an_empty_list(server: Server) -> None:
    answer = await server.get("/api/tasks/poll/batch/work", params={"timeout": 0})

    assert (answer.status, answer.json) == (200, [])


@MANY
async def test_a_held_poll_gets_the_task_that_comes(server: Server) -> None:
    async with asyncio.TaskGroup() as group:
        held = group.create_task(server.get("/api/tasks/poll/batch/work", params=LONG))
        await held_polls(server, 1)
        execution = await started(server)

    assert [task["workflowInstanceId"] for task in as_list(held.result())] == [execution]


@MANY
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timeout", "5001"),
        ("timeout", "-1"),
        ("timeout", "soon"),
        ("count", "0"),
        ("count", "10001"),
        ("count", "x"),
    ],
)
async def test_numbers_out_of_range_are_refused_by_name(server: Server, name: str, value: str) -> None:
    answer = await server.get("/api/tasks/poll/batch/work", params={name: value})

    assert answer.status == 400
    assert answer.message.startswith(f"{name}: ")


@MANY
async def test_a_client_that_goes_gets_nothing_and_others_do(server: Server) -> None:
    await leave_while_held(server)
    await held_polls(server, 0)
    await started(server)

    task = await polled(server, workerid="w2")

    assert (task["workerId"], task["pollCount"], task["retryCount"]) == ("w2", 1, 0)


@MANY
async def test_a_task_on_its_way_to_a_client_that_goes_is_given_back_without_a_retry(server: Server) -> None:
    leaving = asyncio.create_task(server.get("/api/tasks/poll/batch/work", params=LONG))
    await held_polls(server, 1)
    starting = asyncio.create_task(started(server))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    await starting
    await held_polls(server, 0)

    task = await polled(server, workerid="w2")

    assert (task["workerId"], task["retryCount"]) == ("w2", 0)


@MANY
async def test_held_polls_are_answered_at_once_when_the_server_stops(server: Server) -> None:
    async with asyncio.TaskGroup() as group:
        held = [
            group.create_task(server.get("/api/tasks/poll/batch/work", params={**LONG, "workerid": f"w{i}"}))
            for i in range(20)
        ]
        await held_polls(server, 20)
        server.http.close_for_new()
        await server.services.drain(0)

    assert [(poll.result().status, poll.result().json) for poll in held] == [(200, [])] * 20
    assert (await server.get("/api/tasks/poll/batch/work")).status == 503
    assert (await server.get("/api/tasks/poll/work")).status == 503


@MANY
async def test_what_a_poll_gets_is_rendered_with_the_definition_of_its_task(server: Server) -> None:
    await started(server, *chain("a", "b"))

    [task] = as_list(await server.get("/api/tasks/poll/batch/a", params=LONG))

    definition = task["workflowTask"]
    assert isinstance(definition, dict)
    assert definition["taskReferenceName"] == "a"
    assert (await server.post("/api/tasks", json=result(task))).status == 200


async def held_polls(server: Server, count: int) -> None:
    """Wait until so many polls are held."""
    hand_out = server.services.executions.engine.carry.hand_out
    async with asyncio.timeout(60):
        while len(hand_out.polls) != count or server.http.door.traffic.held != count:  # noqa: ASYNC110
            await asyncio.sleep(0)


async def leave_while_held(server: Server) -> None:
    """Poll, and go away while the poll is held."""
    async with aiohttp.ClientSession() as session:
        held = asyncio.create_task(session.get(f"{server.url}/api/tasks/poll/batch/work", params=LONG))
        await held_polls(server, 1)
        held.cancel()
        await asyncio.wait([held])
