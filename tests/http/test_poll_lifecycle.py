"""Workers written by hand run workflows to their end over bare sockets, also when answers get lost."""

from __future__ import annotations

import asyncio
import json
import random
from collections import Counter

import pytest

from asyncflow.model.values import JsonObject
from tests.http.conftest import Server
from tests.http.sockets import Wire, request, wire
from tests.http.worker_calls import SIMPLE, as_object, polled, result, started

NAMES = ("collect", "clean", "join", "check", "send")
DROPPED = 0.2
EXECUTIONS = 12
WORKERS = 4

ROUTES = [
    pytest.mark.route("GET /api/tasks/poll/batch/{type}"),
    pytest.mark.route("GET /api/tasks/poll/{type}"),
    pytest.mark.route("POST /api/tasks"),
    pytest.mark.route("POST /api/tasks/update-v2"),
]
pytestmark = ROUTES


def five() -> list[JsonObject]:
    """Five tasks, each of which adds one to what the one before it gave."""
    before = ["${workflow.input.n}", *(f"${{{name}.output.n}}" for name in NAMES)]
    return [
        {**SIMPLE, "retryCount": 50, "name": name, "taskReferenceName": name, "inputParameters": {"n": given}}
        for name, given in zip(NAMES, before, strict=False)
    ]


class Lost(Exception):
    """The worker does not learn what was answered."""


class Client:
    """A worker's calls over a socket of its own each, some of which get lost."""

    def __init__(self, server: Server, dice: random.Random, dropped: float = 0) -> None:
        self.server, self.dice, self.dropped = server, dice, dropped
        self.lost = Counter[str]()

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        """The answer; raises Lost where the connection breaks before it, or the answer is not taken in."""
        fate = self.dice.random()
        content = b"" if body is None else json.dumps(body).encode()
        async with wire(self.server.url) as line:
            await line.send(request(method, path, f"Content-Length: {len(content)}", body=content))
            if fate < self.dropped / 2:
                self.lost[f"{method} before"] += 1
                raise Lost
            found = await answered(line)
        if fate < self.dropped:
            self.lost[f"{method} after"] += 1
            raise Lost
        return found

    async def surely(self, method: str, path: str, body: object) -> tuple[int, bytes]:
        """The answer to a call that is sent again until one arrives."""
        while True:
            try:
                return await self.call(method, path, body)
            except Lost:
                continue


async def answered(line: Wire) -> tuple[int, bytes]:
    """The status and the body of an answer."""
    head = (await line.head()).decode("latin-1")
    fields = dict(each.lower().split(": ", 1) for each in head.split("\r\n")[1:] if ": " in each)
    return int(head.split(" ")[1]), await line.reader.readexactly(int(fields.get("content-length", "0")))


async def work(client: Client, worker: str, name: str) -> None:
    """Poll for one kind of task and do what comes, for ever; update-v2 may bring the next one."""
    task: JsonObject | None = None
    while True:
        if task is None:
            path = f"/api/tasks/poll/batch/{name}?workerid={worker}&count=1&timeout=200"
            try:
                status, body = await client.call("GET", path)
            except Lost:
                continue
            assert status == 200, body
            found = json.loads(body)
            if not found:
                continue
            task = found[0]
        assert task is not None
        status, body = await client.surely("POST", "/api/tasks/update-v2", done(task, worker))
        assert status in {200, 204}, body
        task = json.loads(body) if status == 200 else None


def done(task: JsonObject, worker: str) -> JsonObject:
    """The result of a task."""
    given = task["inputData"]
    assert isinstance(given, dict)
    return {
        "workflowInstanceId": task["workflowInstanceId"],
        "taskId": task["taskId"],
        "workerId": worker,
        "status": "COMPLETED",
        "outputData": {"n": given["n"] + 1},
    }


async def test_a_worker_written_by_hand_runs_a_workflow_of_five_tasks(server: Server) -> None:
    """As the oldest clients do it: a poll for one, a result, and again."""
    execution = await started(server, *five(), input={"n": 1})
    client = Client(server, random.Random(1))

    for name in NAMES:
        status, body = await client.call("GET", f"/api/tasks/poll/{name}?workerid=w1")
        assert status == 200, body
        task = json.loads(body)
        assert await client.call("POST", "/api/tasks", done(task, "w1")) == (200, task["taskId"].encode())

    shown = await server.services.executions.get(execution)
    assert (shown["status"], shown["output"]) == ("COMPLETED", {"n": 6})


async def test_a_result_counts_though_its_worker_is_gone_and_the_next_task_is_given_back(
    server: Server,
) -> None:
    first, second = [await started(server) for _ in range(2)]
    task = await polled(server)
    other = second if task["workflowInstanceId"] == first else first
    body = json.dumps(result(task)).encode()
    fields = (f"Content-Length: {len(body)}",)

    async with wire(server.url) as line:
        await line.send(request("POST", "/api/tasks/update-v2", *fields, body=body))
    await server.services.executions.ended(str(task["workflowInstanceId"]))
    await server.http.answered(10)

    again = await polled(server, workerid="w2")
    assert (again["workflowInstanceId"], again["retryCount"]) == (other, 0)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_c40_a_fifth_of_all_answers_lost_loses_no_execution_and_does_nothing_twice(
    server: Server, seed: int
) -> None:
    """What a worker never learnt of is handed out again after its response timeout, and ends once."""
    for name in NAMES:
        body: JsonObject = {
            "name": name,
            "retryCount": 50,
            "retryDelaySeconds": 0,
            "responseTimeoutSeconds": 1,
        }
        await server.services.executions.register_task({**body, "timeoutSeconds": 0})
    clients = [Client(server, random.Random(seed * 100 + i), DROPPED) for i in range(WORKERS)]
    executions = [await started(server, *five(), input={"n": i}) for i in range(EXECUTIONS)]

    async with asyncio.TaskGroup() as group:
        workers = [
            group.create_task(work(client, f"w{i}", name))
            for i, client in enumerate(clients)
            for name in NAMES
        ]
        async with asyncio.timeout(60):
            for execution in executions:
                await server.services.executions.ended(execution)
        for worker in workers:
            worker.cancel()

    shown = [as_object(await server.get(f"/api/workflow/{each}")) for each in executions]
    assert [each["status"] for each in shown] == ["COMPLETED"] * EXECUTIONS
    assert [each["output"] for each in shown] == [{"n": i + 5} for i in range(EXECUTIONS)]
    for each in shown:
        ended = Counter(task["referenceTaskName"] for task in each["tasks"] if task["status"] == "COMPLETED")  # type: ignore[attr-defined]
        assert ended == Counter(NAMES)
    lost = sum((client.lost for client in clients), Counter[str]())
    assert set(lost) == {"GET before", "GET after", "POST before", "POST after"}


async def test_asking_for_the_headers_of_a_poll_takes_no_task(server: Server) -> None:
    await started(server)
    for path in ("/api/tasks/poll/work", "/api/tasks/poll/batch/work"):
        answer = await server.call("HEAD", path, params={"workerid": "w1"})
        assert answer.status == 405
        assert "HEAD" not in answer.headers["Allow"]

    assert (await polled(server))["status"] == "IN_PROGRESS"
