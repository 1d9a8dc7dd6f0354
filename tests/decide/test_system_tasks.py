"""Tasks that the engine does itself: variables, ends, events, scripts, waits, people, HTTP."""

from __future__ import annotations

import pytest

from asyncflow.model import inputs
from asyncflow.model.events import MessagePublished
from asyncflow.model.limits import Limits
from asyncflow.testing.pure import World
from tests.decide.definitions import Json, child, fork, loop, task, workflow, world


def test_noop_is_done_at_once() -> None:
    state = world().start(workflow(task("n", "NOOP")))

    assert (state.status, state.output) == ("COMPLETED", {})


# --- SET_VARIABLE ---------------------------------------------------------------------------------


def test_variables_are_merged_key_by_key_and_seen_by_the_next_task() -> None:
    setting = task("v", "SET_VARIABLE", inputParameters={"a": {"new": 1}, "b": None})
    seeing = task("t", inputParameters={"a": "${workflow.variables.a}", "c": "${workflow.variables.c}"})
    made = world()
    state = made.start(workflow(setting, seeing, variables={"a": {"old": 1}, "c": 3}))

    assert state.variables == {"a": {"new": 1}, "b": None, "c": 3}
    assert made.task(state, "v").output == {}
    assert made.task(state, "t").input == {"a": {"new": 1}, "c": 3}


@pytest.mark.parametrize(("size", "status"), [(10, "COMPLETED"), (11, "FAILED")])
def test_variables_over_their_limit_fail_the_task_and_change_nothing(size: int, status: str) -> None:
    setting = task("v", "SET_VARIABLE", inputParameters={"a": "é" + "x" * (size - 2)})
    made = world(limits=Limits(variables_bytes=len('{"a":""}') + 10))
    state = made.start(workflow(setting))

    assert state.status == status
    if status == "FAILED":
        assert made.task(state, "v").status == "FAILED_WITH_TERMINAL_ERROR"
        assert state.variables == {}


# --- TERMINATE ------------------------------------------------------------------------------------


def ending(status: object, **more: object) -> Json:
    return task("t", "TERMINATE", inputParameters={"terminationStatus": status, **more})


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "TERMINATED"])
def test_terminate_ends_the_execution_as_it_says(status: str) -> None:
    made = world()
    whole = workflow(
        *fork("f", [ending(status, workflowOutput={"x": 1}, terminationReason="said")], [task("b")]),
        outputParameters={"never": 1},
    )
    state = made.start(whole)

    assert (state.status, state.output, state.reason) == (status, {"x": 1}, "said")
    assert made.task(state, "t").status == "COMPLETED"
    assert made.task(state, "t").output == {"x": 1}
    assert "b" not in state.by_ref or made.task(state, "b").status == "CANCELED"
    assert state.failed_number == (0 if status == "COMPLETED" else 2)


def test_terminate_in_a_fork_cancels_what_is_open() -> None:
    made = world()
    state = made.start(workflow(*fork("f", [task("a"), ending("COMPLETED")], [task("b")])))
    made.end(state, "a")

    assert made.task(state, "b").status == "CANCELED"
    assert made.task(state, "f_join").status == "CANCELED"
    assert state.status == "COMPLETED"


@pytest.mark.parametrize(
    ("given", "output"), [("text", {"output": "text"}), (None, {}), ([1], {"output": [1]})]
)
def test_terminate_wraps_an_output_that_is_no_map(given: object, output: Json) -> None:
    state = world().start(workflow(ending("COMPLETED", workflowOutput=given)))

    assert state.output == output


def test_terminate_without_a_reason_names_its_task() -> None:
    state = world().start(workflow(ending("COMPLETED")))

    assert str(state.reason).startswith("Workflow is COMPLETED by TERMINATE task: ")


def test_terminate_with_a_bad_status_fails() -> None:
    made = world()
    state = made.start(workflow(ending("${workflow.input.status}")), {"status": "DONE"})

    assert (made.task(state, "t").status, state.status) == ("FAILED", "FAILED")


def test_terminate_in_a_loop_ends_the_execution() -> None:
    made = world()
    state = made.start(workflow(loop("l", task("a"), ending("COMPLETED")), task("z")))
    made.end(state, "a__1")

    assert state.status == "COMPLETED"
    assert made.task(state, "l").status == "CANCELED"
    assert "z" not in state.by_ref


def test_terminate_in_a_child_ends_only_the_child() -> None:
    made = world()
    state = made.start(workflow(child("s", workflow(ending("COMPLETED"), name="inner")), task("b")))

    assert made.child(state, "s").status == "COMPLETED"
    assert made.task(state, "b").status == "SCHEDULED"


def test_terminate_completed_cancels_open_children_with_its_reason() -> None:
    made = world()
    inner = workflow(task("x"), name="inner")
    state = made.start(
        workflow(*fork("f", [child("s", inner)], [task("a"), ending("COMPLETED", terminationReason="r")]))
    )
    made.end(state, "a")

    assert made.task(state, "s").status == "CANCELED"
    assert made.child(state, "s").reason == "Parent workflow has been terminated with reason: r"


# --- EVENT ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sink", "queue"),
    [
        ("conductor", "conductor:w:e"),
        ("conductor:mine", "conductor:w:mine"),
        ("asyncflow:orders", "asyncflow:orders"),
        ("${workflow.input.sink}", "conductor:w:given"),
    ],
)
def test_event_is_published_with_what_is_known_of_the_execution(sink: str, queue: str) -> None:
    made = world()
    state = made.start(
        workflow(task("e", "EVENT", sink=sink, inputParameters={"x": 1})), {"sink": "conductor:given"}
    )
    published = [r.event for r in made.journal[state.execution_id] if isinstance(r.event, MessagePublished)]

    assert [event.queue for event in published] == [queue]
    payload = published[0].payload
    assert payload["x"] == 1
    assert (payload["workflowInstanceId"], payload["event_produced"]) == (state.execution_id, queue)
    assert made.task(state, "e").output == payload
    assert state.status == "COMPLETED"


@pytest.mark.parametrize(
    "sink", ["sqs:q", "conductorx", "conductor:", "asyncflow", "asyncflow:", "", "${workflow.input.no}"]
)
def test_event_to_an_unknown_sink_fails(sink: str) -> None:
    made = world()
    state = made.start(workflow(task("e", "EVENT", sink=sink)))

    assert made.task(state, "e").status == "FAILED"


def test_async_complete_event_waits_for_an_update() -> None:
    made = world()
    state = made.start(workflow(task("e", "EVENT", sink="conductor", asyncComplete=True)))
    assert made.task(state, "e").status == "IN_PROGRESS"

    made.send(state.execution_id, inputs.UpdateTask(0, "COMPLETED", {"r": 1}, "e"))

    assert (state.status, state.output) == ("COMPLETED", {"r": 1})


def test_event_retried_at_once_many_times_needs_no_stack() -> None:
    made = world()
    made.register_task(name="e", retryCount=5_000, retryDelaySeconds=0)
    state = made.start(workflow(task("e", "EVENT", sink="nowhere")))

    assert state.status == "FAILED"
    assert len(state.tasks) == 5_001


# --- scripts --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "given", "output"),
    [
        ("INLINE", {"expression": "$.x", "x": 5}, {"result": 5}),
        ("INLINE", {"expression": "x", "evaluatorType": "value-param", "x": 5}, {"result": 5}),
        ("LAMBDA", {"scriptExpression": "$.x", "x": 5}, {"result": 5}),
        ("JSON_JQ_TRANSFORM", {"queryExpression": "."}, None),
    ],
)
def test_script_task_gives_its_result(kind: str, given: Json, output: Json | None) -> None:
    made = world()
    state = made.start(workflow(task("i", kind, inputParameters=given)))
    record = made.task(state, "i")

    assert record.status == "COMPLETED"
    assert record.output == (output or {"result": given, "resultList": [given]})


def test_jq_without_a_result_gives_null() -> None:
    made = World(scripts=lambda *_: [])
    state = made.start(workflow(task("i", "JSON_JQ_TRANSFORM", inputParameters={"queryExpression": "empty"})))

    assert made.task(state, "i").output == {"result": None, "resultList": []}


@pytest.mark.parametrize(
    ("kind", "given", "status"),
    [
        ("INLINE", {"expression": "throw oh"}, "FAILED_WITH_TERMINAL_ERROR"),
        ("INLINE", {"expression": "throw time limit"}, "FAILED"),
        ("INLINE", {"expression": "  "}, "FAILED_WITH_TERMINAL_ERROR"),
        ("INLINE", {}, "FAILED_WITH_TERMINAL_ERROR"),
        ("INLINE", {"expression": "1", "evaluatorType": "ruby"}, "FAILED_WITH_TERMINAL_ERROR"),
        ("LAMBDA", {"scriptExpression": "throw oh"}, "FAILED"),
        ("JSON_JQ_TRANSFORM", {"queryExpression": "throw oh"}, "FAILED"),
    ],
)
def test_script_that_fails_fails_its_task_with_the_error(kind: str, given: Json, status: str) -> None:
    made = world()
    state = made.start(workflow(task("i", kind, inputParameters=given)))
    record = made.task(state, "i")

    assert record.status == status
    assert record.output is not None
    assert record.output["error"] == record.reason
    assert state.status == "FAILED"


def test_script_is_retried_after_its_delay() -> None:
    made = world()
    made.register_task(name="i", retryCount=1, retryDelaySeconds=10)
    state = made.start(workflow(task("i", "LAMBDA", inputParameters={"scriptExpression": "throw oh"})))

    assert [t.status for t in state.tasks.values()] == ["FAILED", "SCHEDULED"]
    made.pass_time()
    assert [t.status for t in state.tasks.values()] == ["FAILED", "FAILED"]
    assert state.status == "FAILED"


# --- performed by the engine, and not built in ----------------------------------------------------


@pytest.mark.parametrize(("kind", "executor"), [("HTTP", "http"), ("COMMAND", "command")])
def test_built_in_work_is_an_attempt_of_this_process(kind: str, executor: str) -> None:
    made = world()
    state = made.start(workflow(task("h", kind, inputParameters={"x": 1})))
    assert made.task(state, "h").executor == executor

    made.end(state, "h", {"response": {}})

    assert state.status == "COMPLETED"


def test_async_complete_work_waits_for_an_update_after_its_attempt() -> None:
    made = world()
    state = made.start(workflow(task("h", "HTTP", asyncComplete=True)))
    made.end(state, "h", {"response": 1})
    assert (made.task(state, "h").status, made.task(state, "h").executor) == ("IN_PROGRESS", "external")

    made.send(state.execution_id, inputs.UpdateTask(1, "COMPLETED", {"done": 1}))
    assert state.output == {"done": 1}


@pytest.mark.parametrize("kind", ["KAFKA_PUBLISH", "LLM_CHAT_COMPLETE", "PULL_WORKFLOW_MESSAGES"])
def test_type_of_a_plugin_that_is_missing_fails_by_its_name(kind: str) -> None:
    made = world()
    state = made.start(workflow(task("p", kind)))

    assert made.task(state, "p").status == "FAILED_WITH_TERMINAL_ERROR"
    assert "install the plugin asyncflow-" in str(made.task(state, "p").reason)
