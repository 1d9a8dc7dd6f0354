"""R93, R95 and R100: values and scripts that bomb, and texts of every kind, through the whole engine."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.errors import AsyncflowError, InvalidInput, LimitExceeded
from asyncflow.model.limits import Limits
from asyncflow.model.statuses import COMPLETED, FAILED
from asyncflow.runtime.engine import EngineSettings
from tests.integration.hostile import Json, end_of, gives, hostile_engine, is_well, task, workflow

TEXTS = [
    "😀",
    "שלום مرحبا",
    "\u202edoc.exe",
    "𠜎𠜱",
    "e\u0301",
    "a\u2028b\u2029",
    "\x7f\x1b[31m",
    "ﷺ" * 100,
    "%2e%2e/../",
]
QUICK = EngineSettings(limits=Limits(script_seconds=0.5))


def script(source: str, **given: object) -> Json:
    return task("INLINE", "i", inputParameters={"evaluatorType": "javascript", "expression": source, **given})


def jq(source: str, **given: object) -> Json:
    return task("JSON_JQ_TRANSFORM", "q", inputParameters={"queryExpression": source, **given})


BOMBS = {
    "endless": script("while (true) {}"),
    "memory": script("let a = 'x'; while (true) { a = a + a }"),
    "recursion": script("function f() { return f() + 1 } f()"),
    "regex": script("/^(a+)+$/.test('a'.repeat(40) + '!')"),
    "large result": script("'x'.repeat(2000000)"),
    "deep result": script("let a = []; for (let i = 0; i < 20000; i++) { a = [a] } a"),
    "deep result within the parser": script("let a = []; for (let i = 0; i < 190; i++) { a = [a] } a"),
    "cyclic result": script("let a = {}; a.a = a; a"),
    "host objects": script("Java.type('java.lang.Runtime').getRuntime().exec('id')"),
    "require": script("require('fs').readFileSync('/etc/passwd')"),
    "no syntax": script("}{"),
    "throws": script("throw new Error('x'.repeat(100000))"),
    "throws what is no error": script("throw {toString() { throw 1 }}"),
    "jq endless": jq("def f: f; f"),
    "jq memory": jq("[range(1e9)]"),
    "jq results": jq("range(1e9)"),
    "jq environment": jq("env | error"),
    "jq no syntax": jq("}{"),
}


@pytest.mark.parametrize("name", BOMBS)
async def test_r93_script_that_bombs_fails_its_task_alone(name: str) -> None:
    async with af.Engine(settings=QUICK) as engine:
        state = await end_of(engine, workflow(BOMBS[name]))

        assert state.status == FAILED, state.output
        assert state.reason
        assert len(state.reason) < 3_000
        await is_well(engine)


@pytest.mark.parametrize(
    "source", ["'\\ud800'", "({['\\udfff']: 1})", "NaN", "1/0", "undefined", "Symbol('a')", "10n ** 5000n"]
)
async def test_r93_script_result_without_json_form_harms_nobody(source: str) -> None:
    async with hostile_engine() as engine:
        state = await end_of(engine, workflow(script(source)))

        assert state.status in {COMPLETED, FAILED}


EXPRESSIONS = [
    "${" * 5_000 + "x" + "}" * 5_000,
    "${workflow.input.a" + "[0]" * 2_000 + "}",
    "${workflow.input..a..b..c..d}",
    "${workflow.input.x[?(@.a =~ /^(a+)+$/)]}",
    "${workflow.input.__class__.__mro__}",
    "${workflow.input.constructor.constructor('return process')()}",
    "${" + "a" * 100_000 + "}",
    "${workflow.input.deep" + "." * 1_000 + "}",
    "${workflow.input.x[" + "9" * 5_000 + "]}",
    "${workflow.input.x[::" + "9" * 30 + "]}",
    "${workflow.input.x[-" + "9" * 30 + ":]}",
    "${}", "${.}", "${..}", "${$}", "${@}", "${\0}",
]  # fmt: skip


@pytest.mark.parametrize(
    "expression", EXPRESSIONS, ids=lambda text: text[:24].encode("unicode_escape").decode()
)
async def test_r93_expression_that_bombs_harms_nobody(expression: str) -> None:
    given: Json = {"x": [{"a": "a" * 40 + "!"}], "deep": {"a": [{"b": index} for index in range(500)]}}
    async with hostile_engine() as engine:
        try:
            state = await end_of(engine, workflow(gives(expression)), given)
        except AsyncflowError as refusal:
            assert str(refusal)  # noqa: PT017 - not raising is fine too
        else:
            assert state.status in {COMPLETED, FAILED}
            assert "class '" not in str(state.output)


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
async def test_r95_text_is_stored_exactly_wherever_it_stands(text: str, tmp_path: Path) -> None:
    file = tmp_path / "flow.db"
    body = workflow(
        gives("${workflow.input.v}"),
        task("HUMAN", "wait"),
        name=f"n {text}",
        outputParameters={"v": "${a.output.result}", "w": "${wait.output.v}"},
        description=text,
    )
    async with hostile_engine(database=file) as engine:
        await engine.register(body)
        execution = await engine.start(f"n {text}", {"v": {text: text}}, correlation_id=text)
    async with hostile_engine(database=file) as engine:
        again = engine.execution(execution.id)
        await again.signal("wait", {"v": text}, reason=text)
        async with asyncio.timeout(60):
            assert await again.result() == {"v": {text: text}, "w": text}
        shown = await again.get()
        assert (shown["correlationId"], shown["workflowName"]) == (text, f"n {text}")


SURROGATES = ["\ud800", "a\udfffb", "\ud83d"]


@pytest.mark.parametrize("text", SURROGATES)
async def test_r95_lone_surrogate_is_refused_at_every_door(text: str) -> None:
    """One that reached the journal would stop the engine: no record with it can be written."""
    async with hostile_engine() as engine:
        execution = await engine.start(workflow(task("HUMAN", "wait")))
        doors: list[Callable[[], Awaitable[object]]] = [
            lambda: engine.start(workflow(task("NOOP", "n")), {"v": text}),
            lambda: engine.start(workflow(task("NOOP", "n")), {text: 1}),
            lambda: engine.start(workflow(task("NOOP", "n")), correlation_id=text),
            lambda: engine.start(workflow(task("NOOP", "n")), task_to_domain={text: "d"}),
            lambda: engine.start(workflow(task("NOOP", "n")), task_to_domain={"n": text}),
            lambda: execution.pause(text),
            lambda: execution.signal("wait", {"v": text}),
            lambda: execution.signal("wait", reason=text),
            lambda: execution.signal(text),
            lambda: execution.skip("wait", {"v": text}),
            lambda: execution.set_variables(v=text),
            lambda: execution.rerun(workflow_input={"v": text}),
            lambda: execution.cancel(text),
        ]
        for door in doors:
            with pytest.raises(InvalidInput, match="surrogate"):
                await door()

        assert await execution.status() == "RUNNING"


async def test_r95_nul_is_refused_in_what_comes_from_outside() -> None:
    async with hostile_engine() as engine:
        with pytest.raises(InvalidInput, match="NUL"):
            await engine.start(workflow(task("NOOP", "n")), {"v": "a\0b"})


async def test_r95_nul_in_an_output_is_kept(tmp_path: Path) -> None:
    @af.task(retries=0)
    async def nul() -> dict[str, str]:
        return {"v": "a\0b"}

    file = tmp_path / "flow.db"
    async with hostile_engine(nul, database=file) as engine:
        execution = await engine.start(workflow(task(ref="nul")))
        assert await execution.result() == {"v": "a\0b"}
    async with hostile_engine(database=file) as engine:
        assert await engine.execution(execution.id).result() == {"v": "a\0b"}


STRANGE: list[object] = [float("nan"), float("inf"), 10**4_300, {1: 2}, {1}, b"x", object(), (1,)]


@pytest.mark.parametrize("value", STRANGE, ids=lambda value: type(value).__name__)
async def test_r100_input_without_json_form_is_refused(value: object) -> None:
    async with hostile_engine() as engine:
        with pytest.raises(InvalidInput, match=r"input\.v"):
            await engine.start(workflow(task("NOOP", "n")), {"v": value})


@pytest.mark.parametrize(("levels", "fits"), [(63, True), (64, False), (100_000, False)])
async def test_r100_nested_input_at_its_limit_and_past_it(levels: int, fits: bool) -> None:  # noqa: FBT001
    nest: object = 1
    for _ in range(levels):
        nest = [nest]
    async with hostile_engine() as engine:
        if fits:
            assert await engine.run(workflow(gives("${workflow.input.v}")), {"v": nest}) == {"result": nest}
        else:
            with pytest.raises(InvalidInput, match="nested deeper than 64 levels"):
                await engine.start(workflow(task("NOOP", "n")), {"v": nest})


async def test_r100_input_that_holds_itself_is_refused() -> None:
    cycle: Json = {}
    cycle["v"] = cycle
    async with hostile_engine() as engine:
        with pytest.raises(InvalidInput, match="nested deeper"):
            await engine.start(workflow(task("NOOP", "n")), cycle)


async def test_r100_integer_of_all_digits_comes_back_exactly() -> None:
    number = 10**4_299 + 7
    async with hostile_engine() as engine:
        assert await engine.run(workflow(gives("${workflow.input.v}")), {"v": number}) == {"result": number}


@pytest.mark.parametrize(("length", "fits"), [(4_096, True), (4_097, False)])
async def test_texts_of_commands_are_bounded(length: int, fits: bool) -> None:  # noqa: FBT001
    text = "x" * length
    async with hostile_engine() as engine:
        execution = await engine.start(workflow(task("HUMAN", "wait")))
        if fits:
            await execution.pause(text)
            await engine.start(workflow(task("NOOP", "n")), correlation_id=text)
        else:
            for door in (execution.pause, execution.cancel):
                with pytest.raises(LimitExceeded, match="text_characters"):
                    await door(text)
            with pytest.raises(LimitExceeded, match="text_characters: correlationId"):
                await engine.start(workflow(task("NOOP", "n")), correlation_id=text)


@pytest.mark.parametrize("extra", [0, 1])
async def test_variables_at_their_limit_and_one_past_it(extra: int) -> None:
    text = "y" * (100 - len('{"v":""}') + extra)
    async with hostile_engine(limits=Limits(variables_bytes=100)) as engine:
        execution = await engine.start(workflow(task("HUMAN", "wait")))
        state = await end_of(engine, workflow(task("SET_VARIABLE", "s", inputParameters={"v": text})))
        if extra:
            assert "at most 100 bytes" in str(state.reason)
            with pytest.raises(InvalidInput, match="at most 100 bytes"):
                await execution.set_variables(v=text)
        else:
            assert state.status == COMPLETED
            await execution.set_variables(v=text)


async def test_updates_that_merge_stay_within_a_payload() -> None:
    async with hostile_engine(limits=Limits(payload_bytes=1_000)) as engine:
        execution = await engine.start(workflow(task("HUMAN", "wait")))
        await execution.signal("wait", {"a": "x" * 600}, status="IN_PROGRESS")
        with pytest.raises(InvalidInput, match="payload_bytes"):
            await execution.signal("wait", {"b": "x" * 600}, status="IN_PROGRESS")

        await execution.signal("wait", {"a": "y"})
        assert await execution.result() == {"a": "y"}
