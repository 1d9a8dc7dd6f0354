"""What cannot be done with a stored payload, or not at this moment, fails by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.options import EngineSettings
from asyncflow.errors import PayloadUnavailable
from asyncflow.model.payload_reference import STORED_KEY
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from tests.integration.engine_support import simple, waiting, workflow
from tests.integration.stored_support import LIMITS, ROWS, ROWS_OF, add, files, make, ran, stored_engine

# --- what looks into a stored value ---------------------------------------------------------------

SWITCH: JsonObject = {
    "name": "s",
    "taskReferenceName": "s",
    "type": "SWITCH",
    "evaluatorType": "value-param",
    "expression": "rows",
    "decisionCases": {"x": [waiting("never")]},
    "inputParameters": ROWS_OF,
}
FORK: JsonObject = {
    "name": "s",
    "taskReferenceName": "s",
    "type": "FORK_JOIN_DYNAMIC",
    "inputParameters": {"forkTaskName": "add", "forkTaskInputs": "${make.output.rows}"},
}
LOOP: JsonObject = {
    "name": "s",
    "taskReferenceName": "s",
    "type": "DO_WHILE",
    "inputParameters": {},
    "items": "${make.output.rows}",
    "loopCondition": "",
    "loopOver": [waiting("never")],
}
DYNAMIC: JsonObject = {
    "name": "s",
    "taskReferenceName": "s",
    "type": "DYNAMIC",
    "dynamicTaskNameParam": "rows",
    "inputParameters": ROWS_OF,
}
JOIN: JsonObject = {"name": "j", "taskReferenceName": "j", "type": "JOIN"}


@pytest.mark.parametrize(
    "tasks",
    [
        [simple("add", ref="s", inputParameters={"rows": "${make.output.rows[0]}"})],
        [simple("add", ref="s", inputParameters={"rows": "rows are ${make.output.rows}"})],
        [SWITCH],
        [FORK, JOIN],
        [LOOP],
        [DYNAMIC],
    ],
)
async def test_step_into_a_stored_value_fails_by_name(tmp_path: Path, tasks: list[JsonObject]) -> None:
    state = await ran(tmp_path, simple("make"), *tasks)

    assert state.status == "FAILED"
    assert "stored_by_reference" in (state.reason or "")


async def test_input_that_cannot_be_resolved_is_told_with_its_task(tmp_path: Path) -> None:
    first = simple("add", ref="first_row", inputParameters={"rows": "${make.output.rows[0]}"})
    state = await ran(tmp_path, simple("make"), first)

    assert "input of task first_row" in (state.reason or "")


async def test_output_that_looks_into_a_stored_value_says_so(tmp_path: Path) -> None:
    state = await ran(tmp_path, simple("make"), outputParameters={"first": "${make.output.rows[0]}"})

    assert "stored by reference" in str(state.output["error"])


# --- what cannot be had ---------------------------------------------------------------------------


def remove(file: Path) -> None:
    file.unlink()


def damage(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"1", b"2"))


async def after(tmp_path: Path, change: Callable[[Path], None]) -> ExecutionState:
    """Make rows, wait, change the file, and use the rows with one retry."""
    once = {"name": "add", "retryCount": 1, "retryDelaySeconds": 0}
    body = workflow(
        "w", [simple("make"), waiting("w"), simple("add", inputParameters=ROWS_OF, taskDefinition=once)]
    )
    async with stored_engine(tmp_path) as engine:
        execution = await engine.start(body)
        async for recorded in execution.events():
            if type(recorded.event).__name__ == "TaskEnded":
                break
        change(files(tmp_path)[0])
        await execution.signal("w", {})
        return await execution.ended()


@pytest.mark.parametrize(
    ("change", "code", "attempts"), [(remove, "payload_missing", 2), (damage, "payload_corrupt", 1)]
)
async def test_value_that_cannot_be_had_fails_the_task_by_name(
    tmp_path: Path, change: Callable[[Path], None], code: str, attempts: int
) -> None:
    state = await after(tmp_path, change)
    tried = [task for task in state.tasks.values() if task.ref == "add"]

    assert state.status == "FAILED"
    assert [(task.reason or "").split(":")[0] for task in tried] == [code] * attempts


async def test_engine_without_the_folder_fails_the_task_by_name(tmp_path: Path) -> None:
    body = workflow("w", [simple("make"), waiting("w"), simple("add", inputParameters=ROWS_OF)])
    async with stored_engine(tmp_path) as engine:
        execution = await engine.start(body)
        async for recorded in execution.events():
            if type(recorded.event).__name__ == "TaskEnded":
                break
    settings = EngineSettings(limits=LIMITS)
    async with af.Engine(tmp_path / "a.db", tasks=[make, add], settings=settings) as without:
        execution = without.execution(execution.id)
        await execution.signal("w", {})
        state = await execution.ended()

    assert state.status == "FAILED"
    assert "payload_folder_unset" in (state.reason or "")
    assert state.tasks[3].status == "FAILED_WITH_TERMINAL_ERROR"


@pytest.mark.parametrize("name", ["../../../../etc/passwd", "0" * 64, 7])
async def test_forged_reference_reads_nothing(tmp_path: Path, name: object) -> None:
    given: JsonObject = {"rows": {STORED_KEY: {"sha256": name, "bytes": 10}}, "count": 1}
    state = await ran(tmp_path, simple("add", inputParameters=given))

    assert state.status == "FAILED"
    assert (state.tasks[1].reason or "").startswith(("payload_reference_invalid", "payload_missing"))


async def test_secret_does_not_reach_the_folder_nor_break_a_reference(tmp_path: Path) -> None:
    @af.task(retries=0)
    async def leak(token: str, digits: str) -> JsonObject:
        return {"rows": [token] * 200}

    secrets = {"api": "canary-secret", "hex": "0123"}
    given = {"token": "${workflow.secrets.api}", "digits": "${workflow.secrets.hex}"}
    async with stored_engine(tmp_path, leak, settings=EngineSettings(secrets=secrets)) as engine:
        output = await engine.run(workflow("w", [simple("leak", inputParameters=given)]))
        whole = await engine.hydrate(output)

    assert whole == {"rows": ["***"] * 200}
    assert b"canary-secret" not in files(tmp_path)[0].read_bytes()


def nested(levels: int) -> JsonObject:
    value: object = ROWS
    for _ in range(levels):
        value = [value]
    return {"rows": value}


@pytest.mark.parametrize(
    ("output", "fault"),
    [
        ({"rows": [float("nan")] * 1_000}, "NaN"),
        ({"rows": [*ROWS, 10**4_300]}, "4300 digits"),
        (nested(63), "nested deeper"),
    ],
)
async def test_large_output_that_is_no_json_fails_by_name(
    tmp_path: Path, output: JsonObject, fault: str
) -> None:
    @af.task(retries=0)
    async def give() -> JsonObject:
        return output

    async with stored_engine(tmp_path, give) as engine:
        state = await (await engine.start(workflow("w", [simple("give")]))).ended()

    assert state.status == "FAILED"
    assert fault in (state.tasks[1].reason or "")
    assert files(tmp_path) == []


async def test_large_output_of_the_deepest_kind_is_stored(tmp_path: Path) -> None:
    @af.task(retries=0)
    async def give() -> JsonObject:
        return nested(62)

    async with stored_engine(tmp_path, give) as engine:
        output = await engine.run(workflow("w", [simple("give")]))

        assert await engine.hydrate(output) == nested(62)


async def test_output_past_what_may_be_stored_fails_for_good(tmp_path: Path) -> None:
    @af.task(retries=3)
    async def give() -> JsonObject:
        return {"text": "x" * LIMITS.stored_payload_bytes}

    async with stored_engine(tmp_path, give) as engine:
        state = await (await engine.start(workflow("w", [simple("give")]))).ended()

    assert "payload_too_large: task output: at most 100000" in (state.tasks[1].reason or "")
    assert state.tasks[1].status == "FAILED_WITH_TERMINAL_ERROR"


async def test_value_that_cannot_be_written_fails_the_attempt_and_a_retry_may_help(tmp_path: Path) -> None:
    away = tmp_path / "away"
    home: list[Path] = []

    @af.task
    async def give() -> JsonObject:
        if home:
            away.rename(home[0])
        else:
            home.extend((tmp_path / "payloads").iterdir())
            home[0].rename(away)
        return {"rows": ROWS}

    once = {"name": "give", "retryCount": 1, "retryDelaySeconds": 0}
    async with stored_engine(tmp_path, give) as engine:
        state = await (await engine.start(workflow("w", [simple("give", taskDefinition=once)]))).ended()

    assert (state.tasks[1].reason or "").startswith("payload_not_stored")
    assert state.status == "COMPLETED"


async def test_start_that_cannot_be_stored_is_refused_and_nothing_is_started(tmp_path: Path) -> None:
    async with stored_engine(tmp_path) as engine:
        (tmp_path / "payloads").rename(tmp_path / "away")
        with pytest.raises(PayloadUnavailable, match="payload_not_stored"):
            await engine.start(workflow("w", [waiting()]), {"rows": ROWS})

        assert engine.service.engine.turns.states == {}
