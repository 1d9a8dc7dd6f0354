"""A worker for everything: polls whatever waits in a server's queues and answers it from a table.

`AutoWorker` knows Conductor's REST API and nothing of asyncflow. Outcomes are those of
`asyncflow.testing.outcomes`, played in real time; `serve_conductor_definitions.py` runs it over a
folder of definitions. People (WAIT without a time, HUMAN, an HTTP task that ends later) are played too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import aiohttp

from asyncflow.testing.outcomes import NEVER, Outcome, Outcomes

Json = dict[str, Any]
ENDED = frozenset({"COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"})
_OPEN = frozenset({"SCHEDULED", "IN_PROGRESS"})
_BETWEEN_LOOKS_S = 0.05


class Refused(Exception):
    """The server said no; the message is its own."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{status} {message}")
        self.status = status


class Api:
    """Requests to one server, with the answers as JSON or text."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._base, self._session = f"{url}/api", session
        self.faults: list[str] = []

    async def call(self, method: str, path: str, body: object = None, **query: str | int) -> Any:
        """The answer's body; raises Refused for anything but 2xx."""
        given = {} if body is None else {"json": body}
        url = self._base + path
        async with self._session.request(method, url, params=query, **given) as answer:  # type: ignore[arg-type]
            text = await answer.text()
            parsed = await answer.json() if answer.content_type == "application/json" and text else text
        if answer.status >= 500:
            self.faults.append(f"{method} {path} {answer.status} {text[:200]}")
        if answer.status >= 300:
            raise Refused(answer.status, text if isinstance(parsed, str) else str(parsed.get("message")))
        return parsed


def plain(reference: str) -> str:
    """A reference without the suffix of its iteration."""
    name, _, number = reference.rpartition("__")
    return name if name and number.isdigit() else reference


class AutoWorker:
    """Takes and answers every task of the executions it was told of, and of their children.

    Args:
        outcomes: the table for an execution that was not started by another, by its id; None leaves
            its tasks alone.
        checked: gets each task as it was handed out.
    """

    def __init__(
        self, api: Api, outcomes: Callable[[str], Outcomes | None], *, checked: Callable[[Json], None]
    ) -> None:
        self._api, self._outcomes, self._checked = api, outcomes, checked
        self._roots: dict[str, str] = {}
        self._asked: set[tuple[str, int]] = set()
        self.left_alone: set[str] = set()
        """Task types that nobody polls."""

    async def work(self, group: asyncio.TaskGroup) -> None:
        """Poll what waits, until cancelled; answers are given in tasks of the group."""
        while True:
            waiting = await self._api.call("GET", "/tasks/queue/all")
            wanted = [(queue, size) for queue, size in waiting.items() if size and self._is_wanted(queue)]
            for queue, size in wanted:
                domain, _, kind = queue.rpartition(":")
                for task in await self._poll(kind, domain, size):
                    self._checked(task)
                    group.create_task(self._perform(task))
            await asyncio.sleep(_BETWEEN_LOOKS_S)

    def _is_wanted(self, queue: str) -> bool:
        return queue.rpartition(":")[2] not in self.left_alone

    async def _poll(self, kind: str, domain: str, size: int) -> list[Json]:
        more = {"domain": domain} if domain else {}
        return list(
            await self._api.call(
                "GET", f"/tasks/poll/batch/{kind}", workerid="auto", count=size, timeout=100, **more
            )
        )

    async def _root(self, execution_id: str) -> str:
        """The execution that began it all; known ones are not asked for again."""
        if execution_id not in self._roots:
            shown = await self._api.call("GET", f"/workflow/{execution_id}", includeTasks="false")
            parent = shown.get("parentWorkflowId")
            self._roots[execution_id] = await self._root(parent) if parent else execution_id
        return self._roots[execution_id]

    async def _perform(self, task: Json) -> None:
        """Answer a task as its table says, in real time."""
        table = self._outcomes(await self._root(task["workflowInstanceId"]))
        if table is None:
            return
        reference = task["referenceTaskName"]
        keys = (reference, plain(reference), task["taskDefName"])
        taken = table.take(keys, task.get("inputData") or {})
        if taken is None or taken[0].status == NEVER:
            return
        outcome = taken[0]
        if outcome.after:
            await asyncio.sleep(outcome.after)
        await self._update(task, outcome)

    async def _update(self, task: Json, outcome: Outcome) -> None:
        result = {
            "taskId": task["taskId"],
            "workflowInstanceId": task["workflowInstanceId"],
            "workerId": "auto",
            "status": outcome.status,
            "outputData": outcome.output,
            "reasonForIncompletion": outcome.reason,
            "callbackAfterSeconds": int(outcome.again_after),
        }
        await self._api.call("POST", "/tasks", {k: v for k, v in result.items() if v is not None})

    async def until_ended(self, execution_id: str) -> Json:
        """The execution once it has ended, its people played meanwhile."""
        while True:
            shown: Json = await self._api.call("GET", f"/workflow/{execution_id}")
            if shown["status"] in ENDED:
                return shown
            await self._play_people(shown)
            await asyncio.sleep(_BETWEEN_LOOKS_S)

    async def _play_people(self, shown: Json) -> None:
        """Answer what no worker is for, here and in the children that are under way."""
        for task in shown["tasks"]:
            if task["status"] not in _OPEN:
                continue
            key = (task["taskId"], task.get("pollCount", 0))
            if is_for_people(task) and key not in self._asked:
                self._asked.add(key)
                await self._perform(task)
            elif task["taskType"] == "SUB_WORKFLOW" and task.get("subWorkflowId"):
                await self._play_people(await self._api.call("GET", f"/workflow/{task['subWorkflowId']}"))


def is_for_people(task: Json) -> bool:
    """Whether somebody has to say that this task is done."""
    given = task.get("inputData") or {}
    match task["taskType"]:
        case "WAIT":
            return not (given.get("duration") or given.get("until"))
        case "HUMAN":
            return True
        case "HTTP":
            later = given.get("asyncComplete") or (task.get("workflowTask") or {}).get("asyncComplete")
            return bool(later) and "response" in (task.get("outputData") or {})
    return False


def every_task(definition: object) -> Iterator[Json]:
    """Each task of a definition, however deep it lies."""
    if isinstance(definition, dict):
        if "taskReferenceName" in definition:
            yield definition
        for value in definition.values():
            yield from every_task(value)
    elif isinstance(definition, list):
        for value in definition:
            yield from every_task(value)
