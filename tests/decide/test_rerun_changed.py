"""What a smart rerun redoes and what it reuses, shape by shape: chains, forks, loops, choices, children."""

from __future__ import annotations

import pytest

from asyncflow.decide.rerun_plan import RerunRequest, command_of, plan_rerun
from asyncflow.errors import Conflict, InvalidInput, Refused
from asyncflow.ids import attempt_token
from asyncflow.model.inputs import AttemptAdmitted, AttemptEnded, RerunChanged
from asyncflow.model.values import JsonObject, JsonValue
from asyncflow.testing.pure import World
from asyncflow.testing.states import differences
from tests.decide.job_cases import accept, begun, over
from tests.decide.reopening_support import child_id, fork, loop, rows, simple, sub, switch, system, workflow
from tests.decide.rerun_support import Rerun, actions, another, reasons, redone


def given(ref: str, **inputs: JsonValue) -> JsonObject:
    return {**simple(ref), "inputParameters": inputs}


def outputs_fork(ref: str, names: JsonValue) -> list[JsonObject]:
    """A fork with a branch for each element of a list."""
    forking = system(ref, "FORK_JOIN_DYNAMIC", forkTaskName="branch", forkTaskInputs=names)
    return [forking, {"name": f"{ref}_join", "taskReferenceName": f"{ref}_join", "type": "JOIN"}]


KEYS = workflow(
    "keys",
    given("fetch", url="${workflow.input.url}"),
    given("parse", text="${fetch.output.of}"),
    given("mail", to="${workflow.input.to}"),
)
URLS: JsonObject = {"url": "u", "to": "me"}


def test_a_key_redoes_who_reads_it_and_what_that_alters() -> None:
    made = Rerun(KEYS, URLS)

    assert made.change("input:to=you") == ["mail"]
    assert made.change("input:url=v") == ["fetch", "mail", "parse"]
    assert made.change("input:url=v") == []  # it is that already
    assert made.state.input == {"url": "v", "to": "you"}
    assert made.state.status == "COMPLETED"


def test_each_task_says_why_before_anything_runs() -> None:
    made = Rerun(KEYS, URLS)
    before = len(made.world.journal[made.state.execution_id])

    assert reasons(made.plan("input:url=v")) == {
        "fetch": "changed input key url",
        "parse": "depends on fetch",
        "mail": "follows parse",
    }
    assert actions(made.plan("input:to=you")) == {"fetch": "reuse", "parse": "reuse", "mail": "redo"}
    assert len(made.world.journal[made.state.execution_id]) == before


@pytest.mark.parametrize(
    ("selector", "expected"),
    [
        ("ref:mail", ["mail"]),
        ("ref=mail", ["mail"]),
        ("process.name=mail", ["mail"]),
        ("name:parse", ["mail", "parse"]),
        ("type:SIMPLE", ["fetch", "mail", "parse"]),
        ("data:text", ["mail", "parse"]),
        ("data:of", ["mail", "parse"]),
        ("input:to", ["mail"]),
        ("path:$.to=you", ["mail"]),
        ("path:to", ["mail"]),
    ],
)
def test_every_selector_means_its_tasks(selector: str, expected: list[str]) -> None:
    made = Rerun(KEYS, URLS)

    assert redone(made.plan(selector)) == expected


def test_a_path_reaches_only_who_reads_there() -> None:
    tasks = (
        given("x", v="${workflow.input.a.x}"),
        given("y", v="${workflow.input.a.y}"),
        given("all", v="${workflow.input}"),
        given("list", v="${workflow.input.many[1]}"),
    )
    made = Rerun(workflow("deep", *tasks), {"a": {"x": 1, "y": 2}, "many": [1, 2]})
    plan = made.plan("path:$.a.y=3", cut_off="inputs")

    assert {ref for ref, why in reasons(plan).items() if "changed" in why and "nothing" not in why} == {
        "y",
        "all",
    }
    assert reasons(plan)["all"] == "changed input $.a.y (it reads the whole of what holds it)"
    assert made.apply(plan) == ["all", "y"]
    assert made.change("path:$.many[1]=5", cut_off="inputs") == ["all", "list"]
    assert made.state.input == {"a": {"x": 1, "y": 3}, "many": [1, 5]}


def test_a_place_known_only_at_run_time_is_read_by_who_computes_it() -> None:
    tasks = (given("a", v="${workflow.input.${workflow.input.which}}"), given("b", v="${workflow.input.q}"))
    made = Rerun(workflow("computed", *tasks), {"which": "p", "p": 1, "q": 2})
    plan = made.plan("input:p=7")

    assert reasons(plan)["a"] == "changed input key p (it reads a place that is known only at run time)"
    assert made.change("input:p=7", cut_off="inputs") == ["a"]


@pytest.mark.parametrize("completed", ["keep", "redo", "ask-per-task"])
@pytest.mark.parametrize("shape", ["linear", "fork", "loop", "child"])
def test_finished_tasks_are_kept_redone_or_asked_about(shape: str, completed: str) -> None:
    """C77: for each shape, with a task at the end that failed."""
    inner = workflow("inner", given("deep"))
    tasks: list[JsonObject] = {
        "linear": [given("a"), given("b")],
        "fork": fork("f", [given("a")], [given("b")]),
        "loop": [loop("l", given("a"), given("b"))],
        "child": [sub("a", "inner"), given("b")],
    }[shape]
    made = Rerun(workflow("shape", *tasks, simple("last")), others=(inner,), fails={"last"})
    made.fails.clear()
    done = ["a__1", "a__2", "b__1", "b__2"] if shape == "loop" else ["a", "b"]
    plan = made.plan(completed=completed)
    assert reasons(plan)["last"] == "failed"
    chosen: dict[str, str] = {}
    if completed == "ask-per-task":
        assert [actions(plan)[ref] for ref in done] == ["ask"] * len(done)
        with pytest.raises(InvalidInput, match="to be chosen"):
            command_of(plan, {})
        chosen = {done[0]: "redo", **dict.fromkeys(done[1:], "reuse")}
    else:
        assert {actions(plan)[ref] for ref in done} == {"reuse" if completed == "keep" else "redo"}
    ran = made.apply(plan, chosen)

    again = {"keep": [], "redo": done, "ask-per-task": done[:1]}[completed]
    expected = ["deep" if each == "a" and shape == "child" else each for each in again]
    assert ran == sorted([*expected, "last"])
    assert made.state.status == "COMPLETED"


def test_an_end_is_an_end_again() -> None:
    stop = system("stop", "TERMINATE", terminationStatus="FAILED", terminationReason="${a.output.v}")
    made = Rerun(workflow("w", given("a"), stop), outcome=lambda task: {"v": 1})

    assert made.change() == []
    assert (made.state.status, made.state.reason) == ("FAILED", "1")
    assert made.change("ref:a", outcome=lambda task: {"v": 2}) == ["a"]
    assert (made.state.status, made.state.reason) == ("FAILED", "2")


def test_a_branch_is_redone_and_its_siblings_are_not() -> None:
    branches = fork("f", [given("a1", v="${workflow.input.v}"), given("a2")], [given("b1"), given("b2")])
    made = Rerun(workflow("forked", *branches, given("end", all="${f_join.output}")), {"v": 1})

    assert made.change("ref:a1") == ["a1"]
    assert made.change("ref:a1", cut_off="none") == ["a1", "a2", "end"]
    assert made.change("ref:a1", outcome=another) == ["a1", "a2", "end"]
    assert rows(made.state)[0] == "f C"


def test_one_branch_of_many_is_redone() -> None:
    made = Rerun(
        workflow("many", *outputs_fork("f", "${workflow.input.list}")),
        {"list": [{"n": n} for n in range(50)]},
    )
    number = made.state.by_ref["_f_7"].number if "_f_7" in made.state.by_ref else 0
    ref = next(each for each in made.state.by_ref if each.endswith("_7"))
    plan = made.plan(f"ref:{ref}")

    assert redone(plan) == [ref]
    assert made.apply(plan) == [ref]
    assert made.state.by_ref[ref].number == number or number == 0


def test_a_list_with_one_element_changed_redoes_that_branch() -> None:
    elements: list[JsonValue] = [{"n": n} for n in range(10)]
    made = Rerun(
        workflow("many", *outputs_fork("f", "${workflow.input.list}"), given("end", all="${f_join.output}")),
        {"list": elements},
    )
    changed = made.change("path:$.list[3].n=99")

    assert len(changed) == 2
    assert changed[0].endswith("_3")
    assert changed[1] == "end"
    assert made.state.status == "COMPLETED"


def test_a_longer_list_runs_only_what_is_new() -> None:
    made = Rerun(
        workflow("many", *outputs_fork("f", "${workflow.input.list}")), {"list": [{"n": 1}, {"n": 2}]}
    )

    assert [ref[-2:] for ref in made.change('input:list=[{"n": 1}, {"n": 2}, {"n": 3}]')] == ["_2"]
    assert len(made.state.tasks) == 5


def test_a_loop_goes_back_to_the_iteration_and_no_further() -> None:
    made = Rerun(workflow("looped", given("a"), loop("l", given("i"), given("j"), times=3), given("end")))

    assert made.change("ref:i__2") == ["i__2"]
    assert made.change("ref:i__2", cut_off="none") == ["end", "i__2", "i__3", "j__2", "j__3"]
    assert rows(made.state)[-1] == "end C"


def test_a_choice_that_takes_another_case_schedules_what_never_ran() -> None:
    cases = switch("sw", "${workflow.input.to}", one=[given("o")], two=[given("t")])
    made = Rerun(workflow("chosen", given("a"), cases, given("end")), {"to": "one"})

    assert made.change("input:to=two") == ["end", "t"]
    assert rows(made.state) == ["a C", "sw C", "t C", "end C"]


def test_a_choice_that_takes_the_same_case_keeps_it() -> None:
    cases = switch("sw", "${a.output.to}", one=[given("o")], two=[given("t")])
    made = Rerun(workflow("chosen", given("a"), cases, given("end")), outcome=lambda task: {"to": "one"})

    assert made.change("ref:a") == ["a"]
    assert made.change("ref:a", outcome=lambda task: {"to": "one", "more": 1}, cut_off="inputs") == ["a"]


def test_a_child_is_kept_or_begun_anew() -> None:
    inner = workflow("inner", given("deep"), outputParameters={"v": "${deep.output.of}"})
    made = Rerun(
        workflow("p", given("a"), sub("s", "inner"), given("end", v="${s.output.v}")), others=(inner,)
    )
    first = child_id(made.state, "s")

    assert made.change("ref:a") == ["a"]
    assert child_id(made.state, "s") == first
    assert made.change("ref:s") == ["deep"]  # another child with the same output
    assert child_id(made.state, "s") != first


def test_variables_are_data_and_are_as_they_were() -> None:
    tasks = (
        system("first", "SET_VARIABLE", x=1),
        given("a", key="${workflow.input.k}"),
        given("b", x="${workflow.variables.x}"),
        system("second", "SET_VARIABLE", x="${a.output.x}"),
        given("c", x="${workflow.variables.x}"),
    )
    outcome = {"x": 2}
    made = Rerun(workflow("vars", *tasks), {"k": 1}, outcome=lambda task: dict(outcome))

    assert made.state.variables == {"x": 2}
    assert made.change("ref:a") == ["a"]
    assert made.state.by_ref["b"].input == {"x": 1}
    outcome["x"] = 3
    assert made.change("ref:a", cut_off="inputs") == ["a", "c"]
    assert made.state.variables == {"x": 3}
    assert made.state.by_ref["c"].input == {"x": 3}


def test_an_output_that_shows_nothing_spares_nobody() -> None:
    made = Rerun(workflow("silent", given("a"), given("b")), outcome=lambda task: {})

    assert made.change("ref:a") == ["a", "b"]


def test_a_rerun_that_fails_loses_no_result() -> None:
    made = Rerun(
        workflow("w", given("a"), given("b"), given("c", v="${a.output.v}")), outcome=lambda task: {"v": 1}
    )
    made.world.send(made.state.execution_id, command_of(made.plan("ref:a"), {}))
    made.world.fail(made.state, "a")
    assert (made.state.status, rows(made.state)) == ("FAILED", ["a F"])
    made.world.retry(made.state)

    assert made.go_on() == ["a"]
    assert rows(made.state) == ["a F*", "a C", "b C", "c C"]
    assert made.state.memo is None
    assert differences(made.state, made.world.fold(made.state.execution_id)) == []


def test_what_a_second_change_meets_is_not_what_the_first_left_half_done() -> None:
    """`b` ran with another result before `x` failed; what follows it was held against neither."""
    tasks = (given("a"), *fork("f", [given("b"), given("c")], [given("x")]), given("end"))
    made = Rerun(workflow("w", *tasks))
    made.world.send(made.state.execution_id, command_of(made.plan("ref:b", "ref:x"), {}))
    made.world.end(made.state, "b", {"other": 1})
    made.world.fail(made.state, "x")
    assert made.state.status == "FAILED"
    ran = made.change("ref:a")

    assert {"a", "x", "c"} <= set(ran)
    assert made.state.status == "COMPLETED"


def test_what_cannot_be_is_refused() -> None:
    made = Rerun(workflow("w", given("a"), given("b")))
    plan = made.plan("ref:a")
    seq, epoch, identity = plan.seq, plan.epoch, made.state.execution_id
    with pytest.raises(Conflict):
        made.world.send(identity, RerunChanged(epoch, seq - 1, [], []))
    with pytest.raises(Conflict):
        made.world.send(identity, RerunChanged(epoch + 1, seq, [], []))
    with pytest.raises(InvalidInput):
        made.world.send(identity, RerunChanged(epoch, seq, [77], []))
    with pytest.raises(InvalidInput):
        made.world.send(identity, RerunChanged(epoch, seq, [], ["nobody"]))
    with pytest.raises(InvalidInput):
        made.world.send(identity, RerunChanged(epoch, seq, [], [], "sometimes"))
    made.world.rerun(made.state, "b")
    with pytest.raises(Refused):
        made.world.send(identity, RerunChanged(made.state.epoch, made.state.seq, [], []))
    with pytest.raises(Refused):
        made.plan("ref:a")


def test_a_redone_job_is_a_new_job_with_a_new_token() -> None:
    made, state, job = begun()
    over(made, state, job)
    number = state.by_ref["a"].number
    plan = plan_rerun(state, RerunRequest(("ref:a",)))
    made.send(state.execution_id, command_of(plan, {}))
    again = accept(made, state, "a")
    tokens = [
        attempt_token("i", "x", each.ref, attempt=each.serial, epoch=each.origin.epoch)
        for each in (job, again)
    ]

    assert (again.number, state.by_ref["a"].number) == (number, number)
    assert tokens[0] != tokens[1]
    assert again.origin.epoch == job.origin.epoch + 1
    over(made, state, again)
    assert state.status == "COMPLETED"


def test_a_code_version_of_workers_is_selected_whether_or_not_it_is_pinned() -> None:
    world = World()
    state = world.start(workflow("w", simple("a"), simple("b"), simple("c")))
    for ref, version in (("a", "v1"), ("b", "v2"), ("c", "unversioned")):
        number = state.by_ref[ref].number
        world.send(state.execution_id, AttemptAdmitted(number, version=version))
        world.send(state.execution_id, AttemptEnded(number, "COMPLETED", {"ref": ref}))

    plan = plan_rerun(state, RerunRequest(("version:v2",)))

    assert actions(plan) == {"a": "reuse", "b": "redo", "c": "redo"}
    assert reasons(plan)["b"] == "changed code version v2"
    with pytest.raises(InvalidInput, match="version:unversioned"):
        plan_rerun(state, RerunRequest(("version:unversioned",)))
    assert not state.worker_version
