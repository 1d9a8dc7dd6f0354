"""Branch coverage of a definition: what counts, what runs come past, what is asked for."""

from __future__ import annotations

import pytest

from asyncflow.errors import InvalidInput
from asyncflow.model.values import JsonObject
from asyncflow.testing.coverage import BranchCoverage, NotCovered
from asyncflow.testing.kit import run_definition
from asyncflow.testing.outcomes import Outcome, Outcomes
from asyncflow.testing.runs import TestRun
from tests.testing.making import child, loop, switch, task, workflow

CHOICE = workflow(
    switch(
        "s", "${workflow.input.on}", {"left": [task("l")], "right": [task("r")]},
        [task("stop", "TERMINATE", inputParameters={"terminationStatus": "FAILED"})],
    ),
    task("after"),
)  # fmt: skip


async def completed(definition: JsonObject, given: JsonObject | None = None, **table: object) -> TestRun:
    return await run_definition(definition, given, outcomes=Outcomes(table, default={}))  # type: ignore[arg-type]


def missing(coverage: BranchCoverage) -> list[str]:
    return [str(point) for point in coverage.missing]


def test_nothing_is_covered_before_a_run() -> None:
    coverage = BranchCoverage(CHOICE)

    assert len(coverage.missing) == len(coverage.points) == 8
    assert coverage.percent == 0


async def test_cases_and_tasks_are_covered_run_by_run() -> None:
    coverage = BranchCoverage(CHOICE)
    coverage.add(await completed(CHOICE, {"on": "left"}))
    assert missing(coverage) == ["s: case 'right'", "s: default", "r: scheduled", "stop: scheduled"]
    coverage.add(await completed(CHOICE, {"on": "right"}), await completed(CHOICE, {"on": "neither"}))

    assert missing(coverage) == []
    assert coverage.percent == 100


async def test_case_without_a_list_of_its_own_counts_where_no_default_is() -> None:
    choice = workflow(switch("s", "${workflow.input.on}", {"left": [task("l")]}, []))
    coverage = BranchCoverage(choice)
    coverage.add(await completed(choice, {"on": "left"}))
    assert missing(coverage) == ["s: no case"]
    coverage.add(await completed(choice, {"on": "up"}))

    assert missing(coverage) == []


async def test_decision_counts_as_switch_does() -> None:
    decision = task(
        "d", "DECISION", caseValueParam="on", inputParameters={"on": "${workflow.input.on}"},
        decisionCases={"a": [task("x")]},
    )  # fmt: skip
    coverage = BranchCoverage(workflow(decision))
    coverage.add(await completed(workflow(decision), {"on": "a"}))

    assert missing(coverage) == ["d: no case"]


@pytest.mark.parametrize(("times", "left"), [(1, ["again: more iterations"]), (3, ["again: one iteration"])])
async def test_loops_count_by_their_iterations(times: int, left: list[str]) -> None:
    repeated = workflow(loop("again", times, task("body")))
    coverage = BranchCoverage(repeated)
    coverage.add(await completed(repeated))

    assert missing(coverage) == left


async def test_loop_over_a_list_may_have_no_iteration() -> None:
    each = workflow(
        task("each", "DO_WHILE", items="${workflow.input.all}", loopCondition="", loopOver=[task("body")])
    )
    coverage = BranchCoverage(each)
    coverage.add(await completed(each, {"all": []}), await completed(each, {"all": [1]}))

    assert missing(coverage) == ["each: more iterations"]


async def test_dynamic_fork_counts_with_and_without_branches() -> None:
    fork = task(
        "f", "FORK_JOIN_DYNAMIC", inputParameters={
            "forkTaskName": "work", "forkTaskInputs": "${workflow.input.all}",
        },
    )  # fmt: skip
    wide = workflow(fork, task("j", "JOIN"))
    coverage = BranchCoverage(wide)
    coverage.add(await completed(wide, {"all": [{"n": 1}]}))

    assert missing(coverage) == ["f: no branch"]


RETRIED = task("a", taskDefinition={"name": "a", "retryCount": 1, "retryDelaySeconds": 1}, optional=True)


async def test_retries_and_tolerated_failures_count() -> None:
    coverage = BranchCoverage(workflow(RETRIED))
    coverage.add(await completed(workflow(RETRIED)))
    assert missing(coverage) == ["a: tried again", "a: failed, and the flow went on"]
    coverage.add(await completed(workflow(RETRIED), a=[Outcome.fail(), {}]))
    assert missing(coverage) == ["a: failed, and the flow went on"]
    coverage.add(await completed(workflow(RETRIED), a=Outcome.fail_terminally()))

    assert missing(coverage) == []


async def test_retries_of_registered_task_definitions_count_once_a_run_shows_them() -> None:
    coverage = BranchCoverage(workflow(task("a")))
    assert missing(coverage) == ["a: scheduled"]
    registered: list[JsonObject] = [{"name": "a", "retryCount": 1}]
    coverage.add(await run_definition(workflow(task("a")), registered=registered, outcomes={"a": {}}))

    assert missing(coverage) == ["a: tried again"]


async def test_failure_workflow_counts() -> None:
    broken = workflow(task("a", retryCount=0), failureWorkflow="repair")
    repair = workflow(task("mend"), name="repair")
    coverage = BranchCoverage(broken)
    assert "tested: failure workflow started" in missing(coverage)
    coverage.add(
        await run_definition(broken, registered=[repair], outcomes={"a": Outcome.fail(), "mend": {}})
    )

    assert missing(coverage) == []


async def test_children_count_for_their_own_definition() -> None:
    inner = workflow(task("work"), name="inner")
    run = await run_definition(
        workflow(child("sub", "inner"), name="outer"), registered=[inner], outcomes={"work": {}}
    )
    coverage = BranchCoverage(inner)
    coverage.add(run)

    assert missing(coverage) == []


async def test_only_the_kinds_that_are_asked_for_count() -> None:
    coverage = BranchCoverage(CHOICE, kinds=["case"])
    coverage.add(await completed(CHOICE, {"on": "left"}))

    assert [str(point) for point in coverage.points] == ["s: case 'left'", "s: case 'right'", "s: default"]
    assert round(coverage.percent) == 33


async def test_report_names_what_is_missing_and_require_fails_with_it() -> None:
    coverage = BranchCoverage(CHOICE)
    coverage.add(await completed(CHOICE, {"on": "left"}))

    assert coverage.report().splitlines() == [
        "tested: 4 of 8 branches covered (50.0 %)",
        "  task       3 of 5",
        "  case       1 of 3",
        "  missing case     s: case 'right'",
        "  missing case     s: default",
        "  missing task     r: scheduled",
        "  missing task     stop: scheduled",
    ]
    coverage.require(fail_under=50)
    with pytest.raises(NotCovered, match=r"51 % are asked for\ntested: 4 of 8"):
        coverage.require(fail_under=51)


def test_task_definition_has_no_branches() -> None:
    with pytest.raises(InvalidInput, match="task definition"):
        BranchCoverage({"name": "only_a_task"})
