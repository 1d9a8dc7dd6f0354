"""Executions whose payloads are over the limit: stored, handed on whole, and handed in as they were."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from pydantic_core import to_json

import asyncflow as af
from asyncflow.app.local import start_or_take_up
from asyncflow.app.options import EngineSettings
from asyncflow.errors import LimitExceeded
from asyncflow.model.definition import parse_workflow
from asyncflow.model.payload_reference import is_stored
from asyncflow.model.values import JsonObject
from asyncflow.runtime.command_task import CommandPolicy
from tests.integration.engine_support import child, simple, waiting, workflow
from tests.integration.stored_support import COUNT, LIMITS, ROWS, ROWS_OF, files, ran, stored_engine


@pytest.mark.parametrize("maker", ["make", "make_in_a_thread", "make_in_a_process"])
@pytest.mark.parametrize("user", ["add", "add_in_a_process"])
async def test_large_output_is_stored_and_handed_in_whole(tmp_path: Path, maker: str, user: str) -> None:
    state = await ran(tmp_path, simple(maker, ref="make"), simple(user, inputParameters=ROWS_OF))

    assert state.status == "COMPLETED", state.reason
    output = state.tasks[1].output or {}
    assert output["count"] == COUNT
    assert is_stored(output["rows"])
    assert state.tasks[1].output_bytes == len(
        json.dumps({"count": COUNT, "rows": ROWS}, separators=(",", ":"))
    )
    assert state.tasks[2].output == {"total": sum(ROWS), "agrees": True}
    assert json.loads(files(tmp_path)[0].read_bytes()) == ROWS


async def test_equal_outputs_are_stored_once(tmp_path: Path) -> None:
    await ran(tmp_path, simple("make"), simple("make_in_a_thread"))

    assert len(files(tmp_path)) == 1


def script(kind: str, **given: object) -> JsonObject:
    return {"name": "s", "taskReferenceName": "s", "type": kind, "inputParameters": {**ROWS_OF, **given}}


@pytest.mark.parametrize(
    "task",
    [
        script("INLINE", evaluatorType="javascript", expression="$.rows.length + $.rows[2]"),
        script("LAMBDA", scriptExpression="return $.rows.length + $.rows[2]"),
        script("JSON_JQ_TRANSFORM", queryExpression="(.rows | length) + .rows[2]"),
    ],
)
async def test_script_gets_the_value_itself(tmp_path: Path, task: JsonObject) -> None:
    state = await ran(tmp_path, simple("make"), task)

    assert state.status == "COMPLETED", state.reason
    assert (state.tasks[2].output or {})["result"] == COUNT + 2


async def test_condition_of_a_loop_gets_the_value_itself(tmp_path: Path) -> None:
    loop: JsonObject = {
        "name": "loop",
        "taskReferenceName": "loop",
        "type": "DO_WHILE",
        "loopCondition": "$.make['rows'].length < 500",
        "loopOver": [simple("make")],
    }
    state = await ran(tmp_path, loop)

    assert (state.status, state.tasks[1].iteration) == ("COMPLETED", 1)


async def test_command_gets_and_gives_large_values(tmp_path: Path) -> None:
    echo = ["-c", "import sys; print(sys.argv[1])", "${workflow.input.text}"]
    given: JsonObject = {"executable": sys.executable, "args": echo, "workdir": "."}
    command: JsonObject = {
        "name": "c",
        "taskReferenceName": "c",
        "type": "COMMAND",
        "inputParameters": given,
    }
    settings = EngineSettings(commands=CommandPolicy(enabled=True, root=tmp_path))
    async with stored_engine(tmp_path, settings=settings) as engine:
        execution = await engine.start(workflow("w", [command]), {"text": "x" * 5_000})
        state = await execution.ended()
        whole = await engine.hydrate(state.tasks[1].output)

    assert state.status == "COMPLETED", state.reason
    assert is_stored(state.input["text"])
    assert is_stored((state.tasks[1].output or {})["stdout"])
    assert "x" * 5_000 in json.dumps(whole)


async def test_large_start_travels_through_a_sub_workflow_to_the_result(tmp_path: Path) -> None:
    inner = workflow("inner", [simple("add", inputParameters={"rows": "${workflow.input.rows}", "count": 1})])
    outer = child("inner") | {"inputParameters": {"rows": "${workflow.input.rows}"}}
    result = {"rows": "${workflow.input.rows}", "total": "${child.output.total}"}
    async with stored_engine(tmp_path) as engine:
        await engine.register(inner)
        output = await engine.run(workflow("w", [outer], outputParameters=result), {"rows": ROWS})
        whole = await engine.hydrate(output)

    assert is_stored(output["rows"])
    assert whole == {"rows": ROWS, "total": sum(ROWS)}


async def test_large_signal_is_stored(tmp_path: Path) -> None:
    async with stored_engine(tmp_path) as engine:
        execution = await engine.start(workflow("w", [waiting("w"), simple("add", inputParameters={
            "rows": "${w.output.rows}", "count": "${w.output.count}"})]))  # fmt: skip
        await execution.signal("w", {"rows": ROWS, "count": COUNT})
        output = await execution.result()

    assert output == {"total": sum(ROWS), "agrees": True}


async def test_body_of_a_large_answer_is_stored_and_its_status_stays(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"got": (await request.json())["rows"]})

    app = web.Application()
    app.router.add_post("/", answer)
    posting = {"uri": "${workflow.input.uri}", "method": "POST", "body": {"rows": "${workflow.input.rows}"}}
    task: JsonObject = {
        "name": "h",
        "taskReferenceName": "h",
        "type": "HTTP",
        "inputParameters": {"http_request": posting},
    }
    status = {"status": "${h.output.response.statusCode}", "body": "${h.output.response.body}"}
    settings = EngineSettings(http_allow=("127.0.0.1",))
    async with TestServer(app) as server, stored_engine(tmp_path, settings=settings) as engine:
        given: JsonObject = {"uri": f"http://127.0.0.1:{server.port}/", "rows": ROWS}
        output = await engine.run(workflow("w", [task], outputParameters=status), given)
        whole = await engine.hydrate(output)

    assert list(cast("JsonObject", output["body"])) == ["got"]
    assert is_stored(cast("JsonObject", output["body"])["got"])
    assert whole == {"status": 200, "body": {"got": ROWS}}


async def test_execution_with_a_large_input_is_taken_up_again(tmp_path: Path) -> None:
    definition = parse_workflow(workflow("w", [waiting()]))
    async with stored_engine(tmp_path) as engine:
        first = await start_or_take_up(engine.service, definition, {"rows": ROWS})
    async with stored_engine(tmp_path) as engine:
        again = await start_or_take_up(engine.service, definition, {"rows": ROWS})
        other = await start_or_take_up(engine.service, definition, {"rows": [*ROWS, 1]})

    assert again == (first[0], True)
    assert other[1] is False


async def test_stored_text_that_looks_like_an_expression_stays_data(tmp_path: Path) -> None:
    @af.task(retries=0)
    async def look(text: str, token: str) -> JsonObject:
        return {"starts": text[:23], "length": len(text), "known": token == "canary-secret"}

    text = "${workflow.secrets.api}" * 200
    given = {"text": "${workflow.input.text}", "token": "${workflow.secrets.api}"}
    settings = EngineSettings(secrets={"api": "canary-secret"})
    async with stored_engine(tmp_path, look, settings=settings) as engine:
        body = workflow("w", [simple("look", inputParameters=given)])
        output = await engine.run(body, {"text": text})

    assert output == {"starts": "${workflow.secrets.api}", "length": len(text), "known": True}


async def test_start_is_taken_at_the_limit_of_stored_bytes_and_refused_past_it(tmp_path: Path) -> None:
    around = len(to_json({"text": ""}))
    at, past = ({"text": "x" * (LIMITS.stored_payload_bytes - around + more)} for more in (0, 1))
    async with stored_engine(tmp_path) as engine:
        body = workflow("w", [waiting()])
        state = await engine.service.engine.state((await engine.start(body, dict(at))).id)
        assert is_stored(state.input["text"])
        with pytest.raises(LimitExceeded, match=r"payload_too_large: input .*100000, got 100001"):
            await engine.start(body, dict(past))
