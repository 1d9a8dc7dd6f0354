"""Worker tasks: SIMPLE, DYNAMIC, unknown types, domains, delays, and what an update does."""

from __future__ import annotations

import pytest

from asyncflow.decide.render import render_task
from asyncflow.errors import InvalidInput, NotFound
from asyncflow.model import inputs
from asyncflow.model.effects import Admit, Offer, RunAttempt
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.definitions import after, task, workflow, world


def update(world: World, state: ExecutionState, ref: str, status: str, **more: object) -> None:
    output = more.pop("output", {})
    given = inputs.UpdateTask(0, status, output, ref, **more)  # type: ignore[arg-type]
    world.send(state.execution_id, given)


def test_simple_task_follows_its_transitions_to_completion() -> None:
    made = world("a")
    state = made.start(workflow(task("a", inputParameters={"x": "${workflow.input.x}"})), {"x": 1})
    record = made.task(state, "a")

    assert (record.status, record.input, record.executor) == ("SCHEDULED", {"x": 1}, "loop")
    assert list(state.wanted[1]) == [Admit(1, 0)]
    made.begin(state, "a")
    assert (record.status, record.starts) == ("IN_PROGRESS", 1)
    assert list(state.wanted[1]) == [RunAttempt(1, 1)]
    made.send(state.execution_id, inputs.AttemptEnded(1, "COMPLETED", {"y": 2}))
    assert (record.status, record.output) == ("COMPLETED", {"y": 2})
    assert (state.status, state.output) == ("COMPLETED", {"y": 2})


def test_unknown_function_waits_for_a_worker() -> None:
    made = world()
    state = made.start(workflow(task("a")))

    assert made.task(state, "a").executor == "remote"
    assert state.wanted == {1: (Offer(1, 0),)}


@pytest.mark.parametrize("kind", ["USER_DEFINED", "HTTP_POLL", "JDBC", "*fork", "*loop", "*join"])
def test_unknown_type_is_a_queue_of_that_name(kind: str) -> None:
    made = world()
    state = made.start(workflow(task("a", kind, name="label")))

    assert made.task(state, "a").executor == "remote"
    assert render_task(state, made.task(state, "a"))["taskType"] == kind


@pytest.mark.parametrize("level", ["task", "definition"])
def test_executor_remote_keeps_a_known_function_waiting_for_a_worker(level: str) -> None:
    made = world("a")
    ours = {"asyncflow": {"executor": "remote"}}
    if level == "definition":
        made.register_task(name="a", **ours)
    state = made.start(workflow(task("a", **(ours if level == "task" else {}))))

    assert made.task(state, "a").executor == "remote"


def test_start_delay_holds_the_first_delivery_back() -> None:
    made = world("a")
    state = made.start(workflow(task("a", startDelay=7)))

    assert state.wanted[1] == (Admit(1, made.now_ms + 7_000),)
    assert render_task(state, made.task(state, "a"))["startDelayInSeconds"] == 7


def test_start_delay_of_a_sub_workflow_begins_the_child_late() -> None:
    made = world()
    inner = workflow(task("b"), name="inner")
    sub = {"name": "inner", "version": 1, "workflowDefinition": inner}
    state = made.start(workflow(task("a", "SUB_WORKFLOW", startDelay=7, subWorkflowParam=sub)))

    assert len(made.states) == 1
    made.pass_time(made.now_ms + 6_999)
    assert len(made.states) == 1
    made.pass_time(made.now_ms + 1)
    assert made.child(state, "a").status == "RUNNING"


def test_dynamic_task_runs_the_worker_its_input_names() -> None:
    made = world("chosen")
    dynamic = task("d", "DYNAMIC", dynamicTaskNameParam="run", inputParameters={"run": "chosen", "x": 1})
    state = made.start(workflow(dynamic))
    record = made.task(state, "d")

    assert (record.name, record.executor, record.input) == ("chosen", "loop", {"run": "chosen", "x": 1})
    assert render_task(state, record)["taskType"] == "chosen"
    assert record.node.policy.retry_count == 0, "the registered definition of the worker is not used"


@pytest.mark.parametrize("named", [None, "", "${workflow.input.nothing}"])
@pytest.mark.parametrize("first", [True, False])
def test_dynamic_task_without_a_name_fails_the_execution_by_name(named: str | None, *, first: bool) -> None:
    made = world("a")
    dynamic = task("d", "DYNAMIC", dynamicTaskNameParam="run", inputParameters={"run": named})
    state = made.start(workflow(dynamic) if first else workflow(task("a"), dynamic))
    if not first:
        made.end(state, "a")

    assert state.status == "FAILED"
    assert "Cannot map a dynamic task" in str(state.reason)
    assert state.open_count == 0


@pytest.mark.parametrize(
    ("domains", "active", "expected"),
    [
        ({"a": "d1"}, [], "d1"),
        ({"*": "d3"}, [], "d3"),
        ({"*": "d3", "a": "d1"}, [], "d1"),
        ({"a": "d1,d2"}, ["d1"], "d1"),
        ({"a": "d1, d2"}, [], "d2"),
        ({"a": "d1,NO_DOMAIN"}, [], None),
        ({"a": "d1,NO_DOMAIN"}, ["d1"], "d1"),
        ({"b": "d1"}, [], None),
        ({}, [], None),
    ],
)
def test_domain_is_the_first_one_active_else_the_last(
    domains: dict[str, str], active: list[str], expected: str | None
) -> None:
    made = world(active_domains={"a": frozenset(active)})
    state = made.start(workflow(task("a")), task_to_domain=domains)

    assert made.task(state, "a").domain == expected


def test_domain_overrules_a_function_of_that_name_here() -> None:
    made = world("a")
    state = made.start(workflow(task("a"), task("n", "NOOP")), task_to_domain={"*": "far"})

    record = made.task(state, "a")
    assert (record.executor, record.domain) == ("remote", "far")


def test_system_task_has_no_domain() -> None:
    made = world()
    state = made.start(workflow(task("h", "HUMAN")), task_to_domain={"*": "far"})

    assert made.task(state, "h").domain is None


def test_input_template_fills_missing_keys_and_null_ones() -> None:
    made = world()
    made.register_task(name="a", inputTemplate={"x": 1, "y": "${workflow.input.y}", "z": 3})
    parameters = {"x": 9, "z": "${workflow.input.nothing}"}
    state = made.start(workflow(task("a", inputParameters=parameters)), {"y": 2})

    assert made.task(state, "a").input == {"x": 9, "y": 2, "z": 3}


def test_input_template_fills_null_in_an_input_without_expressions() -> None:
    made = world()
    made.register_task(name="a", inputTemplate={"x": 1})
    state = made.start(workflow(task("a", inputParameters={"x": None, "y": 2})))

    assert made.task(state, "a").input == {"x": 1, "y": 2}


# --- updates ----------------------------------------------------------------------------------


def test_update_in_progress_gives_a_worker_task_back_with_its_callback() -> None:
    made = world()
    state = made.start(workflow(task("a")))
    made.begin(state, "a")

    update(made, state, "a", "IN_PROGRESS", output={"part": 1}, callback_after_s=30, worker_id="me")

    record = made.task(state, "a")
    assert (record.status, record.output, record.worker_id) == ("SCHEDULED", {"part": 1}, "me")
    assert record.due_ms == made.now_ms + 30_000


def test_update_replaces_the_output_and_a_merging_one_lays_over_it() -> None:
    made = world()
    state = made.start(workflow(task("a")))
    made.begin(state, "a")
    update(made, state, "a", "IN_PROGRESS", output={"x": 1, "y": 1}, reason="slow")

    update(made, state, "a", "IN_PROGRESS", output={"y": 2}, merge=True)
    assert made.task(state, "a").output == {"x": 1, "y": 2}
    assert made.task(state, "a").reason == "slow"

    update(made, state, "a", "COMPLETED", output={"z": 3})
    assert made.task(state, "a").output == {"z": 3}


def test_update_of_an_ended_task_or_execution_is_ignored() -> None:
    made = world()
    state = made.start(workflow(task("a"), task("b")))
    made.end(state, "a", {"x": 1})
    update(made, state, "a", "FAILED")
    assert made.task(state, "a").status == "COMPLETED"

    made.terminate(state)
    before = state.seq
    update(made, state, "b", "COMPLETED")
    assert state.seq == before


def test_update_cuts_a_long_reason() -> None:
    made = world()
    state = made.start(workflow(task("a")))

    update(made, state, "a", "FAILED_WITH_TERMINAL_ERROR", reason="x" * 501)

    assert made.task(state, "a").reason == "x" * 500


@pytest.mark.parametrize(
    ("status", "task_status", "execution_status"),
    [
        ("COMPLETED", "COMPLETED", "COMPLETED"),
        ("COMPLETED_WITH_ERRORS", "COMPLETED_WITH_ERRORS", "COMPLETED"),
        ("FAILED_WITH_TERMINAL_ERROR", "FAILED_WITH_TERMINAL_ERROR", "FAILED"),
        ("CANCELED", "CANCELED", "TERMINATED"),
    ],
)
def test_update_ends_a_task_and_with_it_the_execution(
    status: str, task_status: str, execution_status: str
) -> None:
    made = world()
    state = made.start(workflow(task("a")))

    update(made, state, "a", status)

    assert made.task(state, "a").status == task_status
    assert state.status == execution_status


def test_update_of_an_unknown_task_or_status_is_refused() -> None:
    made = world()
    state = made.start(workflow(task("a")))
    before = state.seq

    with pytest.raises(NotFound):
        update(made, state, "nobody", "COMPLETED")
    with pytest.raises(InvalidInput):
        update(made, state, "a", "DONE")
    assert state.seq == before


def test_report_of_a_broken_off_attempt_counts_for_nothing() -> None:
    made = world("a")
    state = made.start(workflow(task("a")))
    made.begin(state, "a")
    before = state.seq

    made.send(state.execution_id, inputs.AttemptEnded(1, "COMPLETED", {}, start=7))
    assert state.seq == before
    made.send(state.execution_id, inputs.AttemptEnded(1, "COMPLETED", {}, start=1))
    assert state.status == "COMPLETED"


def test_interrupted_attempt_is_superseded_without_using_a_retry() -> None:
    made = world("a")
    made.register_task(name="a", retryCount=0)
    state = made.start(workflow(task("a")))
    made.begin(state, "a")

    made.send(state.execution_id, inputs.AttemptInterrupted(1, "stop"))

    old, new = state.tasks.values()
    assert (old.status, old.state, old.superseded) == ("CANCELED", "INTERRUPTED", True)
    assert (new.status, new.retry_count, new.retry_of) == ("SCHEDULED", 0, 1)
    made.end(state, "a")
    assert state.status == "COMPLETED"


def test_skipped_task_is_listed_first_and_jumped_over() -> None:
    made = world()
    state = made.start(workflow(task("a"), task("b"), task("c")))
    made.skip(state, "b", {"x": 1})

    made.end(state, "a")

    assert [(t.ref, t.seq) for t in sorted(state.tasks.values(), key=lambda t: t.seq)] == [
        ("b", 0),
        ("a", 1),
        ("c", 2),
    ]
    assert made.task(state, "b").status == "SKIPPED"


def test_everything_left_may_be_skipped() -> None:
    made = world()
    count = 3_000
    state = made.start(workflow(task("a"), *(task(f"t{n}") for n in range(count))))
    for n in range(count):
        made.skip(state, f"t{n}")

    made.end(state, "a")

    assert state.status == "COMPLETED"


def test_skipped_task_of_a_dag_frees_what_depends_on_it() -> None:
    made = world()
    state = made.start(workflow(after("a"), after("b", "a"), after("c", "b")))

    made.skip(state, "b")

    assert made.task(state, "c").status == "SCHEDULED"
    made.end(state, "c")
    made.end(state, "a")
    assert state.status == "COMPLETED"
