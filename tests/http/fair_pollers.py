"""Rounds of five tasks, and who got them; pollers by bare HTTP, with and without a limit.

Everything here needs only the address of a server, in this process or elsewhere. The commands are in
`tests/sdk_conformance/fair_share.py`, the tests in `test_fair_pollers.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from json import loads

import aiohttp

from asyncflow.model.values import JsonObject

FIVE = 5
_HELD_MS = 5_000


def _task(name: str, reference: str) -> JsonObject:
    return {"name": name, "taskReferenceName": reference, "type": "SIMPLE"}


def _one(name: str) -> JsonObject:
    return {"name": f"one_{name}", "version": 1, "schemaVersion": 2, "tasks": [_task(name, name)]}


def _fork(name: str, width: int) -> JsonObject:
    branches = [[_task(name, f"{name}_{place}")] for place in range(width)]
    joined = {"name": "joined", "taskReferenceName": "joined", "type": "JOIN"}
    fork = {"name": "fork", "taskReferenceName": "fork", "type": "FORK_JOIN", "forkTasks": branches}
    body = {"name": f"fork_{name}", "version": 1, "schemaVersion": 2}
    return {**body, "tasks": [fork, {**joined, "joinOn": [f"{name}_{place}" for place in range(width)]}]}


class Api:
    """The calls of a client and of a worker."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = f"{url}/api", session

    async def call(self, method: str, path: str, *, json: object = None, **params: str | int) -> object:
        """What is answered; anything but success is an AssertionError."""
        async with self._session.request(method, self._url + path, json=json, params=params) as answer:
            body = await answer.text()
            assert answer.status < 300, (method, path, answer.status, body)
        return loads(body) if body[:1] in {"{", "["} else body

    async def register(self, name: str, *, width: int = FIVE, **task: object) -> None:
        """Workflows of one such task and of a fork of many."""
        await self.call("PUT", "/metadata/workflow", json=[_one(name), _fork(name, width)])
        await self.call(
            "POST",
            "/metadata/taskdefs",
            json=[{"name": name, "ownerEmail": "a@b.c", "retryCount": 0, **task}],
        )

    async def start(self, workflow: str) -> object:
        """Start an execution."""
        return await self.call("POST", f"/workflow/{workflow}", json={})

    async def executed(self, workflow: str) -> list[JsonObject]:
        """Start an execution and wait for its end; its tasks for workers."""
        made = await self.call(
            "POST",
            f"/workflow/execute/{workflow}/1",
            json={},
            waitForSeconds=30,
            returnStrategy="TARGET_WORKFLOW",
        )
        assert isinstance(made, dict)
        assert made["status"] == "COMPLETED", made
        return [task for task in made["tasks"] if task["taskType"] not in {"FORK", "JOIN"}]

    async def poll(self, name: str, worker: str, count: int, held_ms: int = _HELD_MS) -> list[JsonObject]:
        """Tasks for a worker, which waits for them so long."""
        found = await self.call(
            "GET", f"/tasks/poll/batch/{name}", workerid=worker, count=count, timeout=held_ms
        )
        assert isinstance(found, list)
        return found

    async def complete(self, task: JsonObject) -> None:
        """Say that a task is done, and by whom."""
        result = {key: task[key] for key in ("workflowInstanceId", "taskId", "workerId")}
        output = {"worker": task["workerId"]}
        await self.call("POST", "/tasks", json={**result, "status": "COMPLETED", "outputData": output})

    async def let_pass(self, milliseconds: int) -> None:
        """Let so much of the server's time pass: a poll for what nobody starts."""
        assert await self.poll("never", "nobody", 1, milliseconds) == []

    async def seen(self, name: str) -> set[str]:
        """The workers that have polled for a task."""
        found = await self.call("GET", "/tasks/queue/polldata", taskType=name)
        assert isinstance(found, list)
        return {str(each["workerId"]) for each in found}


@asynccontextmanager
async def api_of(url: str) -> AsyncIterator[Api]:
    """A client without a limit of connections."""
    timeout = aiohttp.ClientTimeout(total=120)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        yield Api(url, session)


# --- rounds -----------------------------------------------------------------------------------------


async def by_fork(api: Api, name: str) -> list[JsonObject]:
    """Five tasks that are there at the same moment."""
    return await api.executed(f"fork_{name}")


async def by_starts(api: Api, name: str) -> list[JsonObject]:
    """Five tasks that come one shortly after the other."""
    made = await asyncio.gather(*(api.executed(f"one_{name}") for _ in range(FIVE)))
    return [task for tasks in made for task in tasks]


def shares(tasks: list[JsonObject]) -> tuple[int, ...]:
    """How many each of the five workers did, the most first; by what the workers say themselves."""
    told = Counter(str(output["worker"]) for task in tasks if isinstance(output := task["outputData"], dict))
    given = sorted(told.values(), reverse=True)
    return (*given, *[0] * (FIVE - len(given)))


@asynccontextmanager
async def held_pollers(api: Api, name: str) -> AsyncIterator[None]:
    """Five workers of five free slots each, whose polls are held until something comes."""

    async def work(worker: str) -> None:
        while True:
            for task in await api.poll(name, worker, FIVE):
                await api.complete(task)

    working = [asyncio.ensure_future(work(f"w{number}")) for number in range(FIVE)]
    try:
        yield
        for each in working:
            assert not each.done(), each.exception()
    finally:
        for each in working:
            each.cancel()
        await asyncio.gather(*working, return_exceptions=True)


# --- a limit ----------------------------------------------------------------------------------------


@dataclass
class Limited:
    """What pollers saw of a limit: how many tasks were done, by whom, and how many at once at most."""

    done: int = 0
    most: int = 0
    at_once: int = 0
    workers: set[str] = field(default_factory=set)


async def limited(api: Api, *, tasks: int, pollers: int, limit: int) -> Limited:
    """So many tasks of one name under a `concurrentExecLimit`, done by so many that poll for one each."""
    await api.register("narrow", width=tasks, concurrentExecLimit=limit)
    seen, everything = Limited(), asyncio.Event()

    async def work(worker: str) -> None:
        while True:
            for task in await api.poll("narrow", worker, 1):
                seen.at_once += 1
                seen.most = max(seen.most, seen.at_once)
                await api.let_pass(5)
                seen.at_once -= 1  # before the engine can know of it
                await api.complete(task)
                seen.done += 1
                seen.workers.add(worker)
            if seen.done == tasks:
                everything.set()

    async with asyncio.timeout(100):
        working = [asyncio.ensure_future(work(f"p{number}")) for number in range(pollers)]
        try:
            execution = asyncio.ensure_future(api.executed("fork_narrow"))
            await asyncio.wait([*working, execution], return_when=asyncio.FIRST_COMPLETED)
            assert len(await execution) == tasks
            await everything.wait()
        finally:
            for each in working:
                each.cancel()
            await asyncio.gather(*working, return_exceptions=True)
    return seen
