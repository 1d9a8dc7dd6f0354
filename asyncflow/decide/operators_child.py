"""SUB_WORKFLOW and START_WORKFLOW: executions that executions start.

Parent and child change in one commit: the start of the child is a message of the step that
schedules its task, and the child's end comes back as one.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncflow.decide.ending import end_execution
from asyncflow.decide.flow import complete, fail
from asyncflow.decide.gather import input_of
from asyncflow.decide.holds import in_force, passed_down
from asyncflow.decide.java_text import java_text
from asyncflow.decide.step import MAX_DEPTH, Begin, Step
from asyncflow.errors import DefinitionError
from asyncflow.ids import child_id, derived_id, task_id
from asyncflow.model.definition import WorkflowDefinition, parse_workflow
from asyncflow.model.events import ChildStarted
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import ChildEnded, StartExecution
from asyncflow.model.resources import TOP_PRIORITY
from asyncflow.model.state import TaskState
from asyncflow.model.statuses import CANCELED, COMPLETED, FAILED, FAILED_TERMINALLY, TERMINATED
from asyncflow.model.validation import validate_workflow
from asyncflow.model.values import JsonMapping, JsonObject, JsonValue

# The record's input says everything about the child that expressions could change, so beginning it
# reads the record and resolves nothing: held back by a delay, or begun again after a recovery, it
# starts the same child. The id is derived from the record and its epoch; a start that is delivered
# twice finds the execution there. A child that was started is either open, and then its task is, or
# it was told to end: `ending.release_child` sees to tasks that end before their child does.


def begin_child(step: Step, task: TaskState) -> None:
    """SUB_WORKFLOW: start the child in the same commit."""
    state = step.state
    if state.depth + 1 > MAX_DEPTH:
        reason = f"limit_exceeded: sub-workflow depth: at most {MAX_DEPTH}"
        fail(step, task, FAILED_TERMINALLY, reason)
        return
    graph = _child_graph(step, task)
    if isinstance(graph, str):
        end_execution(step, FAILED, f"{task.ref}: {graph}", failed=task)
        return
    identity = child_id(
        state.execution_id,
        task_id(state.execution_id, task.number),
        retry_count=task.retry_count,
        epoch=task.epoch,
    )
    domains = task.input.get("subWorkflowTaskToDomain")
    step.emit(ChildStarted(task.number, identity, in_force(state)))
    step.send(
        identity,
        StartExecution(
            graph.hash,
            _child_input(task),
            state.correlation_id,
            _priority(task.input.get("priority"), state.priority),
            _texts(domains) if isinstance(domains, Mapping) else state.task_to_domain or None,
            state.execution_id,
            task.number,
            state.depth + 1,
            slots=[*state.slots, state.slot] if state.slot else list(state.slots) or None,
            holds=passed_down(state),
        ),
        graph=graph,
    )


def _child_input(task: TaskState) -> JsonObject:
    """`workflowInput`, or the whole record input where that is empty; inline children are marked."""
    given = task.input.get("workflowInput")
    child_input = dict(given) if isinstance(given, Mapping) and given else dict(input_of(task))
    param = task.node.task.sub_workflow_param
    if param is not None and param.workflow_definition is not None:
        child_input["_systemMetadata"] = {"dynamic": True}
    return child_input


def _priority(given: JsonValue, otherwise: int) -> int:
    """The priority that data gives, the nearest there is; `otherwise` where it gives no integer."""
    if not isinstance(given, int) or isinstance(given, bool):
        return otherwise
    return min(max(given, 0), TOP_PRIORITY)


def _texts(domains: Mapping[str, JsonValue]) -> dict[str, str]:
    """A map of domains that data gives; a name mapped to null has none."""
    return {key: java_text(value) for key, value in domains.items() if value is not None}


def _child_graph(step: Step, task: TaskState) -> Graph | str:
    """The definition of the child: inline, by an expression, or registered; or why there is none."""
    param = task.node.task.sub_workflow_param
    if param is None:
        asked = f"taskType: SUB_WORKFLOW taskName: {task.node.name}"
        return f"subWorkflowParam field is required for {asked}"
    if isinstance(param.workflow_definition, WorkflowDefinition):
        return step.context.catalog.inline(param.workflow_definition)
    body, name = task.input.get("subWorkflowDefinition"), task.input.get("subWorkflowName")
    try:
        if body is not None:
            return _inline(step, body)
    except DefinitionError as error:
        return f"subWorkflowParam.workflowDefinition: {error}"
    graph = step.context.catalog.latest(str(name), param.version or None) if name else None
    return graph or f"no such workflow: {name} (version {param.version or 'latest'})"


def _inline(step: Step, body: JsonValue) -> Graph:
    """A definition that came as data, checked like one that is registered."""
    definition = parse_workflow(body, limits=step.context.limits)
    violations = validate_workflow(definition, limits=step.context.limits)
    if violations:
        raise DefinitionError(violations)
    return step.context.catalog.inline(definition)


def child_ended(step: Step, task: TaskState, ended: ChildEnded) -> None:
    """The child of a SUB_WORKFLOW task reached its end."""
    more = task.more
    if task.is_ended or task.superseded or more is None or more.child_id != ended.child_id:
        return
    output: JsonObject = {**(task.output or {}), **ended.output}
    if ended.status == COMPLETED:
        complete(step, task, output)
        return
    status = CANCELED if ended.status == TERMINATED else ended.status
    fail(step, task, status, f"Sub workflow {ended.child_id} failure reason: {ended.reason or ''}", output)


def begin_start_workflow(step: Step, task: TaskState) -> None:
    """START_WORKFLOW: start another execution and do not wait for it."""
    state = step.state
    request = task.input.get("startWorkflow")
    if not isinstance(request, Mapping):
        fail(step, task, FAILED, "startWorkflow: missing, or not a start request")
        return
    graph = _requested_graph(step, request)
    if isinstance(graph, str):
        fail(step, task, FAILED, graph)
        return
    given, domains = request.get("input"), request.get("taskToDomain")
    identity = derived_id("start", state.execution_id, task.number, task.retry_count, task.epoch)
    correlation = request.get("correlationId")
    step.send(
        identity,
        StartExecution(
            graph.hash,
            dict(given) if isinstance(given, Mapping) else {},
            state.correlation_id if correlation is None else java_text(correlation),
            _priority(request.get("priority"), 0),
            _texts(domains) if isinstance(domains, Mapping) and domains else state.task_to_domain or None,
            trigger=f"start by {state.execution_id}",
        ),
        graph=graph,
    )
    complete(step, task, {"workflowId": identity})


def _requested_graph(step: Step, request: JsonMapping) -> Graph | str:
    """The definition a start request names or carries, or why there is none."""
    body = request.get("workflowDef")
    if body is not None:
        try:
            return _inline(step, body)
        except DefinitionError as error:
            return f"startWorkflow.workflowDef: {error}"
    name, version = request.get("name"), request.get("version")
    if not name:
        return "startWorkflow.name: missing"
    if version is not None and (not isinstance(version, int) or isinstance(version, bool)):
        return "startWorkflow.version: not an integer"
    graph = step.context.catalog.latest(str(name), version or None)
    return graph or f"no such workflow: {name} (version {version or 'latest'})"


BEGINNINGS: dict[str, Begin] = {"SUB_WORKFLOW": begin_child, "START_WORKFLOW": begin_start_workflow}
