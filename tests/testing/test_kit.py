"""Whole definitions through `run_definition`: who is answered, with what, and what is said if nobody is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import asyncflow as af
from asyncflow.errors import DefinitionError, InvalidInput, NotFound
from asyncflow.model.values import JsonObject
from asyncflow.runtime.command_task import CommandPolicy
from asyncflow.runtime.engine import EngineSettings
from asyncflow.testing.kit import Unanswered, VirtualEngine, run_definition
from asyncflow.testing.outcomes import Outcome, Outcomes
from tests.testing.making import child, loop, switch, task, workflow

HTTP: JsonObject = {"http_request": {"uri": "http://service.invalid/", "method": "GET"}}
COMMAND: JsonObject = {"executable": "true"}


@af.task
async def double(n: int) -> int:
    return n * 2


async def test_every_kind_of_task_outside_is_answered() -> None:
    kinds = {
        "worker": task("worker"),
        "own": task("own", "MY_OWN_TYPE"),
        "http": task("http", "HTTP", inputParameters=HTTP),
        "command": task("command", "COMMAND", inputParameters=COMMAND),
        "human": task("human", "HUMAN"),
        "signal": task("signal", "WAIT"),
        "dynamic": task(
            "dynamic", "DYNAMIC", dynamicTaskNameParam="t", inputParameters={"t": "found_at_run_time"}
        ),
    }
    outcomes = Outcomes({ref: {"by": ref} for ref in kinds})
    run = await run_definition(workflow(*kinds.values()), outcomes=outcomes)

    assert run.status == "COMPLETED"
    assert {ref: run.task(ref).output for ref in kinds} == {ref: {"by": ref} for ref in kinds}
    assert [call.ref for call in outcomes.history] == list(kinds)
    assert run.task("dynamic").name == "found_at_run_time"


async def test_calls_tell_who_asked_with_what_and_when() -> None:
    retried = task(
        "a", inputParameters={"x": "${workflow.input.x}"},
        taskDefinition={"name": "a", "retryCount": 1, "retryDelaySeconds": 30},
    )  # fmt: skip
    outcomes = Outcomes({"a": [Outcome.delayed(2, Outcome.fail()), {}]})
    run = await run_definition(workflow(retried), {"x": [1]}, outcomes=outcomes)

    assert [(c.ref, c.task, c.input, c.attempt, c.at) for c in outcomes.calls["a"]] == [
        ("a", "a", {"x": [1]}, 1, 0),
        ("a", "a", {"x": [1]}, 2, 32),
    ]
    assert {call.execution_id for call in outcomes.history} == {run.execution_id}


async def test_iterations_are_answered_by_exact_reference_first() -> None:
    outcomes = Outcomes({"poll__2": {"second": True}, "poll": lambda given: {"second": False}})
    run = await run_definition(workflow(loop("again", 3, task("poll"))), outcomes=outcomes)

    assert [(t.ref, t.iteration, t.output["second"]) for t in run.attempts("poll")] == [
        ("poll__1", 1, False), ("poll__2", 2, True), ("poll__3", 3, False),
    ]  # fmt: skip
    assert run.task("poll__2").plain_ref == "poll"


async def test_functions_run_for_real_unless_they_have_an_outcome_of_their_own() -> None:
    with af.Workflow("functions") as built:
        first = double.node("first", n=1)
        second = double.node("second", n=first.output.result)
        built >> first >> second
    run = await run_definition(built, outcomes=Outcomes({"second": {"result": 40}}, default=Outcome.fail()))

    assert [task.output for task in run.tasks] == [{"result": 2}, {"result": 40}]


async def test_what_is_live_is_carried_out_unless_it_has_an_outcome(tmp_path: Path) -> None:
    real, scripted = (
        task(ref, "COMMAND", inputParameters={"executable": "echo", "args": ["truly"]})
        for ref in ("real", "scripted")
    )
    run = await run_definition(
        workflow(real, scripted),
        outcomes={"scripted": {"stdout": "as scripted"}},
        live=["COMMAND"],
        settings=EngineSettings(commands=CommandPolicy(enabled=True, root=None)),
    )

    assert run.status == "COMPLETED", run.reason
    assert str(run.task("real").output["stdout"]).strip() == "truly"
    assert run.task("scripted").output == {"stdout": "as scripted"}


async def test_output_and_input_are_copies() -> None:
    kept: list[JsonObject] = []

    def keep(given: JsonObject) -> JsonObject:
        kept.append(given)
        given["changed"] = True
        return given

    run = await run_definition(
        workflow(task("a", inputParameters={"x": "${workflow.input}"})), {"n": 1}, outcomes={"a": keep}
    )
    kept[0]["later"] = True

    assert run.task("a").input == {"x": {"n": 1}}
    assert run.task("a").output == {"x": {"n": 1}, "changed": True}


async def test_async_complete_task_is_answered_twice() -> None:
    twice = task("h", "HTTP", inputParameters=HTTP, asyncComplete=True)
    outcomes = Outcomes({"h": [{"accepted": True}, {"done": True}]})
    run = await run_definition(workflow(twice), outcomes=outcomes)

    assert run.status == "COMPLETED"
    assert run.task("h").output["done"] is True
    assert len(outcomes.calls["h"]) == 2


async def test_worker_in_progress_is_called_again_when_it_asked_for_it() -> None:
    outcomes = Outcomes({"a": [Outcome.in_progress({"part": 1}, again_after=40), {"part": 2}]})
    run = await run_definition(workflow(task("a")), outcomes=outcomes)

    assert (run.duration, run.output) == (40, {"part": 2})
    assert [call.at for call in outcomes.history] == [0, 40]


async def test_worker_that_stays_in_progress_leaves_the_execution_running() -> None:
    patient = task("a", taskDefinition={"name": "a", "responseTimeoutSeconds": 0})
    run = await run_definition(workflow(patient), outcomes={"a": Outcome.in_progress({"part": 1})})

    assert (run.status, run.task("a").status, run.task("a").output) == ("RUNNING", "IN_PROGRESS", {"part": 1})


async def test_attempt_that_is_queued_and_takes_time_shows_both() -> None:
    run = await run_definition(workflow(task("a")), outcomes={"a": Outcome(queued=3, after=4)})

    assert (run.task("a").scheduled, run.task("a").started, run.task("a").ended) == (0, 3, 7)


async def test_outcome_of_an_attempt_that_was_cancelled_changes_nothing() -> None:
    async with VirtualEngine(outcomes={"a": Outcome.delayed(60, Outcome.complete({"late": True}))}) as engine:
        execution = await engine.begin(workflow(task("a")))
        await engine.clock.advance(1)
        await execution.cancel("no longer needed")
        await engine.clock.advance(100)
        run = await engine.picture(execution)

    assert (run.status, run.task("a").status, run.task("a").output) == ("TERMINATED", "CANCELED", {})


async def test_commands_between_find_time_standing() -> None:
    async with VirtualEngine(outcomes=Outcomes(default={})) as engine:
        execution = await engine.begin(workflow(task("a"), task("w", "WAIT"), task("b")))
        run = await engine.finish(execution, until=lambda state: "w" in state.by_ref)
        await execution.set_variables(seen=True)
        run = await engine.finish(execution)

    assert (run.status, run.variables, run.duration) == ("COMPLETED", {"seen": True}, 0)


# --- children -----------------------------------------------------------------------------------


async def test_registered_child_runs_and_is_answered_from_the_same_table() -> None:
    body = workflow(task("work"), name="inner", outputParameters={"got": "${work.output.n}"})
    parent = workflow(child("sub", "inner"), name="outer")
    run = await run_definition(parent, registered=[body], outcomes={"work": {"n": 5}})

    assert run.output["got"] == 5
    assert run.child("sub").task("work").output == {"n": 5}
    assert [each.name for each in run.family()] == ["outer", "inner"]


async def test_children_have_tables_of_their_own() -> None:
    body = workflow(task("work"), name="inner")
    parent = workflow(child("one", "inner"), child("two", "inner"), child("three", "inner"), name="outer")
    run = await run_definition(
        parent,
        registered=[body],
        outcomes={"work": {"by": "parent"}},
        sub_outcomes={"one": {"work": {"by": "one"}}, "two": Outcomes({"work": {"by": "two"}})},
    )
    by = {ref: run.child(ref).task("work").output["by"] for ref in ("one", "two", "three")}

    assert by == {"one": "one", "two": "two", "three": "parent"}


async def test_child_that_is_not_registered_is_answered_whole() -> None:
    outcomes = Outcomes({"sub": lambda given: {"sum": given["a"] + 1}})  # type: ignore[operator]
    run = await run_definition(workflow(child("sub", "elsewhere", a=41), name="outer"), outcomes=outcomes)

    assert run.output["sum"] == 42
    assert [(call.ref, call.input) for call in outcomes.calls["sub"]] == [("sub", {"a": 41})]


async def test_child_answered_whole_may_fail() -> None:
    run = await run_definition(
        workflow(child("sub", "elsewhere")), outcomes={"elsewhere": Outcome.fail_terminally("over there")}
    )

    assert run.status == "FAILED"
    assert "over there" in (run.reason or "")


async def test_child_that_is_nowhere_is_refused_at_the_start() -> None:
    with pytest.raises(NotFound, match="elsewhere"):
        await run_definition(workflow(child("sub", "elsewhere")))


async def test_failure_workflow_is_among_the_runs() -> None:
    repair = workflow(task("mend"), name="repair")
    broken = workflow(task("a"), failureWorkflow="repair")
    run = await run_definition(
        broken, registered=[repair], outcomes={"a": Outcome.fail_terminally(), "mend": {}}
    )

    assert [(other.name, other.status) for other in run.others] == [("repair", "COMPLETED")]


# --- nobody answers -----------------------------------------------------------------------------


async def test_task_without_outcome_is_named_with_what_nothing_asked_for() -> None:
    with pytest.raises(
        Unanswered, match=r"task fetch \(SIMPLE fetch, attempt 1\) of workflow tested"
    ) as told:
        await run_definition(workflow(task("fetch")), outcomes={"fech": {}})

    assert "nothing asked for: fech" in str(told.value)


@pytest.mark.parametrize("kind", ["HTTP", "HUMAN", "WAIT", "COMMAND"])
async def test_no_kind_of_task_is_left_hanging(kind: str) -> None:
    given = {"HTTP": HTTP, "COMMAND": COMMAND}.get(kind, {})
    with pytest.raises(Unanswered, match=rf"task a \({kind}"):
        await run_definition(workflow(task("a", kind, inputParameters=given)))


async def test_used_up_mocks_stop_the_run_where_that_is_wanted() -> None:
    mocks = Outcomes.from_mocks({"a": [{"status": "FAILED"}]})
    retried = task("a", taskDefinition={"name": "a", "retryCount": 3, "retryDelaySeconds": 10})
    run = await run_definition(workflow(retried), outcomes=mocks, on_unanswered="stop")

    assert (run.status, run.unanswered, run.duration) == ("RUNNING", ["a"], 10)
    assert [task.status for task in run.tasks] == ["FAILED", "SCHEDULED"]


async def test_task_that_waits_in_vain_meets_its_timeouts_where_that_is_wanted() -> None:
    lonely = task("a", taskDefinition={"name": "a", "retryCount": 0, "pollTimeoutSeconds": 50})
    run = await run_definition(workflow(lonely), on_unanswered="wait")

    assert (run.status, run.task("a").ended) == ("TIMED_OUT", 50)


async def test_run_ends_after_so_many_seconds() -> None:
    run = await run_definition(workflow(task("w", "WAIT", inputParameters={"duration": "1 days"})), until=60)

    assert (run.status, run.duration) == ("RUNNING", 60)
    assert [entry["task"] for entry in run.waiting] == ["w"]


# --- what can be run ----------------------------------------------------------------------------


async def test_file_of_json_or_yaml_is_run(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps(workflow(task("a"))))
    (tmp_path / "a.yaml").write_text("name: y\nschemaVersion: 2\ntasks:\n- {name: a, taskReferenceName: a}\n")

    assert (await run_definition(tmp_path / "a.json", outcomes={"a": {}})).name == "tested"
    assert (await run_definition(tmp_path / "a.yaml", outcomes={"a": {}})).name == "y"


async def test_registered_task_definition_gives_its_policy() -> None:
    run = await run_definition(
        workflow(task("a")),
        registered=[{"name": "a", "retryCount": 1, "retryDelaySeconds": 7}],
        outcomes={"a": Outcome.fail()},
    )

    assert [task.started for task in run.attempts("a")] == [0, 7]


async def test_definition_that_is_wrong_is_refused() -> None:
    with pytest.raises(DefinitionError, match="taskReferenceName"):
        await run_definition(workflow(task("a"), task("a")))
    with pytest.raises(InvalidInput, match="is a task definition"):
        await run_definition({"name": "only_a_task"})


async def test_missing_task_of_a_run_is_told_with_those_there_are() -> None:
    chosen = switch("s", "${workflow.input.on}", {"left": [task("l")]}, [task("r")])
    run = await run_definition(workflow(chosen), {"on": "left"}, outcomes=Outcomes(default={}))

    with pytest.raises(LookupError, match="task r was never scheduled; these were: s, l"):
        run.task("r")
    with pytest.raises(LookupError, match="no child"):
        run.child("s")


async def test_ten_thousand_tasks_are_answered_in_one_round_each() -> None:
    """Work is proportional to what is new: a wide fork costs as many look-ups as it has branches."""
    fork = task(
        "f", "FORK_JOIN_DYNAMIC", forkTaskName="work", inputParameters={
            "forkTaskName": "work", "forkTaskInputs": "${workflow.input.all}",
        },
    )  # fmt: skip
    all_of_them: JsonObject = {"all": [{"n": n} for n in range(10_000)]}
    outcomes = Outcomes({"work": lambda given: Outcome.delayed(given["n"])})  # type: ignore[arg-type]
    run = await run_definition(workflow(fork, task("j", "JOIN")), all_of_them, outcomes=outcomes)

    assert run.status == "COMPLETED"
    assert len(run.tasks) == 10_002
    assert run.duration == 9_999


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outcome": {}}, "there is no option outcome; there are outcomes,"),
        ({"on_unanswered": "skip"}, "one of"),
    ],
)
async def test_options_that_do_not_exist_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        await run_definition({"name": "w", "schemaVersion": 2, "tasks": []}, **options)
