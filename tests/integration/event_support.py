"""Handlers, tasks that publish, and executions that wait to be told, for tests of events."""

from __future__ import annotations

from asyncflow.app.service import StartRequest
from asyncflow.app.services import Services
from asyncflow.model.values import JsonObject
from tests.integration.schedule_support import wait, workflow

BEGIN = "2030-01-01T00:00"


def handler(name: str, event: str, *actions: JsonObject, **more: object) -> JsonObject:
    """An active handler."""
    return {"name": name, "event": event, "active": True, "actions": list(actions), **more}


def act(kind: str, **details: object) -> JsonObject:
    """An action with its details."""
    return {"action": kind, kind: details}


def start(name: str, **more: object) -> JsonObject:
    """The action that starts a workflow."""
    return act("start_workflow", name=name, **more)


def telling(sink: str, **given: object) -> JsonObject:
    """An EVENT task."""
    task: JsonObject = {"name": "tell", "taskReferenceName": "tell", "type": "EVENT", "sink": sink}
    return {**task, "inputParameters": given}


async def run(services: Services, name: str) -> str:
    """Start a registered workflow."""
    return await services.executions.start(StartRequest(name=name))


async def holding(services: Services, name: str = "holding") -> str:
    """An execution that waits to be told something."""
    await services.executions.register_workflow(workflow(name, wait("hold")))
    return await run(services, name)


async def status(services: Services, execution: str) -> object:
    """How an execution stands."""
    return (await services.executions.get(execution))["status"]


async def all_of(services: Services, name: str) -> list[JsonObject]:
    """The executions of a workflow, whole."""
    rows = (await services.search.executions(f"workflowType = '{name}'", sort=["startTime:ASC"])).rows
    return [await services.executions.get(row.execution_id) for row in rows]


async def history(services: Services, handler: str = "", state: str = "") -> list[tuple[object, object]]:
    """Status and reason of what handlers did, oldest first."""
    _, found = await services.handlers.history(handler, state=state, size=1_000)
    return [(each["status"], each["reason"]) for each in reversed(found)]


def only_task(execution: JsonObject) -> JsonObject:
    """The one task of an execution."""
    tasks = execution["tasks"]
    assert isinstance(tasks, list)
    (task,) = tasks
    assert isinstance(task, dict)
    return task
