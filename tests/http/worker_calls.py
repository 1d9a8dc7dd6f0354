"""Workflows for workers elsewhere, and the calls that a worker makes, for tests over a real server."""

from __future__ import annotations

from collections.abc import Mapping

from asyncflow.app.service import StartRequest
from asyncflow.model.definition import parse_workflow
from asyncflow.model.values import JsonObject
from tests.http.conftest import Answer, Server

SIMPLE: JsonObject = {"name": "work", "taskReferenceName": "first", "type": "SIMPLE", "retryCount": 0}


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
