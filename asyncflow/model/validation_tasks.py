"""What one task must have by its type, and the rules of a task definition, in Conductor's words.

Each rule yields a part of the task and a message; the place of the task is added by
`model/validation.py`. Syntax of scripts is judged where the interpreter is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from asyncflow.errors import InvalidInput
from asyncflow.model.durations import parse_duration, parse_until
from asyncflow.model.task_definition import TaskDefinition
from asyncflow.model.workflow_definition import WorkflowTask

Finding = tuple[str, str]
"""A part of what is judged, as a path, and why it is refused."""

_Rule = Callable[[WorkflowTask, frozenset[str]], Iterator[Finding]]
_ENDS = {"COMPLETED", "FAILED", "TERMINATED"}

OPERATORS = frozenset({
    "DECISION", "DO_WHILE", "DYNAMIC", "EVENT", "EXCLUSIVE_JOIN", "FORK_JOIN", "FORK_JOIN_DYNAMIC", "HTTP",
    "HUMAN", "INLINE", "JOIN", "JSON_JQ_TRANSFORM", "LAMBDA", "NOOP", "PULL_WORKFLOW_MESSAGES",
    "SET_VARIABLE", "START_WORKFLOW", "SUB_WORKFLOW", "SWITCH", "TERMINATE", "WAIT",
})  # fmt: skip
"""The task types that the engine carries out itself; any other but SIMPLE is a queue of that name."""


def task_violations(task: WorkflowTask, registered: TaskDefinition | None) -> Iterator[Finding]:
    """Why the task by itself is refused.

    Args:
        registered: the registered definition of the task's name; an embedded one wins over it.
    """
    yield from _general(task)
    definition = task.task_definition or registered
    template = definition.input_template if definition is not None else {}
    rule = _RULES.get(task.type)
    if rule is not None:
        yield from rule(task, frozenset([*task.input_parameters, *template]))


def _general(task: WorkflowTask) -> Iterator[Finding]:
    if not task.name:
        yield "name", "WorkflowTask name cannot be empty or null"
    if not task.task_reference_name:
        yield "taskReferenceName", "WorkflowTask taskReferenceName name cannot be empty or null"
    if not task.type:
        yield "type", "WorkflowTask type cannot be empty or null"
    if task.start_delay < 0:
        yield "startDelay", f"startDelay: {task.start_delay} should be minimum 0"
    if task.type == "SIMPLE" and ":" in task.name:
        yield "name", f"task name {task.name!r} must not contain ':', which separates domains in queue names"
    if ":" in task.type:
        yield "type", f"task type {task.type!r} must not contain ':', which separates domains in queue names"


def _required(task: WorkflowTask, part: str) -> Finding:
    return part, f"{part} field is required for taskType: {task.type} taskName: {task.name}"


def _none_empty(task: WorkflowTask, part: str) -> Finding:
    return part, f"{part} should have atleast one task for taskType: {task.type} taskName: {task.name}"


# --- by type ---------------------------------------------------------------------------------


def _event(task: WorkflowTask, _: frozenset[str]) -> Iterator[Finding]:
    if task.sink is None:
        yield _required(task, "sink")


def _decision(task: WorkflowTask, _: frozenset[str]) -> Iterator[Finding]:
    if task.case_value_param is None and task.case_expression is None:
        yield "caseValueParam", _required(task, "caseValueParam or caseExpression")[1]
    if not task.decision_cases:
        yield _none_empty(task, "decisionCases")


def _switch(task: WorkflowTask, _: frozenset[str]) -> Iterator[Finding]:
    if task.evaluator_type is None:
        yield _required(task, "evaluatorType")
    if task.expression is None:
        yield _required(task, "expression")
    if not task.decision_cases:
        yield _none_empty(task, "decisionCases")


def _dynamic(task: WorkflowTask, _: frozenset[str]) -> Iterator[Finding]:
    if task.dynamic_task_name_param is None:
        yield _required(task, "dynamicTaskNameParam")


def _fork(task: WorkflowTask, _: frozenset[str]) -> Iterator[Finding]:
    if not task.fork_tasks:
        yield _none_empty(task, "forkTasks")
    for index, branch in enumerate(task.fork_tasks):
        if not branch:
            yield f"forkTasks[{index}]", f"a branch of a fork must not be empty, taskName: {task.name}"


def _dynamic_fork(task: WorkflowTask, keys: frozenset[str]) -> Iterator[Finding]:
    tasks, inputs = task.dynamic_fork_tasks_param, task.dynamic_fork_tasks_input_param_name
    legacy = task.dynamic_fork_join_tasks_param
    if legacy is not None and (tasks is not None or inputs is not None):
        message = (
            "dynamicForkJoinTasksParam excludes dynamicForkTasksParam and dynamicForkTasksInputParamName "
            f"for taskType: {task.type} taskName: {task.name}"
        )
        yield "dynamicForkJoinTasksParam", message
    if "forkTaskInputs" in keys or legacy is not None:
        return
    if tasks is None:
        yield _required(task, "dynamicForkTasksParam")
    if inputs is None:
        yield _required(task, "dynamicForkTasksInputParamName")


def _http(task: WorkflowTask, keys: frozenset[str]) -> Iterator[Finding]:
    if not keys & {"http_request", "uri", "method"}:
        yield _required(task, "inputParameters.http_request")


def _kafka(task: WorkflowTask, keys: frozenset[str]) -> Iterator[Finding]:
    if "kafka_request" not in keys:
        yield _required(task, "inputParameters.kafka_request")


def _jq(task: WorkflowTask, keys: frozenset[str]) -> Iterator[Finding]:
    if "queryExpression" not in keys:
        yield _required(task, "inputParameters.queryExpression")


def _terminate(task: WorkflowTask, _: frozenset[str]) -> Iterator[Finding]:
    status = task.input_parameters.get("terminationStatus")
    if not isinstance(status, str) or status not in _ENDS:
        message = (
            "terminate task must have an terminationStatus parameter and must be set to COMPLETED or FAILED, "
            f"taskName: {task.name}"
        )
        yield "inputParameters.terminationStatus", message
    if task.optional:
        yield "optional", f"terminate task cannot be optional, taskName: {task.name}"


def _loop(task: WorkflowTask, _: frozenset[str]) -> Iterator[Finding]:
    if task.loop_condition is None:
        yield _required(task, "loopCondition")
    if not task.loop_over:
        yield _required(task, "loopOver")


def _sub_workflow(task: WorkflowTask, _: frozenset[str]) -> Iterator[Finding]:
    params = task.sub_workflow_param
    if params is None:
        yield _required(task, "subWorkflowParam")
    elif not params.name and params.workflow_definition is None:
        yield (
            "subWorkflowParam.name",
            f"a name or a workflowDefinition is required for taskType: {task.type} taskName: {task.name}",
        )


def _wait(task: WorkflowTask, _: frozenset[str]) -> Iterator[Finding]:
    given = [key for key in ("duration", "until") if key in task.input_parameters]
    if len(given) == 2:
        yield (
            "inputParameters",
            f"Both 'duration' and 'until' specified. Please provide only one input, taskName: {task.name}",
        )
        return
    for key in given:
        message = _wait_fault(key, task.input_parameters[key])
        if message:
            yield f"inputParameters.{key}", f"{message}, taskName: {task.name}"


def _wait_fault(key: str, value: object) -> str | None:
    if value is None:
        return "Either date or duration is passed as null "
    if isinstance(value, str) and "${" in value:
        return None
    try:
        if key == "duration":
            parse_duration(str(value))
        else:
            parse_until(str(value), zone="UTC")
    except InvalidInput as error:
        return str(error)
    return None


_RULES: dict[str, _Rule] = {
    "EVENT": _event,
    "DECISION": _decision,
    "SWITCH": _switch,
    "DYNAMIC": _dynamic,
    "FORK_JOIN": _fork,
    "FORK_JOIN_DYNAMIC": _dynamic_fork,
    "HTTP": _http,
    "KAFKA_PUBLISH": _kafka,
    "JSON_JQ_TRANSFORM": _jq,
    "TERMINATE": _terminate,
    "DO_WHILE": _loop,
    "SUB_WORKFLOW": _sub_workflow,
    "WAIT": _wait,
}


# --- task definitions ------------------------------------------------------------------------

_AT_LEAST_ZERO = (
    "retryCount", "retryDelaySeconds", "maxRetryDelaySeconds", "backoffJitterMs", "pollTimeoutSeconds",
    "totalTimeoutSeconds", "timeoutSeconds", "concurrentExecLimit", "rateLimitPerFrequency",
)  # fmt: skip


def task_definition_violations(definition: TaskDefinition) -> Iterator[Finding]:
    """Why the task definition is refused, its extension left aside."""
    name = definition.name
    if not name:
        yield "name", "TaskDef name cannot be null or empty"
    if ":" in name:
        yield "name", f"task name {name!r} must not contain ':', which separates domains in queue names"
    for field, info in TaskDefinition.model_fields.items():
        value = getattr(definition, field)
        if info.alias in _AT_LEAST_ZERO and value is not None and value < 0:
            yield info.alias, f"TaskDef {info.alias}: {value} must be >= 0"
    if definition.backoff_scale_factor < 1:
        yield (
            "backoffScaleFactor",
            f"TaskDef backoffScaleFactor: {definition.backoff_scale_factor} must be >= 1",
        )
    window = definition.rate_limit_frequency_in_seconds
    if window is not None and window < 0:
        yield "rateLimitFrequencyInSeconds", f"TaskDef rateLimitFrequencyInSeconds: {window} must be >= 0"
    yield from _timeout_violations(definition)


def _timeout_violations(definition: TaskDefinition) -> Iterator[Finding]:
    name, response = definition.name, definition.response_timeout_seconds
    timeout, total = definition.timeout_seconds, definition.total_timeout_seconds
    if response < 1:
        message = f"TaskDef responseTimeoutSeconds: {response} should be minimum 1 second"
        yield "responseTimeoutSeconds", message
    if 0 < timeout < response:
        message = f"responseTimeoutSeconds: {response} must be less than timeoutSeconds: {timeout}"
        yield "responseTimeoutSeconds", f"TaskDef: {name} {message}"
    if 0 < total < timeout:
        message = f"timeoutSeconds: {timeout} must be less than or equal to totalTimeoutSeconds: {total}"
        yield "timeoutSeconds", f"TaskDef: {name} {message}"
