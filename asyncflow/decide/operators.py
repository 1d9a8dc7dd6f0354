"""How the simple operators begin: those that end in the step in which they are scheduled.

Each function gets the record that was just made. Forks, loops and children have modules of
their own; `decide/decider` joins them into one table.
"""

from __future__ import annotations

import json

from asyncflow.decide.durations import check_wait
from asyncflow.decide.ending import end_execution
from asyncflow.decide.flow import complete, fail
from asyncflow.decide.java_text import java_text
from asyncflow.decide.payloads import payload_fault
from asyncflow.decide.step import Begin, Step
from asyncflow.errors import StoredByReference
from asyncflow.ids import task_id
from asyncflow.model.events import CaseChosen, ConditionAsked, MessagePublished, TaskUpdated, VariablesSet
from asyncflow.model.state import TaskState
from asyncflow.model.statuses import COMPLETED, FAILED, FAILED_TERMINALLY, IN_PROGRESS, TERMINATED
from asyncflow.model.values import JsonMapping, JsonObject, JsonValue

SCRIPT_EVALUATORS = frozenset({"javascript", "graaljs"})
_TERMINATE_STATUSES = frozenset({COMPLETED, FAILED, TERMINATED})


# An operator that can end at once does so in the step that makes its record, as in Conductor, where
# a start request returns after all leading operators are done. Scripts cannot: evaluating one takes
# time and may be hostile, so it is an effect, and its value an event; the record stays open meanwhile.


def begin_noop(step: Step, task: TaskState) -> None:
    """NOOP: done."""
    complete(step, task, {})


def begin_set_variable(step: Step, task: TaskState) -> None:
    """SET_VARIABLE: the whole input becomes variables, within their limit."""
    fault = variables_fault(step, task.input)
    if fault is not None:
        fail(step, task, FAILED_TERMINALLY, f"workflow variables: {fault}")
        return
    step.emit(VariablesSet(dict(task.input)))
    complete(step, task, {})


def variables_fault(step: Step, added: JsonMapping) -> str | None:
    """Why these variables cannot be merged in, or None where they can."""
    limit = step.context.limits.variables_bytes
    merged = {**step.state.variables, **added}
    text = json.dumps(merged, ensure_ascii=False, separators=(",", ":"))
    size = len(text.encode("utf-8", "surrogatepass"))
    return None if size <= limit else f"at most {limit} bytes of JSON together, got {size}"


def begin_terminate(step: Step, task: TaskState) -> None:
    """TERMINATE: the task is done and the execution ends with the status it names."""
    status = str(task.input.get("terminationStatus") or "").upper()
    if status not in _TERMINATE_STATUSES:
        fail(step, task, FAILED, f"terminationStatus: one of COMPLETED, FAILED, TERMINATED, got {status!r}")
        return
    given = task.input.get("workflowOutput")
    output: JsonObject = given if isinstance(given, dict) else {} if given is None else {"output": given}
    complete(step, task, output)
    identity = task_id(step.state.execution_id, task.number)
    reason = task.input.get("terminationReason") or f"Workflow is {status} by TERMINATE task: {identity}"
    failed = None if status == COMPLETED else task
    end_execution(step, status, str(reason), failed=failed, output=output)


def begin_event(step: Step, task: TaskState) -> None:
    """EVENT: publish to an internal queue; other providers are plugins."""
    state = step.state
    template = task.node.extra.get("sink")
    sink = "" if template is None else java_text(template.resolve(step.scope(task.number)))
    queue = _internal_queue(state.name, task.ref, sink)
    if queue is None:
        reason = f"No queue found for sink {sink!r}: only conductor: and asyncflow: are built in"
        fail(step, task, FAILED, reason)
        return
    payload: JsonObject = {
        **task.input,
        "sink": sink,
        "asyncComplete": task.node.task.async_complete,
        "workflowInstanceId": state.execution_id,
        "workflowType": state.name,
        "workflowVersion": state.version,
        "correlationId": state.correlation_id,
        "taskToDomain": state.task_to_domain,
        "event_produced": queue,
    }
    step.emit(MessagePublished(task.number, queue, payload))
    if task.node.task.async_complete:
        step.emit(TaskUpdated(task.number, payload, status=IN_PROGRESS, executor="external"))
    else:
        complete(step, task, payload)


def _internal_queue(workflow: str, ref: str, sink: str) -> str | None:
    if sink == "conductor":
        return f"conductor:{workflow}:{ref}"
    provider, separator, rest = sink.partition(":")
    if provider == "conductor" and separator and rest:
        return f"conductor:{workflow}:{rest}"
    if provider == "asyncflow" and separator and rest:
        return sink
    return None


def begin_wait(step: Step, task: TaskState) -> None:
    """WAIT: fails at once on inputs that say no time; a timer or an update ends it."""
    fault = check_wait(task.node, task.input)
    if fault is not None:
        fail(step, task, FAILED_TERMINALLY, fault)


def begin_switch(step: Step, task: TaskState) -> None:
    """SWITCH: a value is looked up now, a script is asked."""
    evaluator = task.node.task.evaluator_type or "value-param"
    expression = task.node.task.expression or ""
    if evaluator == "value-param":
        choose(step, task, task.input.get(expression))
    elif evaluator in SCRIPT_EVALUATORS:
        ask(step, task)
    else:
        reason = f"{task.ref}: No evaluator registered for type {evaluator!r}"
        end_execution(step, FAILED, reason, failed=task)


def begin_decision(step: Step, task: TaskState) -> None:
    """DECISION: the old form of SWITCH."""
    if task.node.task.case_value_param and not task.node.task.case_expression:
        choose(step, task, task.input.get(task.node.task.case_value_param))
    else:
        ask(step, task)


def ask(step: Step, task: TaskState) -> None:
    """Have the record's script evaluated; the answer comes as a report."""
    step.emit(ConditionAsked(task.number))


def choose(step: Step, task: TaskState, value: JsonValue) -> None:
    """Take the case a value selects; an unknown one takes the default, an empty one no branch."""
    try:
        case = java_text(value)
    except StoredByReference as error:
        fail(step, task, FAILED_TERMINALLY, f"{error.code}: {task.ref}: {error}")
        return
    node = task.node
    chosen = node.cases.get(case)
    legacy = node.type == "DECISION"
    branch: str | None
    if chosen is not None and (chosen.nodes or not legacy):
        branch = case if chosen.nodes else None
    else:
        branch = "" if node.default is not None and node.default.nodes else None
    step.emit(CaseChosen(task.number, case, branch))
    output: JsonObject = (
        {"caseOutput": [case]} if legacy else {"evaluationResult": [case], "selectedCase": case}
    )
    complete(step, task, output)


def begin_inline(step: Step, task: TaskState) -> None:
    """INLINE: a value is looked up now; scripts are effects; other evaluators are plugins."""
    evaluator = str(task.input.get("evaluatorType") or "javascript")
    expression = task.input.get("expression")
    if not isinstance(expression, str) or not expression.strip():
        _script_failed(step, task, "INLINE: expression is blank or no text")
    elif evaluator == "value-param":
        complete(step, task, {"result": task.input.get(expression)})
    elif evaluator not in SCRIPT_EVALUATORS:
        _script_failed(step, task, f"INLINE: no evaluator of type {evaluator!r}; python needs a plugin")


def _script_failed(step: Step, task: TaskState, reason: str) -> None:
    fail(step, task, FAILED_TERMINALLY, reason, {"error": reason})


def script_ended(step: Step, task: TaskState, value: JsonValue, error: str | None) -> None:
    """The answer of the script of an INLINE, LAMBDA, JSON_JQ_TRANSFORM, SWITCH or DECISION."""
    kind = task.node.type
    if error is None:
        fault = payload_fault({"result": value}, step.context.limits)
        error = fault and f"limit_exceeded: {fault}: its result is more than can be recorded"
    if kind in {"SWITCH", "DECISION"}:
        if error is None:
            choose(step, task, value)
        elif kind == "DECISION":  # the old form has no failed record, so nothing tolerates it
            end_execution(step, FAILED, f"{task.ref}: {error}", failed=task)
        else:
            fail(step, task, FAILED, error)
    elif error is not None:
        status = FAILED_TERMINALLY if kind == "INLINE" and not error.startswith("time limit") else FAILED
        fail(step, task, status, error, {"error": error})
    elif kind == "JSON_JQ_TRANSFORM":
        results = value if isinstance(value, list) else []
        complete(step, task, {"result": results[0] if results else None, "resultList": results})
    else:
        complete(step, task, {"result": value})


def script_of(task: TaskState, condition: JsonMapping | None = None) -> tuple[str, str, JsonMapping]:
    """Language, source and input of the script a record asks for."""
    kind, node = task.node.type, task.node.task
    if kind == "SWITCH":
        return "javascript", node.expression or "", task.input
    if kind == "DECISION":
        return "javascript", node.case_expression or "", task.input
    if kind == "DO_WHILE":
        return "javascript", node.loop_condition or "", condition or {}
    if kind == "LAMBDA":
        return "lambda", str(task.input.get("scriptExpression") or ""), task.input
    if kind == "JSON_JQ_TRANSFORM":
        return "jq", str(task.input.get("queryExpression") or ""), task.input
    return "javascript", str(task.input.get("expression") or ""), task.input


BEGINNINGS: dict[str, Begin] = {
    "NOOP": begin_noop,
    "SET_VARIABLE": begin_set_variable,
    "TERMINATE": begin_terminate,
    "EVENT": begin_event,
    "WAIT": begin_wait,
    "SWITCH": begin_switch,
    "DECISION": begin_decision,
    "INLINE": begin_inline,
}
