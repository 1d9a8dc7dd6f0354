"""FORK_JOIN: order of records, nesting, slices; JOIN: its table; forks wider than a turn."""

from __future__ import annotations

import pytest

from asyncflow.decide.gather import output_of
from asyncflow.decide.render import render_execution
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.definitions import Json, child, fork, loop, switch, task, workflow, world


def refs(state: ExecutionState) -> list[str]:
    return [record.ref for record in state.tasks.values()]


def statuses(state: ExecutionState) -> dict[str, str]:
    return {record.ref: record.status for record in state.tasks.values()}


def test_fork_makes_itself_all_branches_and_the_join_in_one_step() -> None:
    made = world()
    state = made.start(workflow(*fork("f", [task("a"), task("b")], [task("c")]), task("d")))

    assert statuses(state) == {"f": "COMPLETED", "a": "SCHEDULED", "c": "SCHEDULED", "f_join": "IN_PROGRESS"}
    assert refs(state) == ["f", "a", "c", "f_join"]


def test_join_waits_for_the_last_of_each_branch_and_gathers_outputs() -> None:
    made = world()
    state = made.start(workflow(*fork("f", [task("a"), task("b")], [task("c")]), task("d")))
    for ref in ("a", "c"):
        made.end(state, ref, {"from": ref})
    assert made.task(state, "f_join").status == "IN_PROGRESS"

    made.end(state, "b", {"from": "b"})

    assert made.task(state, "f_join").status == "COMPLETED"
    assert output_of(state, made.task(state, "f_join")) == {"b": {"from": "b"}, "c": {"from": "c"}}
    assert made.task(state, "d").status == "SCHEDULED"


def test_forks_in_forks_come_to_their_ends_inside_out() -> None:
    made = world()
    inner = fork("g", [task("a")], [task("b")])
    state = made.start(workflow(*fork("f", [*inner, task("c")], [task("d")])))

    assert refs(state) == ["f", "g", "a", "b", "g_join", "d", "f_join"]
    for ref in ("d", "a", "b"):
        made.end(state, ref)
    assert made.task(state, "g_join").status == "COMPLETED"
    made.end(state, "c")
    assert state.status == "COMPLETED"


def test_switch_in_a_branch_stands_beside_its_case() -> None:
    made = world()
    chosen = switch("s", 1, {"1": [task("a")]})
    state = made.start(workflow(*fork("f", [chosen], [task("b")], join=["a", "b"])))

    assert refs(state) == ["f", "s", "a", "b", "f_join"]


def test_loop_in_a_branch_has_its_body_after_the_join() -> None:
    made = world()
    state = made.start(workflow(*fork("f", [loop("l", task("a"))], [task("b")])))

    assert refs(state) == ["f", "l", "b", "f_join", "a__1"]


def test_branch_of_tasks_that_end_at_once_is_done_when_the_start_returns() -> None:
    made = world()
    state = made.start(workflow(*fork("f", [task("n", "NOOP"), task("m", "NOOP")], [task("o", "NOOP")])))

    assert state.status == "COMPLETED"


@pytest.mark.parametrize(
    "tasks",
    [
        [task("f", "FORK_JOIN", forkTasks=[[task("a")]])],
        [task("f", "FORK_JOIN", forkTasks=[[task("a")]]), task("b")],
        [task("f", "FORK_JOIN", forkTasks=[[task("a")]]), task("j", "EXCLUSIVE_JOIN", joinOn=["a"])],
        fork("f", [task("a")], []),
        fork("f"),
    ],
)
def test_fork_without_join_or_with_an_empty_branch_fails_the_execution(tasks: list[Json]) -> None:
    made = world()
    state = made.start(workflow(*tasks))

    assert state.status == "FAILED"
    assert state.open_count == 0
    assert "a" not in state.by_ref


def test_plain_failure_in_a_branch_fails_at_once_and_cancels_siblings() -> None:
    made = world("a")
    made.register_task(name="a", retryCount=0)
    state = made.start(workflow(*fork("f", [task("a")], [task("b")])))

    made.fail(state, "a")

    assert state.status == "FAILED"
    assert statuses(state) == {"f": "COMPLETED", "a": "FAILED", "b": "CANCELED", "f_join": "CANCELED"}


def test_join_does_not_see_a_failure_that_is_retried() -> None:
    made = world("a")
    made.register_task(name="a", retryCount=1, retryDelaySeconds=5)
    state = made.start(workflow(*fork("f", [task("a", permissive=True)], [task("b")])))
    made.end(state, "b")

    made.fail(state, "a")

    assert made.task(state, "f_join").status == "IN_PROGRESS"
    made.pass_time()
    made.end(state, "a")
    assert state.status == "COMPLETED"


# --- the table of JOIN --------------------------------------------------------------------------

NO_RETRY = {"taskDefinition": {"name": "x", "retryCount": 0}}


def joined(**branches: tuple[str, Json]) -> tuple[World, ExecutionState]:
    """A fork of single tasks, each with options, ended in order with the status given."""
    made = world()
    tasks = [[task(ref, **NO_RETRY, **options)] for ref, (_, options) in branches.items()]
    state = made.start(workflow(*fork("f", *tasks)))
    for ref, (status, _) in branches.items():
        made.end(
            state, ref, {"r": ref}, status=status, reason=f"{ref} broke" if status != "COMPLETED" else None
        )
    return made, state


PERMISSIVE: Json = {"permissive": True}
OPTIONAL: Json = {"optional": True}


@pytest.mark.parametrize(
    ("branches", "join", "execution"),
    [
        ({"a": ("COMPLETED", {}), "b": ("COMPLETED", {})}, "COMPLETED", "COMPLETED"),
        ({"a": ("FAILED", OPTIONAL), "b": ("COMPLETED", {})}, "COMPLETED_WITH_ERRORS", "COMPLETED"),
        (
            {"a": ("FAILED_WITH_TERMINAL_ERROR", OPTIONAL), "b": ("COMPLETED", OPTIONAL)},
            "COMPLETED_WITH_ERRORS",
            "COMPLETED",
        ),
        ({"a": ("FAILED", PERMISSIVE), "b": ("COMPLETED", {})}, "FAILED", "FAILED"),
        ({"a": ("FAILED", PERMISSIVE), "b": ("FAILED", OPTIONAL)}, "FAILED", "FAILED"),
        (
            {"a": ("FAILED", {**PERMISSIVE, **OPTIONAL}), "b": ("COMPLETED", {})},
            "COMPLETED_WITH_ERRORS",
            "COMPLETED",
        ),
        ({"a": ("CANCELED", PERMISSIVE), "b": ("CANCELED", PERMISSIVE)}, "CANCELED", "TERMINATED"),
        ({"a": ("CANCELED", PERMISSIVE), "b": ("COMPLETED", {})}, "CANCELED", "TERMINATED"),
        ({"a": ("CANCELED", PERMISSIVE), "b": ("FAILED", PERMISSIVE)}, "FAILED", "FAILED"),
        ({"a": ("TIMED_OUT", PERMISSIVE), "b": ("COMPLETED", {})}, "FAILED", "FAILED"),
    ],
)
def test_join_ends_as_its_members_did(
    branches: dict[str, tuple[str, Json]], join: str, execution: str
) -> None:
    made, state = joined(**branches)

    assert made.task(state, "f_join").status == join
    assert state.status == execution


def test_permissive_failure_waits_for_all_members() -> None:
    made = world()
    state = made.start(workflow(*fork("f", [task("a", permissive=True, **NO_RETRY)], [task("b")])))
    made.fail(state, "a")

    assert state.status == "RUNNING"
    assert made.task(state, "f_join").status == "IN_PROGRESS"
    assert made.task(state, "b").status == "SCHEDULED"


def test_failed_join_joins_the_reasons_of_its_members() -> None:
    made, state = joined(a=("FAILED", PERMISSIVE), b=("COMPLETED", {}), c=("FAILED", PERMISSIVE))

    assert made.task(state, "f_join").reason == "a broke c broke"


def test_join_with_errors_names_its_members() -> None:
    made, state = joined(a=("FAILED", OPTIONAL), b=("COMPLETED", {}))
    reason = made.task(state, "f_join").reason

    assert reason is not None
    assert reason.startswith("a/")
    assert "completed with errors" in reason


def test_join_output_leaves_out_members_without_output() -> None:
    made = world()
    state = made.start(workflow(*fork("f", [task("a")], [task("b")])))
    made.end(state, "a", {})
    made.end(state, "b", {"x": 1})

    assert output_of(state, made.task(state, "f_join")) == {"b": {"x": 1}}


def test_join_on_nothing_completes_at_once() -> None:
    made = world()
    state = made.start(workflow(*fork("f", [task("a")], join=[]), task("b")))

    assert statuses(state)["f_join"] == "COMPLETED"
    assert statuses(state)["b"] == "SCHEDULED"


def test_join_may_name_a_task_outside_of_any_fork() -> None:
    made = world()
    state = made.start(workflow(task("a"), *fork("f", [task("b")], join=["a", "b"])))
    made.end(state, "a")
    made.end(state, "b")

    assert state.status == "COMPLETED"


def test_join_on_what_is_never_scheduled_fails_by_name() -> None:
    made = world()
    state = made.start(workflow(*fork("f", [task("a")], join=["a", "nobody"])))
    made.end(state, "a")

    assert state.status == "FAILED"
    assert "JOIN f_join waits for nobody" in str(state.reason)


def test_join_stuck_in_a_loop_is_named_rather_than_the_loop() -> None:
    made = world()
    state = made.start(workflow(loop("l", *fork("f", [task("a")], join=["nobody"]))))
    made.end(state, "a__1")

    assert state.status == "FAILED"
    assert "JOIN f_join__1 waits for nobody__1" in str(state.reason)


def test_join_in_a_loop_keys_its_output_with_the_suffix() -> None:
    made = world()
    state = made.start(workflow(loop("l", *fork("f", [task("a")], [task("b")]), times=1)))
    made.end(state, "a__1", {"x": 1})
    made.end(state, "b__1")

    assert output_of(state, made.task(state, "f_join__1")) == {"a__1": {"x": 1}}
    assert state.status == "COMPLETED"


def test_permissive_children_terminated_from_outside_terminate_the_parent() -> None:
    made = world()
    inner = workflow(task("x"), name="inner")
    branches = [[child(ref, inner, permissive=True)] for ref in ("a", "b")]
    state = made.start(workflow(*fork("f", *branches)))

    for ref in ("a", "b"):
        made.terminate(made.child(state, ref), "stop")

    assert made.task(state, "f_join").status == "CANCELED"
    assert state.status == "TERMINATED"


@pytest.mark.parametrize("slice_size", [5, 50, 2_000])
def test_fork_wider_than_a_slice_opens_all_its_branches_once(slice_size: int) -> None:
    made = world(slice_size=slice_size)
    width = 300
    state = made.start(workflow(*fork("f", *[[task(f"a{n}")] for n in range(width)])))

    assert len(state.tasks) == width + 2
    for n in range(width):
        made.end(state, f"a{n}")
    assert state.status == "COMPLETED"


def test_join_that_waits_for_itself_or_for_the_loop_around_it_fails_by_name() -> None:
    joins = [task("j", "JOIN", joinOn=["j"])]
    around = [loop("l", task("a", "NOOP"), task("j", "JOIN", joinOn=["l"]))]
    both = fork("f", [task("j", "JOIN", joinOn=["k"])], [task("k", "JOIN", joinOn=["j"])])
    for tasks in (joins, around, both):
        state = world().start(workflow(*tasks))

        assert state.status == "FAILED"
        assert "Nothing can proceed" in str(state.reason)
        assert render_execution(state)["status"] == "FAILED"


def test_chain_of_joins_of_any_length_is_read_without_a_stack() -> None:
    chain = [task(f"j{n}", "JOIN", joinOn=[f"j{n - 1}" if n else "a"]) for n in range(2_000)]
    made = world()
    state = made.start(workflow(task("a"), *chain, outputParameters={"x": "${j2.output.j1.j0.a}"}))
    made.end(state, "a", {"y": 1})

    assert state.output == {"x": {"y": 1}}
    assert len(str(output_of(state, made.task(state, "j1999")))) < 2_000
