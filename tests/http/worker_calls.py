"""Workflows for workers elsewhere, and the calls that a worker makes, for tests over a real server."""

from __future__ import annotations

from collections.abc import Mapping

from asyncflow.app.service import StartRequest
from asyncflow.model.definition import parse_workflow
from asyncflow.model.values import JsonObject
from tests.http.conftest import Answer, Server

SIMPLE: JsonObject = {"name": "work", "taskReferenceName": "first", "type": "SIMPLE", "retryCount": 0}
RETRIED: JsonObject = {
    **SIMPLE,
    "retryCount": 2,
    "taskDefinition": {
        "name": "work",
        "retryCount": 2,
        "retryDelaySeconds": 0,
        "responseTimeoutSeconds": 600,
    },
}
NOBODY = "00000000-0000-4000-8000-000000000000"


def chain(*names: str) -> list[JsonObject]:
    """Tasks for workers, one after the other; each has its name as reference name too."""
    return [{**SIMPLE, "name": name, "taskReferenceName": name} for name in names]


def wait(ref: str = "pause") -> JsonObject:
    """A task that ends by a signal."""
    return {"name": ref, "taskReferenceName": ref, "type": "WAIT"}


async def started(server: Server, *tasks: JsonObject, **request: object) -> str:
    """Start a workflow of these tasks, by default of one for a worker; retries are those it says itself."""
    body: JsonObject = {"name": "flow", "version": 1, "schemaVersion": 2, "tasks": list(tasks) or [SIMPLE]}
    given = StartRequest(definition=parse_workflow(body), **request)  # type: ignore[arg-type]
    return await server.services.executions.start(given)


async def polled(server: Server, name: str = "work", **params: str | int) -> JsonObject:
    """The task that a poll gets; there must be one."""
    answer = await server.get(f"/api/tasks/poll/{name}", params={"workerid": "w1", **params})
    assert answer.status == 200, answer.text
    return as_object(answer)


def as_object(answer: Answer) -> JsonObject:
    """The JSON object of an answer."""
    body = answer.json
    assert isinstance(body, dict)
    return body


def as_list(answer: Answer) -> list[JsonObject]:
    """The JSON list of an answer."""
    body = answer.json
    assert isinstance(body, list)
    return body


def result(
    task: Mapping[str, object],
    status: str = "COMPLETED",
    *,
    more: Mapping[str, object] | None = None,
    **fields: object,
) -> JsonObject:
    """A TaskResult of a task that was polled; `more` and `fields` are laid over it."""
    return {
        "workflowInstanceId": task["workflowInstanceId"],
        "taskId": task["taskId"],
        "status": status,
        "workerId": "w1",
        "outputData": {"by": task["taskDefName"]},
        "extendLease": False,
        **(more or {}),
        **fields,
    }


async def status(server: Server, execution: str) -> str:
    """The status of an execution."""
    return str((await server.services.executions.get(execution))["status"])


async def shown(server: Server, task: JsonObject) -> JsonObject:
    """A task as it is now."""
    return as_object(await server.get(f"/api/tasks/{task['taskId']}"))


async def events(server: Server, task: JsonObject) -> int:
    """How many events the execution of a task has."""
    found = (await server.services.executions.get(str(task["workflowInstanceId"])))["asyncflow"]
    assert isinstance(found, dict)
    return int(found["events"])
