"""What a test sees of an execution: its end, its tasks in order, its events, its children.

A `TestRun` is a picture of one moment, all plain values; it holds no engine. `testing/kit` takes
the pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

from asyncflow.decide.gather import input_of, output_of
from asyncflow.decide.render import ordered_tasks
from asyncflow.decide.scope import task_type
from asyncflow.model.definition import WorkflowDefinition
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class TaskRecord:
    """One attempt of one task, as it stood; times are virtual seconds since the execution began.

    Attributes:
        ref: the exact reference name, with the iteration of a loop (`poll__2`).
        plain_ref: the reference name of the definition.
        attempt: which try it is, from 1.
        ended: None while it is open; `started` None until it began.
    """

    ref: str
    plain_ref: str
    name: str
    type: str
    status: str
    input: JsonObject
    output: JsonObject
    reason: str | None
    attempt: int
    iteration: int
    scheduled: float
    started: float | None
    ended: float | None
    child_id: str | None = None


@dataclass(frozen=True, slots=True)
class TestRun:
    """An execution as it stood when the run was over.

    Attributes:
        status: of the execution; RUNNING where it waits for something that never comes.
        tasks: every attempt, in the order of their places.
        duration: virtual seconds from its start to its end, or to the picture.
        children: the executions of SUB_WORKFLOW tasks, by exact reference; the newest of each.
        others: executions started beside it: failure workflows, START_WORKFLOW.
        rounds: how often the engine came to rest and somebody outside had something to say.
        waiting: what each open task waits for, in words.
        unanswered: exact references of tasks that no outcome answered.
    """

    __test__: ClassVar[bool] = False  # pytest is not to collect it

    execution_id: str
    name: str
    status: str
    output: JsonObject
    reason: str | None
    variables: JsonObject
    definition: WorkflowDefinition
    tasks: list[TaskRecord]
    events: list[Recorded]
    duration: float
    workflow: JsonObject
    children: dict[str, TestRun] = field(default_factory=dict)
    others: list[TestRun] = field(default_factory=list)
    rounds: int = 0
    waiting: list[dict[str, JsonValue]] = field(default_factory=list)
    unanswered: list[str] = field(default_factory=list)

    def attempts(self, ref: str) -> list[TaskRecord]:
        """Every attempt of a task, oldest first; of a plain reference name those of all iterations."""
        return [task for task in self.tasks if ref in (task.ref, task.plain_ref)]

    def task(self, ref: str) -> TaskRecord:
        """The newest attempt of a task.

        Raises:
            LookupError: it was never scheduled; the message names those that were.
        """
        found = self.attempts(ref)
        if not found:
            raise LookupError(f"task {ref} was never scheduled; these were: {', '.join(self.refs)}")
        return found[-1]

    def child(self, ref: str) -> TestRun:
        """The execution of a SUB_WORKFLOW task.

        Raises:
            LookupError: there is none.
        """
        if ref not in self.children:
            raise LookupError(f"{ref} has no child execution; these have: {', '.join(self.children)}")
        return self.children[ref]

    @property
    def refs(self) -> list[str]:
        """Exact reference names in the order in which they were first scheduled, each once."""
        return list(dict.fromkeys(task.ref for task in self.tasks))

    def family(self) -> Iterator[TestRun]:
        """This run, those of its children, theirs, and what was started beside them."""
        yield self
        for run in (*self.children.values(), *self.others):
            yield from run.family()


def task_records(state: ExecutionState) -> list[TaskRecord]:
    """Every record of an execution, as values of their own."""
    return [_record(state, task) for task in ordered_tasks(state)]


def _record(state: ExecutionState, task: TaskState) -> TaskRecord:
    def since(at_ms: int) -> float:
        return (at_ms - state.created_ms) / 1000

    return TaskRecord(
        ref=task.ref,
        plain_ref=task.ref.removesuffix(task.suffix),
        name=task.name or task.node.name,
        type=task_type(task),
        status=task.status,
        input=dict(input_of(task)),
        output=dict(output_of(state, task)),
        reason=task.reason,
        attempt=task.retry_count + 1,
        iteration=task.iteration,
        scheduled=since(task.scheduled_ms),
        started=since(task.started_ms) if task.started_ms else None,
        ended=since(task.ended_ms) if task.ended_ms else None,
        child_id=None if task.more is None else task.more.child_id,
    )
