"""SWITCH, DECISION and EXCLUSIVE_JOIN: case values, empty lists, scripts, what is taken."""

from __future__ import annotations

import pytest

from asyncflow.model.state import ExecutionState
from tests.decide.definitions import Json, switch, task, workflow, world


def refs(state: ExecutionState) -> list[str]:
    return [record.ref for record in state.tasks.values()]


def scripted(expression: str, cases: dict[str, list[Json]], kind: str = "SWITCH") -> Json:
    made = {**switch("s", 1, cases, [task("d")]), "type": kind}
    return {**made, "evaluatorType": "javascript", "expression": expression, "caseExpression": expression}


@pytest.mark.parametrize(
    ("value", "case"),
    [
        (1, "1"),
        (1.5, "1.5"),
        (True, "true"),
        (None, "null"),
        ("x", "x"),
        ([1, "a"], "[1, a]"),
        ({"k": None}, "{k=null}"),
    ],
)
def test_case_value_is_text_as_java_writes_it(value: object, case: str) -> None:
    made = world()
    chosen = switch("s", "${workflow.input.v}", {case: [task("a")]}, [task("d")])
    state = made.start(workflow(chosen), {"v": value})

    assert refs(state) == ["s", "a"]
    record = made.task(state, "s")
    assert record.output == {"evaluationResult": [case], "selectedCase": case}
    assert record.input["case"] == case
    assert record.input["hasChildren"] == "true"


@pytest.mark.parametrize("kind", ["SWITCH", "DECISION"])
def test_unknown_case_takes_the_default(kind: str) -> None:
    made = world()
    chosen = {**switch("s", "z", {"x": [task("a")]}, [task("d")]), "type": kind, "caseValueParam": "on"}
    state = made.start(workflow(chosen, task("b")))

    assert refs(state) == ["s", "d"]


@pytest.mark.parametrize("kind", ["SWITCH", "DECISION"])
def test_unknown_case_without_a_default_goes_on_behind(kind: str) -> None:
    made = world()
    chosen = {**switch("s", "z", {"x": [task("a")]}), "type": kind, "caseValueParam": "on"}
    state = made.start(workflow(chosen, task("b")))

    assert refs(state) == ["s", "b"]
    assert "hasChildren" not in made.task(state, "s").input


@pytest.mark.parametrize(
    ("kind", "value", "cases", "taken"),
    [
        ("SWITCH", "", {"": [task("e")]}, "e"),
        ("SWITCH", "x", {"": [task("e")]}, "d"),
        ("DECISION", "", {"": [task("e")]}, "e"),
        ("DECISION", "", {"": []}, "d"),
    ],
)
def test_case_named_by_an_empty_text_is_not_the_default(
    kind: str, value: str, cases: dict[str, list[Json]], taken: str
) -> None:
    made = world()
    chosen = {**switch("s", value, cases, [task("d")]), "type": kind, "caseValueParam": "on"}
    state = made.start(workflow(chosen, task("b")))
    made.end(state, taken)

    assert refs(state) == ["s", taken, "b"]


def test_empty_case_of_a_switch_takes_no_branch() -> None:
    made = world()
    state = made.start(workflow(switch("s", "x", {"x": []}, [task("d")]), task("b")))

    assert refs(state) == ["s", "b"]


def test_empty_case_of_a_decision_falls_back_to_the_default() -> None:
    made = world()
    chosen = {**switch("s", "x", {"x": []}, [task("d")]), "type": "DECISION", "caseValueParam": "on"}
    state = made.start(workflow(chosen, task("b")))

    assert refs(state) == ["s", "d"]
    assert made.task(state, "s").output == {"caseOutput": ["x"]}


def test_tasks_of_a_case_follow_each_other_then_comes_what_is_behind() -> None:
    made = world()
    inner = switch("t", "y", {"y": [task("b"), task("c")]})
    state = made.start(workflow(switch("s", "x", {"x": [task("a"), inner]}), task("z")))
    for ref in ("a", "b", "c", "z"):
        made.end(state, ref)

    assert refs(state) == ["s", "a", "t", "b", "c", "z"]
    assert state.status == "COMPLETED"


def test_script_chooses_the_case() -> None:
    made = world()
    state = made.start(workflow(scripted("$.on", {"1": [task("a")]})))

    assert refs(state) == ["s", "a"]


def test_script_error_of_a_switch_fails_its_task() -> None:
    made = world()
    state = made.start(workflow(scripted("throw oh", {"1": [task("a")]})))

    assert made.task(state, "s").status == "FAILED"
    assert state.status == "FAILED"
    assert "oh" in str(state.reason)


def test_script_error_of_an_optional_switch_goes_on_behind() -> None:
    made = world()
    state = made.start(workflow({**scripted("throw oh", {"1": [task("a")]}), "optional": True}, task("b")))

    assert made.task(state, "s").status == "COMPLETED_WITH_ERRORS"
    assert refs(state) == ["s", "b"]


def test_script_error_of_a_decision_ends_the_execution_without_a_failed_record() -> None:
    made = world()
    tolerant = {**scripted("throw oh", {"1": [task("a")]}, "DECISION"), "optional": True}
    tolerant["caseValueParam"] = None
    state = made.start(workflow(tolerant, task("b")))

    assert state.status == "FAILED"
    assert made.task(state, "s").status == "CANCELED"


@pytest.mark.parametrize("evaluator", ["python", "ruby"])
def test_unknown_evaluator_fails_the_execution(evaluator: str) -> None:
    made = world()
    chosen = {**switch("s", 1, {"1": [task("a")]}), "evaluatorType": evaluator}
    state = made.start(workflow(chosen))

    assert state.status == "FAILED"
    assert "No evaluator registered for type" in str(state.reason)


def test_choice_not_taken_reads_as_null() -> None:
    made = world()
    chosen = switch("s", "x", {"x": [task("a")], "y": [task("b")]})
    state = made.start(workflow(chosen, task("c", inputParameters={"v": "${b.output.v}"})))
    made.end(state, "a")

    assert made.task(state, "c").input == {"v": None}


# --- EXCLUSIVE_JOIN -------------------------------------------------------------------------------


def exclusive(value: str, **options: object) -> Json:
    cases = {"x": [task("a", **options)], "y": [task("b")], "z": [task("n", "NOOP")]}
    join = task("e", "EXCLUSIVE_JOIN", joinOn=["a", "b"], defaultExclusiveJoinTask=["n", "s"])
    return workflow(switch("s", value, cases), join, task("after"))


@pytest.mark.parametrize(("value", "taken"), [("x", "a"), ("y", "b")])
def test_exclusive_join_takes_the_output_of_what_was_taken(value: str, taken: str) -> None:
    made = world()
    state = made.start(exclusive(value))
    made.end(state, taken, {"from": taken})

    assert made.task(state, "e").status == "COMPLETED"
    assert made.task(state, "e").output == {"from": taken}
    assert made.task(state, "after").status == "SCHEDULED"


def test_exclusive_join_falls_back_to_its_defaults_in_order() -> None:
    made = world()
    first = made.start(exclusive("z"))
    second = made.start(exclusive("other"))

    assert made.task(first, "e").output == {}
    assert made.task(second, "e").output == {"evaluationResult": ["other"], "selectedCase": "other"}


def test_exclusive_join_fails_as_its_permissive_member() -> None:
    made = world()
    state = made.start(exclusive("x", permissive=True, taskDefinition={"name": "a", "retryCount": 0}))
    made.fail(state, "a", "bad")

    assert made.task(state, "e").status == "FAILED"
    assert made.task(state, "e").reason == "bad"
    assert state.status == "FAILED"


def test_exclusive_join_without_anything_to_join_fails_by_name() -> None:
    made = world()
    state = made.start(workflow(task("e", "EXCLUSIVE_JOIN", joinOn=["nobody"])))

    assert state.status == "FAILED"
    assert "EXCLUSIVE_JOIN e waits for nobody" in str(state.reason)


def test_exclusive_joins_of_a_loop_leave_no_counts_behind() -> None:
    made = world()
    body = exclusive("x")["tasks"]
    assert isinstance(body, list)
    around = {**task("l", "DO_WHILE", loopCondition="$.l.iteration < 3"), "loopOver": body[:2]}
    state = made.start(workflow(around))
    for n in (1, 2, 3):
        made.end(state, f"a__{n}")

    assert state.status == "COMPLETED"
    assert state.joins == {}
