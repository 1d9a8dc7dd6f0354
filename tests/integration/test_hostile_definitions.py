"""R88, R89 and R94: a definition is run or refused by name, never half of either, and the engine goes on."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import random
from collections import Counter
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.errors import AsyncflowError, DefinitionError, InvalidInput, LimitExceeded, NotFound, Refused
from asyncflow.model.documents import parse_document
from asyncflow.model.limits import Limits
from asyncflow.model.statuses import COMPLETED, FAILED
from tests.integration.hostile import (
    Json,
    end_of,
    gives,
    hostile_engine,
    is_well,
    stored,
    task,
    workflow,
)
from tests.model.test_fuzz import SEED, mutated

BAD: dict[str, tuple[Json, str]] = {
    "empty": (workflow(), "tasks"),
    "nothing": ({}, "name"),
    "no tasks": ({"name": "w"}, "tasks"),
    "duplicate reference": (workflow(task("NOOP", "a"), task("NOOP", "a")), "a"),
    "cycle in dependsOn": (
        workflow(
            task("NOOP", "a", asyncflow={"dependsOn": ["b"]}),
            task("NOOP", "b", asyncflow={"dependsOn": ["a"]}),
        ),
        "a",
    ),
    "itself in dependsOn": (workflow(task("NOOP", "a", asyncflow={"dependsOn": ["a"]})), "a"),
    "missing in dependsOn": (workflow(task("NOOP", "a", asyncflow={"dependsOn": ["b"]})), "b"),
    "tasks of the wrong type": ({"name": "w", "tasks": "all of them"}, "tasks"),
    "task of the wrong type": ({"name": "w", "tasks": [7]}, "tasks[0]"),
    "version of the wrong type": ({**workflow(task("NOOP", "a")), "version": "two"}, "version"),
    "name of the wrong type": ({**workflow(task("NOOP", "a")), "name": ["w"]}, "name"),
    "loop without a body": (workflow(task("DO_WHILE", "l", loopCondition="true", loopOver=[])), "loopOver"),
    "switch without cases": (workflow(task("SWITCH", "s", evaluatorType="value-param", expression="k")), "s"),
    "surrogate in a name": (workflow(task("NOOP", "a"), name="w\ud800"), "name"),
    "NUL in a reference": (workflow(task("NOOP", "a\0b")), "tasks[0]"),
}


@pytest.mark.parametrize("case", BAD)
async def test_r88_bad_definition_is_refused_by_place_and_leaves_nothing(case: str) -> None:
    body, place = BAD[case]
    async with hostile_engine() as engine:
        before = stored(engine)
        with pytest.raises(DefinitionError, match=r".+") as started:
            await engine.start(body)
        with pytest.raises(DefinitionError):
            await engine.service.register_workflow(body)

        assert place in str(started.value)
        assert stored(engine) == before


async def test_r88_missing_sub_workflow_is_refused_before_anything_starts() -> None:
    async with hostile_engine() as engine:
        before = stored(engine)
        with pytest.raises(NotFound, match="absent"):
            await engine.start(workflow(task("SUB_WORKFLOW", "s", subWorkflowParam={"name": "absent"})))

        assert stored(engine) == before


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (workflow(task("JOIN", "j", joinOn=["nobody"])), "JOIN j waits for nobody"),
        (workflow(task("FORK_JOIN", "f", forkTasks=[[task("NOOP", "a")]])), "not followed by a join task: f"),
        (
            workflow(task("KAFKA_PUBLISH", "k", inputParameters={"kafka_request": {}})),
            "install the plugin asyncflow-kafka",
        ),
        (workflow(task("DYNAMIC", "d", dynamicTaskNameParam="x")), "'x' gives no task name"),
    ],
)
async def test_r88_what_conductor_accepts_and_nobody_can_run_fails_by_name(body: Json, named: str) -> None:
    async with hostile_engine() as engine:
        state = await end_of(engine, body)

        assert state.status == FAILED
        assert named in str(state.reason)


async def test_r88_unknown_type_waits_for_a_worker_of_that_type() -> None:
    async with hostile_engine() as engine:
        execution = await engine.start(workflow(task("MAKE_COFFEE", "c")))
        records = (await execution.get())["tasks"]
        await execution.signal("c", {"cup": "full"})

        assert [(each["taskType"], each["status"]) for each in records] == [("MAKE_COFFEE", "SCHEDULED")]  # type: ignore[attr-defined]
        assert await execution.result() == {"cup": "full"}


async def test_r88_same_version_with_other_content_is_a_conflict_where_asked() -> None:
    async with hostile_engine() as engine:
        await engine.service.register_workflow(workflow(task("NOOP", "a")))
        with pytest.raises(AsyncflowError, match="exists already"):
            await engine.service.register_workflow(workflow(task("NOOP", "b")), overwrite=False)

        assert await engine.run("w") == {}


async def test_r88_thousands_of_mutated_definitions_harm_nobody() -> None:
    """Law: a mutated definition runs to an end, waits, or is refused by one of our errors."""
    dice = random.Random(88)
    seen: Counter[str] = Counter()
    async with hostile_engine(limits=Limits(loop_iterations=3)) as engine:
        for number in range(3_000):
            seen[await _tried(engine, mutated(SEED, dice))] += 1
            if number % 500 == 0:
                await is_well(engine)

        assert not engine.service.engine.turns.quarantined
        assert set(seen) <= {"refused", "started"}
        assert min(seen.values()) > 100, seen


async def test_r88_mutated_real_definitions_harm_nobody(data_dir: Path) -> None:
    """Law: as above, for what others wrote."""
    dice = random.Random(89)
    seen: Counter[str] = Counter()
    files = sorted((data_dir / "conductor-definitions").rglob("*.json"))
    bodies = [parse_document(file.read_bytes()) for file in files]
    seeds = [body for body in bodies if isinstance(body, dict) and body.get("tasks")]
    async with hostile_engine(limits=Limits(loop_iterations=3)) as engine:
        for _ in range(1_500):
            seen[await _tried(engine, mutated(copy.deepcopy(dice.choice(seeds)), dice))] += 1

        assert not engine.service.engine.turns.quarantined
        assert set(seen) <= {"refused", "started"}
        assert min(seen.values()) > 50, seen


async def _tried(engine: af.Engine, body: Json) -> str:
    """What became of a definition: started (and terminated, if it did not end), or refused by us."""
    before = stored(engine)
    try:
        execution = await engine.start(body, {"x": [{}], "k": "x"})
    except AsyncflowError as refusal:
        assert str(refusal)  # noqa: PT017 - not raising is fine too
        assert stored(engine) == before
        return "refused"
    state = await engine.service.engine.state(execution.id)
    if not state.is_ended:
        with contextlib.suppress(Refused):  # it may have ended meanwhile
            await execution.cancel("enough")
    return "started"


@pytest.mark.parametrize(("count", "fits"), [(10, True), (11, False)])
async def test_r89_number_of_tasks_at_its_limit_and_one_past_it(count: int, fits: bool) -> None:  # noqa: FBT001
    body = workflow(*[task("NOOP", f"t{index}") for index in range(count)])
    async with hostile_engine(limits=Limits(definition_tasks=10)) as engine:
        await _fits_or_names(engine, body, "definition_tasks: at most 10", fits=fits)


async def test_r89_default_number_of_tasks_holds() -> None:
    async with hostile_engine() as engine:
        body = workflow(*[task("NOOP", f"t{index}") for index in range(10_001)])
        await _fits_or_names(engine, body, "definition_tasks: at most 10000", fits=False)


@pytest.mark.parametrize(("levels", "fits"), [(20, True), (21, False)])
async def test_r89_nesting_at_its_limit_and_one_past_it(levels: int, fits: bool) -> None:  # noqa: FBT001
    inner = task("NOOP", "n")
    for level in range(levels - 1):
        inner = task(
            "SWITCH",
            f"s{level}",
            evaluatorType="value-param",
            expression="k",
            inputParameters={"k": "x"},
            decisionCases={"x": [inner]},
        )
    async with hostile_engine() as engine:
        await _fits_or_names(engine, workflow(inner), "definition_nesting: at most 20, got 21", fits=fits)


@pytest.mark.parametrize("more", [0, 1])
async def test_r89_size_at_its_limit_and_one_past_it(more: int) -> None:
    body = workflow(task("NOOP", "n"), description="")
    async with hostile_engine(limits=Limits(definition_bytes=5_000)) as engine:
        await engine.start(body)
        size = _size_reported(await _refusal(engine, {**body, "description": "x" * 6_000}))
        fit = {**body, "description": "x" * (6_000 - (size - 5_000) + more)}
        await _fits_or_names(engine, fit, "definition_bytes: at most 5000, got 5001", fits=not more)


async def _refusal(engine: af.Engine, body: Json) -> str:
    with pytest.raises(DefinitionError) as caught:
        await engine.start(body)
    return str(caught.value)


def _size_reported(text: str) -> int:
    return int(text.rpartition("got ")[2])


async def _fits_or_names(engine: af.Engine, body: Json, named: str, *, fits: bool) -> None:
    if fits:
        assert (await end_of(engine, body)).status == COMPLETED
    else:
        assert named in await _refusal(engine, body)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ('{"name": "w", "tasks": []}' + " " * 5_000, "definition_bytes"),
        ("[" * 100_000 + "]" * 100_000, "definition_depth"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "definition_depth"),
        ('{"version": ' + "1" * 5_000 + "}", "integer_digits"),
    ],
    ids=["long", "nest of lists", "nest of objects", "digits"],
)
def test_r89_r100_text_beyond_a_limit_is_refused_by_its_name(text: str, named: str) -> None:
    limits = Limits(definition_bytes=5_000) if named == "definition_bytes" else Limits()
    with pytest.raises(LimitExceeded, match=named):
        parse_document(text, limits=limits)


@pytest.mark.parametrize(
    "text",
    ['{"a": NaN}', '{"a": Infinity}', '{"a": -Infinity}', '{"a": 1e999}', '{"a": 1, "a": 2}',
     '{"a": {"b": 1, "b": 1}}', '"\\ud800"', '{"\\udfff": 1}', "", "{", '{"a": 01}', "[1,]"],
)  # fmt: skip
def test_r100_text_that_is_no_json_is_refused_by_its_place(text: str) -> None:
    with pytest.raises(InvalidInput, match=r".+"):
        parse_document(text, format="json")


async def test_r94_running_execution_keeps_the_definition_it_began_with() -> None:
    first = workflow(task("HUMAN", "wait"), gives("old"))
    async with hostile_engine() as engine:
        await engine.service.register_workflow(first)
        running = await engine.start("w")
        await engine.service.register_workflow(workflow(gives("new")))
        await running.signal("wait")

        assert await running.result() == {"result": "old"}
        assert await engine.run("w") == {"result": "new"}


async def test_r94_running_execution_keeps_its_definition_over_a_restart_of_the_engine(
    tmp_path: Path,
) -> None:
    file = tmp_path / "flow.db"
    async with hostile_engine(database=file) as engine:
        await engine.service.register_workflow(workflow(task("HUMAN", "wait"), gives("old")))
        running = await engine.start("w")
        await engine.service.register_workflow(workflow(gives("new")))
        await engine.service.unregister_workflow("w", 1)
    async with hostile_engine(database=file) as engine:
        again = engine.execution(running.id)
        await again.signal("wait")

        async with asyncio.timeout(60):
            assert await again.result() == {"result": "old"}
        with pytest.raises(NotFound):
            await engine.start("w")


def test_every_bad_definition_is_json_but_for_what_is_wrong_with_it() -> None:
    assert all(json.dumps(body) for body, _ in BAD.values())
