from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from asyncflow.decide.compile import compile_definition
from asyncflow.errors import InvalidInput, LimitExceeded, TaskFailed, TerminalTaskFailed
from asyncflow.ids import attempt_token, task_id
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.workflow_definition import parse_workflow
from asyncflow.runtime.attempt_records import (
    AttemptRecord,
    IoRecorded,
    LogLine,
    MetricObserved,
    ProgressMade,
)
from asyncflow.runtime.attempt_results import failure_of, freeze_output, traceback_tail
from asyncflow.runtime.context import LINES_PER_ATTEMPT, TaskContext
from asyncflow.runtime.executors import ProcessExecutor, ThreadExecutor
from tests.integration import task_functions as tasks
from tests.integration.waiting import until

EXECUTION = "11111111-2222-4333-8444-000000000000"
DEFINITION = {"name": "nightly", "tasks": [{"name": "fetch", "taskReferenceName": "page", "type": "SIMPLE"}]}


@dataclass
class Sink:
    """Keeps what attempts tell, and in which thread it was told."""

    beats: list[tuple[str, int]] = field(default_factory=list)
    lines: list[LogLine] = field(default_factory=list)
    records: list[AttemptRecord] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)

    def report_heartbeat(self, execution_id: str, number: int) -> None:
        self.threads.add(threading.get_ident())
        self.beats.append((execution_id, number))

    def write_log(self, execution_id: str, number: int, line: LogLine) -> None:
        assert (execution_id, number) == (EXECUTION, 7)
        self.threads.add(threading.get_ident())
        self.lines.append(line)

    def record(self, execution_id: str, number: int, record: AttemptRecord) -> None:
        assert (execution_id, number) == (EXECUTION, 7)
        self.threads.add(threading.get_ident())
        self.records.append(record)


def context_of(sink: Sink, **changes: object) -> TaskContext:
    graph = compile_definition(parse_workflow(DEFINITION), "hash")
    state = ExecutionState(EXECUTION, graph, {}, name="nightly", priority=4, correlation_id="c-1")
    task = TaskState(7, 1, "page__2", graph.nodes["page"], iteration=2, retry_count=1, epoch=3, fence=9)
    return TaskContext(state, task, sink=sink, installation="here", **changes)  # type: ignore[arg-type]


async def test_context_shows_the_attempt() -> None:
    context = context_of(Sink(), deadline_ms=5, recovered=True)

    assert (context.execution_id, context.workflow_name, context.ref) == (EXECUTION, "nightly", "page__2")
    assert (context.attempt, context.retry_count, context.iteration) == (2, 1, 2)
    assert (context.priority, context.correlation_id, context.fence) == (4, "c-1", 9)
    assert (context.deadline_ms, context.recovered) == (5, True)
    assert context.task_id == task_id(EXECUTION, 7)
    assert context.token == attempt_token("here", EXECUTION, "page__2", attempt=2, epoch=3)


async def test_context_keeps_its_facts_when_the_state_goes_on() -> None:
    graph = compile_definition(parse_workflow(DEFINITION), "hash")
    task = TaskState(7, 1, "page", graph.nodes["page"])
    context = TaskContext(ExecutionState(EXECUTION, graph, {}), task, sink=Sink(), installation="here")
    task.retry_count, task.epoch = 5, 5

    assert (context.attempt, context.epoch) == (1, 0)
    assert context.token == attempt_token("here", EXECUTION, "page", attempt=1, epoch=0)


async def test_heartbeats_are_thinned_out() -> None:
    sink, now = Sink(), iter([0.0, 0.1, 0.49, 0.5, 0.9, 1.0])
    context = context_of(sink, clock=lambda: next(now))
    counts = []
    for _ in range(6):
        context.heartbeat()
        counts.append(len(sink.beats))

    assert counts == [1, 1, 1, 2, 2, 3]
    assert set(sink.beats) == {(EXECUTION, 7)}


async def test_broken_off_attempt_beats_no_more() -> None:
    sink = Sink()
    context = context_of(sink)
    context.check_cancelled()
    context.mark_cancelled()
    context.heartbeat()

    assert context.is_cancelled
    assert sink.beats == []
    with pytest.raises(asyncio.CancelledError):
        context.check_cancelled()


async def test_log_keeps_messages_and_fields() -> None:
    sink = Sink()
    context = context_of(sink)
    context.log("page read", url="x", rows=[1, 2], when={"a": None})
    context.log("odd", thing=object, text="\ud800")

    assert sink.lines[0] == LogLine("page read", {"url": "x", "rows": [1, 2], "when": {"a": None}})
    assert sink.lines[1].fields == {"thing": "<class 'object'>", "text": "'\\ud800'"}


async def test_log_is_bounded() -> None:
    sink = Sink()
    context = context_of(sink)
    context.log("x" * 8192)
    context.log("x" * 8193 + "\ud800", wide="y" * 9000)
    for _ in range(LINES_PER_ATTEMPT):
        context.log("again", a=1)

    assert sink.lines[0].message == "x" * 8192
    assert sink.lines[1] == LogLine("x" * 8191 + "…", {"dropped_bytes": 9011})
    assert len(sink.lines) == LINES_PER_ATTEMPT
    assert sink.lines[-1] == LogLine("further lines are dropped: 10000 were logged", {})


async def test_data_progress_and_metrics_are_recorded() -> None:
    sink = Sink()
    context = context_of(sink)
    context.record_io(rows=3, bytes=100)
    context.record_io(bytes=5, direction="in")
    context.progress(1, "done")
    context.metric("pages_total", 2, {"kind": 7})

    assert sink.records == [
        IoRecorded("out", 3, 100),
        IoRecorded("in", 0, 5),
        ProgressMade(1.0, "done"),
        MetricObserved("pages_total", 2.0, {"kind": "7"}),
    ]
    assert len(sink.beats) == 1


WRONG: Mapping[str, Callable[[TaskContext], None]] = {
    "rows": lambda context: context.record_io(rows=-1),
    "bytes": lambda context: context.record_io(bytes=1.5),  # type: ignore[arg-type]
    "direction": lambda context: context.record_io(direction="up"),  # type: ignore[arg-type]
    "fraction": lambda context: context.progress(1.01),
    "fraction is": lambda context: context.progress(math.nan),
    "metric": lambda context: context.metric("a-b", 1),
    "metric: 'a b'": lambda context: context.metric("a", 1, {"a b": 1}),
    "value": lambda context: context.metric("a", math.inf),
}


@pytest.mark.parametrize("field", WRONG)
async def test_senseless_records_are_refused(field: str) -> None:
    sink = Sink()

    with pytest.raises(InvalidInput, match=field.split(maxsplit=1)[0]):
        WRONG[field](context_of(sink))
    assert sink.records == []


async def test_what_a_thread_tells_is_told_on_the_loop() -> None:
    sink = Sink()
    context = context_of(sink)

    def work() -> bool:
        context.heartbeat()
        for n in range(100):
            context.log(str(n))
        context.record_io(rows=1)
        return context.is_cancelled

    async with ThreadExecutor(2) as threads:
        assert not await threads.run(work)
        await until(lambda: sink.records)

    assert [line.message for line in sink.lines] == [str(n) for n in range(100)]
    assert sink.threads == {threading.get_ident()}


async def test_function_in_a_thread_learns_that_it_is_broken_off() -> None:
    context, begun = context_of(Sink()), threading.Event()

    def work() -> None:
        begun.set()
        while True:
            context.check_cancelled()

    async with ThreadExecutor(1, replacements=0) as threads:
        call = asyncio.create_task(threads.run(work, on_cancel=context.mark_cancelled))
        await until(begun.is_set)
        call.cancel()

        assert await threads.run(int) == 0


async def test_context_outlives_its_loop() -> None:
    contexts: list[TaskContext] = []

    async def make() -> None:
        contexts.append(context_of(Sink()))

    thread = threading.Thread(target=lambda: asyncio.run(make()))
    thread.start()
    thread.join()
    contexts[0].log("nobody listens")
    contexts[0].heartbeat()

    assert contexts[0].attempt == 2


async def test_context_works_in_a_process() -> None:
    sink = Sink()
    context = context_of(sink)
    async with ProcessExecutor(1) as processes:
        output = await processes.run(tasks.told, {"ctx": context})
        await processes.run(tasks.say, {})

    assert output == {"token": context.token, "attempt": 2, "task_id": context.task_id}
    assert sink.beats == [(EXECUTION, 7)]
    assert sink.lines == [LogLine("from afar", {"n": 1})]
    assert sink.records == [
        IoRecorded("in", 2, 30),
        ProgressMade(0.5, "half"),
        MetricObserved("pages", 3.0, {"kind": "a"}),
    ]


async def test_prints_of_a_process_go_to_the_task_they_belong_to() -> None:
    sink = Sink()
    context = context_of(sink)
    async with ProcessExecutor(1) as processes:
        await processes.run(tasks.say_in_context, {"ctx": context})
        await processes.run(tasks.say, {})

    assert sink.lines == [LogLine("mine", {"stream": "stdout"})]


def test_output_is_a_plain_copy_with_its_size() -> None:
    inner = [1, 2]
    output, size = freeze_output({"a": inner, "b": "é"}, limit=100)
    inner.append(3)

    assert output == {"a": [1, 2], "b": "é"}
    assert size == len('{"a":[1,2],"b":"é"}'.encode())
    assert freeze_output(None, limit=100) == ({}, 2)
    assert freeze_output({}, limit=100) == ({}, 2)
    assert freeze_output(tasks.Order(item="a", count=1), limit=100)[0] == {"item": "a", "count": 1}


def test_output_fits_up_to_its_limit() -> None:
    exact = {"a": "x" * 92}
    assert freeze_output(exact, limit=100) == (exact, 100)

    with pytest.raises(LimitExceeded, match="payload_too_large: task output: at most 99, got 100"):
        freeze_output(exact, limit=99)


@pytest.mark.parametrize(
    "value", [math.nan, [math.inf], {"a": -math.inf}, "\ud800", {1, object}, {"a": {"b": object}}]
)
def test_output_without_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="not JSON"):
        freeze_output(value, limit=100)


def test_output_may_speak_of_nan() -> None:
    assert freeze_output("NaN and Infinity", limit=100)[0] == {"result": "NaN and Infinity"}


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


FAILURES: list[tuple[BaseException, str, str]] = [
    (ValueError("bad"), "FAILED", "ValueError: bad"),
    (KeyError("k"), "FAILED", "KeyError: 'k'"),
    (ValueError(), "FAILED", "ValueError"),
    (TaskFailed("not today"), "FAILED", "not today"),
    (TaskFailed(), "FAILED", "TaskFailed"),
    (TerminalTaskFailed("never"), "FAILED_WITH_TERMINAL_ERROR", "never"),
    (ExceptionGroup("g", [TerminalTaskFailed("never")]), "FAILED_WITH_TERMINAL_ERROR", "never"),
    (ExceptionGroup("g", [ValueError(), ValueError()]), "FAILED", "ExceptionGroup: g (2 sub-exceptions)"),
    (LimitExceeded("other", allowed=1), "FAILED", "LimitExceeded: other: at most 1"),
    (Mute(), "FAILED", "Mute: its message cannot be shown"),
    (ValueError("\ud800"), "FAILED", "ValueError: ?"),
    (ValueError("x" * 488), "FAILED", "ValueError: " + "x" * 488),
    (ValueError("x" * 489), "FAILED", "ValueError: " + "x" * 487 + "…"),
]


@pytest.mark.parametrize(("error", "status", "reason"), FAILURES)
def test_failure_has_status_and_reason(error: BaseException, status: str, reason: str) -> None:
    assert failure_of(error) == (status, reason, {})


def test_output_too_large_fails_the_task_for_good() -> None:
    with pytest.raises(LimitExceeded) as caught:
        freeze_output("x" * 100, limit=10)

    assert failure_of(caught.value)[0] == "FAILED_WITH_TERMINAL_ERROR"


def test_traceback_keeps_its_end() -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise ValueError("é" * 100)

    with pytest.raises(ValueError, match="é") as caught:
        deep(3)
    text = traceback_tail(caught.value, limit=151)

    assert text == "é" * 75 or text == "é" * 74 + "é\n"
    assert "in deep" in traceback_tail(caught.value)
