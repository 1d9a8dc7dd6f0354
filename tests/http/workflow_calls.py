"""What the tests of `/api/workflow` share: small definitions, and calls that must succeed."""

from __future__ import annotations

from collections.abc import Mapping

from tests.http.conftest import Server
from tests.http.worker_calls import as_object

SIMPLE: dict[str, object] = {"name": "work", "taskReferenceName": "work_1", "type": "SIMPLE"}
WAIT: dict[str, object] = {"name": "wait", "taskReferenceName": "wait_1", "type": "WAIT"}
SET: dict[str, object] = {
    "name": "set",
    "taskReferenceName": "set_1",
    "type": "SET_VARIABLE",
    "inputParameters": {"seen": "${workflow.input.x}"},
}


def definition(name: str, *tasks: Mapping[str, object], **fields: object) -> dict[str, object]:
    """A workflow definition; by default of one task that needs nobody."""
    return {"name": name, "version": 1, "tasks": [*(tasks or (SET,))], **fields}


async def registered(server: Server, *definitions: Mapping[str, object]) -> None:
    """Register definitions over HTTP."""
    for each in definitions:
        answer = await server.post("/api/metadata/workflow", json=each)
        assert answer.status == 200, answer.text


async def begun(server: Server, *tasks: Mapping[str, object], **request: object) -> str:
    """Start an execution of an inline definition; its id."""
    body = {"name": "w", "workflowDef": definition("w", *tasks), **request}
    answer = await server.post("/api/workflow", json=body)
    assert answer.status == 200, answer.text
    return answer.text


async def shown(server: Server, execution: str, **params: str | int) -> dict[str, object]:
    """An execution as it is shown."""
    answer = await server.get(f"/api/workflow/{execution}", params=params)
    assert answer.status == 200, answer.text
    return as_object(answer)


async def status_of(server: Server, execution: str) -> object:
    """Its status alone."""
    return (await shown(server, execution, includeTasks="false"))["status"]


def refs(workflow: dict[str, object]) -> list[tuple[object, object]]:
    """Reference and status of every task shown, in order."""
    tasks = workflow["tasks"]
    assert isinstance(tasks, list)
    return [(task["referenceTaskName"], task["status"]) for task in tasks]
