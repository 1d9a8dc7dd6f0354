"""What expressions see: the workflow and its tasks, asked field by field.

Nothing is built that an expression does not name. Loop iterations and attempts are hidden:
a plain reference name means the newest. The syntax is in `decide/expressions`.
"""

# ruff: noqa: ARG005 - all fields of a table are read in one way

from __future__ import annotations

from collections.abc import Callable, Mapping

from asyncflow.decide.expressions import MISSING
from asyncflow.decide.gather import input_of, member_output, output_of
from asyncflow.ids import task_id
from asyncflow.model.payload_reference import refuse_stored
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonValue

_WORKFLOW: Mapping[str, Callable[[ExecutionState], JsonValue]] = {
    "input": lambda s: s.input,
    "output": lambda s: s.output,
    "status": lambda s: s.status,
    "workflowId": lambda s: s.execution_id,
    "parentWorkflowId": lambda s: s.parent_id,
    "parentWorkflowTaskId": lambda s: task_id(s.parent_id, s.parent_number) if s.parent_id else None,
    "workflowType": lambda s: s.name,
    "version": lambda s: s.version,
    "correlationId": lambda s: s.correlation_id,
    "reasonForIncompletion": lambda s: s.reason,
    "schemaVersion": lambda s: s.graph.definition.schema_version,
    "variables": lambda s: s.variables,
}

_TASK: Mapping[str, Callable[[ExecutionState, TaskState], JsonValue]] = {
    "input": lambda s, t: input_of(t),
    "output": output_of,
    "taskType": lambda s, t: task_type(t),
    "status": lambda s, t: t.status,
    "referenceTaskName": lambda s, t: t.ref,
    "retryCount": lambda s, t: t.retry_count,
    "correlationId": lambda s, t: s.correlation_id,
    "pollCount": lambda s, t: t.starts,
    "taskDefName": lambda s, t: task_definition_name(t),
    "scheduledTime": lambda s, t: t.scheduled_ms,
    "startTime": lambda s, t: t.started_ms,
    "endTime": lambda s, t: t.ended_ms,
    "workflowInstanceId": lambda s, t: s.execution_id,
    "taskId": lambda s, t: task_id(s.execution_id, t.number),
    "reasonForIncompletion": lambda s, t: t.reason,
    "callbackAfterSeconds": lambda s, t: t.callback_after_s,
    "workerId": lambda s, t: t.worker_id,
    "iteration": lambda s, t: t.iteration,
}

_OWN_TYPE = frozenset({"SWITCH", "DECISION", "JOIN", "EXCLUSIVE_JOIN"})


def task_type(task: TaskState) -> str:
    """The type a record shows: for a worker's task the name of its queue, for forks FORK."""
    kind = task.node.type
    if kind in {"SIMPLE", "DYNAMIC"} or task.status == "SKIPPED":
        return task.name or task.node.name
    return "FORK" if kind in {"FORK_JOIN", "FORK_JOIN_DYNAMIC"} else kind


def task_definition_name(task: TaskState) -> str:
    """The name of the task definition that applies to a record."""
    kind = task.node.type
    if kind in {"FORK_JOIN", "FORK_JOIN_DYNAMIC"}:
        return "FORK"
    return kind if kind in _OWN_TYPE else task.name or task.node.name


class StateScope:
    """The root object of expressions for one execution, at this moment.

    `creating` is the number of the record whose input is being made, for `CPEWF_TASK_ID`.
    """

    __slots__ = ("creating", "environment", "state")

    def __init__(
        self, state: ExecutionState, *, creating: int = 0, environment: Mapping[str, str] | None = None
    ) -> None:
        """Look at this state; `environment` is what the operator made visible to definitions."""
        self.state = state
        self.creating = creating
        self.environment = environment or {}

    def field(self, head: str, name: str | None) -> JsonValue:
        """The field of the workflow or of a task, the whole object if name is None, or MISSING."""
        if head == "workflow":
            return self._workflow(name)
        task = self.state.latest.get(head)
        if task is None:
            return self._system(head, name)
        if name is None:
            return {key: read(self.state, task) for key, read in _TASK.items()}
        read = _TASK.get(name)
        return MISSING if read is None else read(self.state, task)

    def member(self, head: str, name: str, key: str) -> JsonValue:
        """One key of a field, without building the others; raises as `jsonpath.walk_plain`."""
        if name == "output" and head != "workflow":
            task = self.state.latest.get(head)
            if task is None:
                return MISSING
            found, value = member_output(self.state, task, key)
            if not found:
                refuse_stored(task.output, f"${{{head}.output.{key}}}")
            return value if found else MISSING
        container = self.field(head, name)
        if isinstance(container, Mapping) and key in container:
            return container[key]
        refuse_stored(container, f"${{{head}.{name}.{key}}}")
        return MISSING

    def _workflow(self, name: str | None) -> JsonValue:
        if name is None:
            return {key: read(self.state) for key, read in _WORKFLOW.items()}
        if name == "env":
            return self.environment
        read = _WORKFLOW.get(name)
        return MISSING if read is None else read(self.state)

    def _system(self, head: str, name: str | None) -> JsonValue:
        if name is not None:
            return MISSING
        if head == "CPEWF_TASK_ID" and self.creating:
            return task_id(self.state.execution_id, self.creating)
        return self.environment.get(head, MISSING)
