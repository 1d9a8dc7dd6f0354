"""Secrets by name: their values reach the tasks that were given them, and nothing else (R110)."""

from __future__ import annotations

import base64
import json
import logging
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

import asyncflow as af
from asyncflow.app.database import reading
from asyncflow.app.options import EngineSettings
from asyncflow.http.tables import all_routes
from tests.http.conftest import Answer, Server, serving
from tests.http.credentials import stored_bytes
from tests.http.workflow_calls import definition

PLAIN = "canary/7 ?&=ÿ-plain"
NESTED = "canary-nested-4711"
SECRETS = {"plain": PLAIN, "json": json.dumps({"user": "al", "keys": [NESTED]})}
GIVEN: dict[str, object] = {
    "whole": "${workflow.secrets.plain}",
    "inside": "Bearer ${workflow.secrets.plain}!",
    "member": "${workflow.secrets.json.keys[0]}",
}

SCRIPT: dict[str, object] = {"evaluatorType": "javascript", "expression": "$.whole"}


def forms(value: str) -> list[bytes]:
    """A value as it may come back: as it is, in URLs, JSON and base64, also with others around it."""
    raw = value.encode()
    texts = {
        value,
        quote(value, safe=""),
        json.dumps(value)[1:-1],
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        base64.b64encode(b"al:" + raw + b"!").decode(),
        base64.b64encode(b"user:" + raw + b"!!").decode(),
    }
    return [text.encode() for text in texts]


CANARIES = [form for value in (PLAIN, NESTED) for form in forms(value)]


def found_in(content: bytes | str) -> list[bytes]:
    content = content if isinstance(content, bytes) else content.encode("utf-8", "backslashreplace")
    return [canary for canary in CANARIES if canary in content]


@af.task(retries=0)
async def leaky(ctx: af.TaskContext, whole: str, inside: str, member: str) -> dict[str, str]:
    """Tell what it was given wherever a task can."""
    ctx.log(f"got {whole}", header=inside, nested={"member": member})
    ctx.progress(0.5, f"with {member}")
    return {"echo": whole, whole: "as a name", "header": inside, "member": member}


@af.task(retries=0)
async def failing(whole: str) -> None:
    """Fail with the secret in the error."""
    raise ValueError(f"refused {quote(whole)} {whole}")


@pytest.fixture
def engine_settings() -> EngineSettings:
    return EngineSettings(secrets=SECRETS, environment={"REGION": "eu"}, http_allow=("127.0.0.1",))


@pytest.fixture
async def leaking(engine_settings: EngineSettings, tmp_path: Path) -> AsyncIterator[Server]:
    async with serving(engine=engine_settings, database=tmp_path / "a.db") as server:
        server.services.executions.engine.load_functions({each.name: each for each in (leaky, failing)})
        yield server


def task(name: str, type_: str = "SIMPLE", **fields: object) -> dict[str, object]:
    return {"name": name, "taskReferenceName": name, "type": type_, **fields}


async def run(server: Server, *tasks: dict[str, object], **fields: object) -> str:
    body = {"name": "w", "workflowDef": definition("w", *tasks, **fields), "input": {"x": 1}}
    answer = await server.post("/api/workflow", json=body)
    assert answer.status == 200, answer.text
    return answer.text


async def polled(server: Server, kind: str) -> dict[str, object]:
    answer = await server.get(f"/api/tasks/poll/{kind}", params={"workerid": "w1"})
    assert answer.status == 200
    assert isinstance(answer.json, dict)
    return answer.json


def echo(given: dict[str, object]) -> dict[str, object]:
    """An output that gives everything back, in every form."""
    forms_of = {form.decode(): form.decode() for form in forms(str(given["whole"]))}
    return {**given, **forms_of, "list": [given["inside"]], "deep": {"er": given["member"]}}


# --- the canary -------------------------------------------------------------------------------------


async def test_no_value_of_a_secret_is_found_anywhere(
    leaking: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Tasks here and elsewhere tell theirs in outputs, names, reasons, logs, errors: all is masked."""
    with caplog.at_level(logging.DEBUG):
        executions = [await _leak_everywhere(leaking)]
        executions += [await _fail(leaking, failure) for failure in ("failing", "http")]
        answers = [answer async for answer in _every_answer(leaking, executions)]
        events = [
            repr(recorded)
            for execution in executions
            async for recorded in leaking.services.executions.events(execution)
        ]
    assert [answer.text for answer in answers if found_in(answer.body)] == []
    assert [event for event in events if found_in(event)] == []
    assert found_in(caplog.text) == []
    assert [line for line in _tables(tmp_path / "a.db") if found_in(line)] == []
    assert found_in(stored_bytes(tmp_path)) == []
    assert len(events) > 20
    assert any("***" in answer.text for answer in answers)


async def _leak_everywhere(server: Server) -> str:
    execution = await run(
        server,
        task("leaky", inputParameters=GIVEN),
        task("remote", inputParameters=GIVEN),
        task("by_ref", inputParameters=GIVEN),
        task("inline", "INLINE", inputParameters={**GIVEN, **SCRIPT}),
        task("set", "SET_VARIABLE", inputParameters=GIVEN),
        task("given_on", inputParameters={"from": "${leaky.output}", "set": "${workflow.variables}"}),
        outputParameters={"whole": "${workflow.secrets.plain}", "remote": "${remote.output}"},
    )
    given = await polled(server, "remote")
    assert isinstance(given["inputData"], dict)
    assert given["inputData"]["whole"] == PLAIN
    ids = {"taskId": given["taskId"], "workflowInstanceId": execution}
    lines = [{"log": f"line {PLAIN}"}, {"log": f"line {quote(PLAIN, safe='')}"}]
    await server.post(f"/api/tasks/{given['taskId']}/log", data=f"said {NESTED}")
    report = {**ids, "status": "COMPLETED", "outputData": echo(given["inputData"]), "logs": lines}
    await server.post("/api/tasks", json={**report, "reasonForIncompletion": f"because of {PLAIN}"})
    given = await polled(server, "by_ref")
    assert isinstance(given["inputData"], dict)
    done = await server.post(f"/api/tasks/{execution}/by_ref/COMPLETED", json=echo(given["inputData"]))
    assert done.status == 200
    given = await polled(server, "given_on")
    assert found_in(json.dumps(given["inputData"]["from"])) == []  # type: ignore[index]
    ids["taskId"] = given["taskId"]
    await server.post("/api/tasks", json={**ids, "status": "COMPLETED"})
    await server.services.executions.engine.ended(execution)
    return execution


async def _fail(server: Server, kind: str) -> str:
    port = server.url.rpartition(":")[2]
    request = {
        "uri": f"http://127.0.0.1:{port}/api/nothing?key=${{workflow.secrets.plain}}",
        "method": "POST",
        "headers": {"X-Key": "${workflow.secrets.json.keys[0]}"},
        "body": GIVEN,
    }
    chosen = {
        "failing": task(
            "failing",
            inputParameters={"whole": "${workflow.secrets.plain}"},
            taskDefinition={"name": "failing", "retryCount": 0},
        ),
        "http": task(
            "http",
            "HTTP",
            inputParameters={"http_request": request},
            taskDefinition={"name": "http", "retryCount": 0},
        ),
    }
    execution = await run(server, chosen[kind])
    state = await server.services.executions.engine.ended(execution)
    assert state.status == "FAILED"
    return execution


async def _every_answer(server: Server, executions: list[str]) -> AsyncIterator[Answer]:
    """Everything that is shown of these executions, and every answer that needs no name."""
    for route in all_routes():
        if route.method == "GET" and not route.held and "{" not in route.path:
            yield await server.get(route.path)
    for execution in executions:
        shown = await server.get(f"/api/workflow/{execution}", params={"includeTasks": "true"})
        yield shown
        assert isinstance(shown.json, dict)
        for each in shown.json["tasks"]:
            yield await server.get(f"/api/tasks/{each['taskId']}")
            yield await server.get(f"/api/tasks/{each['taskId']}/log")
    yield await server.get("/api/workflow/search", params={"freeText": "canary"})


def _tables(file: Path) -> list[str]:
    """Every row of every table as text, histories decoded."""
    with closing(sqlite3.connect(file)) as db:
        return [*db.iterdump()]


async def test_the_journal_of_a_leaking_execution_holds_expressions_only(
    leaking: Server, tmp_path: Path
) -> None:
    """Turns are compressed on the disk, so they are read as recovery reads them."""
    execution = await _leak_everywhere(leaking)
    async with reading(tmp_path / "a.db") as reader:
        history = repr((await reader.read_streams([execution]))[execution])

    assert found_in(history) == []
    assert "workflow.secrets.plain" in history


# --- names ------------------------------------------------------------------------------------------


@pytest.mark.route("GET /api/secrets")
async def test_secrets_are_listed_by_name_alone(server: Server) -> None:
    answer = await server.get("/api/secrets")

    assert answer.json == ["json", "plain"]


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
async def test_no_route_shows_or_changes_a_secret(server: Server, method: str) -> None:
    for path in ("/api/secrets/plain", "/api/secrets/plain/exists", "/api/secrets-v2"):
        assert (await server.call(method, path, json="x")).status in {404, 405}
    if method != "GET":
        assert (await server.call(method, "/api/secrets", json=[])).status == 405
