"""Checklist, definitions: C17, C71, C75, C83, C86, C87, C101 to C104, C109, C139, C141, C143."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import yaml

import asyncflow as af
from asyncflow import nodes
from asyncflow.errors import NotFound
from asyncflow.model.definition import canonical_json, parse_workflow, to_json
from asyncflow.model.documents import parse_document
from asyncflow.model.statuses import COMPLETED, FAILED
from asyncflow.runtime.recovery import CATALOG_STREAM
from asyncflow.store.sqlite import SqliteReader
from tests.integration.hostile import Json, end_of, gives, task, workflow


@af.task(retries=0)
async def double(n: int) -> dict[str, int]:
    return {"n": n * 2}


@af.task(retries=0)
async def add(a: int, b: int) -> dict[str, int]:
    return {"n": a + b}


async def test_c17_step_declared_as_data_comes_back_as_it_was() -> None:
    definition: Json = {
        "name": "step",
        "inputKeys": ["a", "b"],
        "outputKeys": ["n"],
        "retryCount": 2,
        "x-owner": {"team": ["é", 1, None]},
        "asyncflow": {"weight": 2, "x-free": True},
    }
    body = workflow(
        {**task(ref="step", inputParameters={"a": 1, "b": "${workflow.input.b}"}), "x-flag": {"deep": [1]}},
        metadata={"firing": "many", "count": 3},
        **{"x-home": "/flows"},
    )
    async with af.Engine() as engine:
        await engine.service.register_task(definition)
        await engine.service.register_workflow(body)
        catalog = engine.service.engine.catalog

        assert to_json(catalog.tasks["step"]) | definition == to_json(catalog.tasks["step"])
        shown = to_json(catalog.workflows["w"][1])
        assert shown | {key: body[key] for key in ("metadata", "x-home")} == shown
        assert parse_workflow(body) == catalog.workflows["w"][1]
        assert shown["tasks"][0]["x-flag"] == {"deep": [1]}  # type: ignore[index]


async def test_c71_what_was_evaluated_is_recorded_and_never_evaluated_again(tmp_path: Path) -> None:
    calls: list[str] = []

    @af.task(retries=0)
    async def choose() -> dict[str, object]:
        calls.append("choose")
        return {"case": "wide", "task": "double", "each": [{"n": 1}, {"n": 2}]}

    chosen = {"c": "${choose.output.case}"}
    wide: list[Json] = [
        task(
            "DYNAMIC", "d", dynamicTaskNameParam="t", inputParameters={"t": "${choose.output.task}", "n": 5}
        ),
        task(
            "FORK_JOIN_DYNAMIC",
            "f",
            inputParameters={"forkTaskName": "double", "forkTaskInputs": "${choose.output.each}"},
        ),
        task("JOIN", "j"),
        task("HUMAN", "h"),
    ]
    body = workflow(
        task(ref="choose"),
        task(
            "SWITCH", "s", evaluatorType="javascript", expression="$.c", inputParameters=chosen,
            decisionCases={"wide": wide}, defaultCase=[],
        ),
        outputParameters={"d": "${d.output.n}", "j": "${j.output}", "case": "${s.output.selectedCase}"},
    )  # fmt: skip
    file = tmp_path / "flow.db"
    async with af.Engine(file, tasks=[choose, double]) as engine:
        execution = await engine.start(body)
        async for recorded in execution.events():
            if getattr(recorded.event, "ref", "") == "h":
                break
    async with af.Engine(file) as engine:
        again = engine.execution(execution.id)
        await again.signal("h")
        async with asyncio.timeout(60):
            output = await again.result()

    assert calls == ["choose"]
    assert output["d"] == 10
    assert output["case"] == "wide"
    assert [value["n"] for value in output["j"].values()] == [2, 4]  # type: ignore[attr-defined]


async def test_c75_each_retry_is_a_record_of_its_own_under_the_policy_it_began_with() -> None:
    tries: list[int] = []

    @af.task
    async def flaky() -> None:
        tries.append(1)
        raise ValueError("again")

    async with af.Engine(tasks=[flaky]) as engine:
        await engine.service.register_task({"name": "flaky", "retryCount": 2, "retryDelaySeconds": 0})
        plain: Json = {"name": "flaky", "taskReferenceName": "f", "type": "SIMPLE"}
        body = workflow(task("HUMAN", "h"), plain)
        await engine.service.register_workflow(body)
        execution = await engine.start("w")
        await engine.service.register_task({"name": "flaky", "retryCount": 0})
        await execution.signal("h")
        async with asyncio.timeout(60):
            state = await execution.ended()

    attempts = [record for record in state.tasks.values() if record.ref == "f"]
    assert [record.retry_count for record in attempts] == [0, 1, 2]
    assert len({record.number for record in attempts}) == len(tries) == 3
    assert all(record.reason == "ValueError: again" for record in attempts)


def three_steps() -> af.Workflow:
    with af.Workflow("three", version=2) as flow:
        first = double.node("first", n=flow.input.n)
        second = double.node("second", n=first.output.n)
        both = add.node("both", a=first.output.n, b=second.output.n)
        flow >> first >> second >> both
        flow.output(n=both.output.n)
    return flow


async def test_c83_builder_json_and_yaml_give_the_same_graph_and_run_alike() -> None:
    built = parse_workflow(three_steps().to_definition())
    as_json = parse_workflow(parse_document(canonical_json(built)))
    as_yaml = parse_workflow(parse_document(yaml.safe_dump(to_json(built)), format="yaml"))
    async with af.Engine(tasks=[double, add]) as engine:
        outputs = [await engine.run(each, {"n": 3}) for each in (three_steps(), as_json, as_yaml)]
        graphs = {engine.service.engine.catalog.inline(each).hash for each in (built, as_json, as_yaml)}

    assert built == as_json == as_yaml
    assert outputs == [{"n": 18}] * 3
    assert len(graphs) == 1


async def test_c86_inputs_and_outputs_stand_with_each_attempt_and_so_do_their_sizes() -> None:
    async with af.Engine(tasks=[double]) as engine:
        state = await end_of(engine, workflow(task(ref="double", inputParameters={"n": 21})))
        record = state.latest["double"]

        assert (record.input, record.output) == ({"n": 21}, {"n": 42})
        assert (record.input_bytes, record.output_bytes) == (len('{"n":21}'), len('{"n":42}'))


async def test_c87_reference_to_data_kept_elsewhere_is_shown_and_handed_on() -> None:
    reference = {"uri": "s3://bucket/rows.parquet", "size": 10**12, "rows": 7, "checksum": "sha256:00"}

    @af.task(retries=0)
    async def export() -> dict[str, object]:
        return {"data": reference}

    @af.task(retries=0)
    async def load(data: dict[str, object]) -> object:
        return data["rows"]

    body = workflow(task(ref="export"), task(ref="load", inputParameters={"data": "${export.output.data}"}))
    async with af.Engine(tasks=[export, load]) as engine:
        execution = await engine.start(body)
        assert await execution.result() == {"result": 7}
        shown = await execution.get()

    assert shown["tasks"][0]["outputData"] == {"data": reference}  # type: ignore[index]


KITCHEN = workflow(
    task("NOOP", "noop"),
    task("SET_VARIABLE", "set", inputParameters={"v": "${workflow.input.n}"}),
    gives("${workflow.variables.v}", "inline"),
    task("JSON_JQ_TRANSFORM", "jq", inputParameters={"queryExpression": ".n + 1", "n": "${set.input.v}"}),
    task(
        "SWITCH", "switch", evaluatorType="value-param", expression="k", inputParameters={"k": "x"},
        decisionCases={"x": [task("LAMBDA", "lambda", inputParameters={"scriptExpression": "return 5"})]},
    ),
    task("FORK_JOIN", "fork", forkTasks=[[task("NOOP", "left")], [task("NOOP", "right")]]),
    task("JOIN", "join", joinOn=["left", "right"]),
    task(
        "DO_WHILE", "loop", loopCondition="$.loop['iteration'] < 3",
        loopOver=[task(ref="double", inputParameters={"n": "${loop.output.iteration}"})],
    ),
    task("DYNAMIC", "dynamic", dynamicTaskNameParam="t", inputParameters={"t": "double", "n": 4}),
    task("WAIT", "wait", inputParameters={"duration": "0 seconds"}),
    task("EVENT", "event", sink="conductor:news", inputParameters={"n": 1}),
    task(
        "SUB_WORKFLOW", "sub",
        subWorkflowParam={"name": "inner", "workflowDefinition": workflow(gives("in"), name="inner")},
    ),
    task("HUMAN", "human"),
    task("TERMINATE", "end", inputParameters={
        "terminationStatus": "COMPLETED",
        "workflowOutput": {
            "jq": "${jq.output.result}", "sub": "${sub.output.result}", "human": "${human.output.by}",
        },
    }),
    name="kitchen",
)  # fmt: skip


async def test_c101_every_built_in_type_runs_with_conductors_json() -> None:
    async with af.Engine(tasks=[double]) as engine:
        execution = await engine.start(KITCHEN, {"n": 41})
        async with asyncio.timeout(60):
            async for recorded in execution.events():
                if getattr(recorded.event, "ref", "") == "human":
                    break
            await execution.signal("human", {"by": "Ada"})
            assert await execution.result() == {"jq": 42, "sub": "in", "human": "Ada"}
        shown = await execution.get()
        statuses = {each["status"] for each in shown["tasks"]}  # type: ignore[attr-defined]

    assert statuses == {COMPLETED}


async def test_c102_builder_reaches_every_operator() -> None:
    """Beside tests/sdk/test_matrix.py, which compares field by field: here one built flow runs."""
    with af.Workflow("built") as flow:
        first = double.node("first", n=flow.input.n)
        flow >> first >> nodes.set_variables({"n": first.output.n})
        flow.output(n=first.output.n)
    async with af.Engine() as engine:
        assert await engine.run(flow, {"n": 2}) == {"n": 4}


async def test_c104_ten_thousand_inline_definitions_register_nothing(tmp_path: Path) -> None:
    file = tmp_path / "flow.db"
    async with af.Engine(file, durability="normal") as engine:
        bodies = [workflow(task("NOOP", f"t{index}"), name=f"only-{index}") for index in range(10_000)]
        for start in range(0, len(bodies), 500):
            started = await asyncio.gather(*[engine.start(body) for body in bodies[start : start + 500]])
        async with asyncio.timeout(60):
            await started[-1].result()

        assert engine.service.engine.catalog.workflows == {}
        assert engine.service.engine.catalog.seq == 0
        with pytest.raises(NotFound):
            await engine.start("only-7")
    reader = SqliteReader.open(file)
    async with reader:
        assert (await reader.read_streams([CATALOG_STREAM]))[CATALOG_STREAM] == []


async def test_c104_inline_definitions_leave_memory_when_their_executions_do() -> None:
    async with af.Engine() as engine:
        for index in range(600):  # the engine keeps the last 256 executions that ended
            await engine.run(workflow(task("NOOP", f"t{index}"), name=f"only-{index}"))
        await engine.service.engine.views_caught_up()  # what is not written yet is still needed

        assert len(engine.service.engine.catalog.graphs) < 400


async def test_c109_output_is_mapped_at_the_end_whatever_the_end() -> None:
    mapping = {"n": "${a.output.result}", "who": "${workflow.input.who}", "none": "${b.output.x}"}
    failing = task("TERMINATE", "t", inputParameters={"terminationStatus": "FAILED"})
    stopping = task(
        "TERMINATE", "t",
        inputParameters={"terminationStatus": "COMPLETED", "workflowOutput": {"own": "${a.output.result}"}},
    )  # fmt: skip
    async with af.Engine() as engine:
        plain = await end_of(engine, workflow(gives(1), outputParameters=mapping), {"who": "me"})
        ended = await end_of(engine, workflow(gives(1), stopping, outputParameters=mapping))
        failed = await end_of(engine, workflow(gives(1), failing, outputParameters=mapping))

    assert (plain.status, plain.output) == (COMPLETED, {"n": 1, "who": "me", "none": None})
    assert (ended.status, ended.output) == (COMPLETED, {"own": 1})
    assert failed.status == FAILED


def test_c139_task_function_is_a_plain_function() -> None:
    assert asyncio.run(double(4)) == {"n": 8}
    assert double.__name__ == "double"


async def test_c141_three_versions_run_at_once_and_the_highest_is_the_default() -> None:
    async with af.Engine() as engine:
        for version in (3, 1, 2):
            await engine.service.register_workflow(
                workflow(task("HUMAN", "h"), gives(version), version=version)
            )
        named = [await engine.start("w", version=version) for version in (1, 2, 3)]
        default = await engine.start("w")
        for execution in (*named, default):
            await execution.signal("h")

        assert [(await each.result())["result"] for each in (*named, default)] == [1, 2, 3, 3]


async def test_c143_deleting_the_highest_version_rolls_back_and_keeps_what_runs() -> None:
    async with af.Engine() as engine:
        for version in (1, 2):
            await engine.service.register_workflow(
                workflow(task("HUMAN", "h"), gives(version), version=version)
            )
        old = await engine.start("w")
        await engine.service.unregister_workflow("w", 2)
        new = await engine.start("w")
        for execution in (old, new):
            await execution.signal("h")

        assert [(await each.result())["result"] for each in (old, new)] == [2, 1]
        with pytest.raises(NotFound):
            await engine.start("w", version=2)
        with pytest.raises(NotFound):
            await engine.service.unregister_workflow("w", 2)
