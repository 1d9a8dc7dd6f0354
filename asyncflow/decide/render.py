"""An execution as Conductor shows it: the Workflow and Task objects of its REST API.

A rendering is a view of state at one moment, built on request; nothing is kept. What Conductor
has no word for stands under the one key `asyncflow`.
"""

from __future__ import annotations

from pydantic_core import from_json

from asyncflow.decide import job_view
from asyncflow.decide.evolve_recovery import earlier_output
from asyncflow.decide.gather import input_of, output_of
from asyncflow.decide.policy import retry_delay_s
from asyncflow.decide.scope import task_definition_name, task_type
from asyncflow.decide.snapshots import definition_text, shown_task
from asyncflow.ids import task_id
from asyncflow.model.resources import SLOT_PREFIX
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonObject


def render_execution(
    state: ExecutionState, *, include_tasks: bool = True, include_definition: bool = False
) -> JsonObject:
    """Conductor's Workflow object.

    Cost: linear in the records with `include_tasks`, else independent of their number.
    """
    body: JsonObject = {
        "ownerApp": "",
        "createTime": state.created_ms,
        "updateTime": state.updated_ms,
        "createdBy": state.created_by,
        "status": state.status,
        "endTime": state.ended_ms,
        "workflowId": state.execution_id,
        "workflowName": state.name,
        "workflowVersion": state.version,
        "input": state.input,
        "output": state.output,
        "correlationId": state.correlation_id,
        "reasonForIncompletion": state.reason,
        "taskToDomain": state.task_to_domain,
        "failedReferenceTaskNames": list(state.failed_refs),
        "failedTaskNames": list(state.failed_names),
        "priority": state.priority,
        "variables": state.variables,
        "lastRetriedTime": state.retried_ms,
        "startTime": state.created_ms,
        "event": state.trigger or None,
        "idempotencyKey": state.idempotency_key,
        "rateLimitKey": state.slot.removeprefix(SLOT_PREFIX) or None,
        "rateLimited": state.awaits_slot and bool(state.slot),
        "history": [],
        "asyncflow": _ours_of_all(state),
    }
    if state.parent_id is not None:
        body["parentWorkflowId"] = state.parent_id
        body["parentWorkflowTaskId"] = task_id(state.parent_id, state.parent_number)
    if state.failed_number:
        body["failedTaskId"] = task_id(state.execution_id, state.failed_number)
    if include_definition:
        body["workflowDefinition"] = from_json(definition_text(state.graph))
    body["tasks"] = [render_task(state, t) for t in ordered_tasks(state)] if include_tasks else []
    return {key: value for key, value in body.items() if value is not None}


def _ours_of_all(state: ExecutionState) -> JsonObject:
    """What Conductor has no field for; `routing` is the rule that chose the version.

    `openJobs`: so many have still to come to an end outside, perhaps after the execution. `pausedByStop`: the
    next start of the engine resumes it.
    """
    body: JsonObject = {"epoch": state.epoch, "events": state.seq, "definition": state.graph.hash}
    if state.jobs:
        body["openJobs"] = len(state.jobs)
    if state.paused_by_stop:
        body["pausedByStop"] = True
    return {**body, "routing": state.routing} if state.routing else body


def ordered_tasks(state: ExecutionState) -> list[TaskState]:
    """All records in the order shown to users: by place, skipped ones (place 0) first."""
    return sorted(state.tasks.values(), key=lambda task: task.seq)


def render_task(state: ExecutionState, task: TaskState) -> JsonObject:
    """Conductor's Task object."""
    policy, shown = task.node.policy, shown_task(task.node, keep=_is_shared(state, task))
    delay_s = _delay_s(task)
    body: JsonObject = {
        "taskType": task_type(task),
        "status": task.status,
        "inputData": dict(input_of(task)),
        "referenceTaskName": task.ref,
        "retryCount": task.retry_count,
        "seq": task.seq,
        "correlationId": state.correlation_id,
        "pollCount": task.starts,
        "taskDefName": task_definition_name(task),
        "scheduledTime": task.scheduled_ms,
        "startTime": task.started_ms,
        "endTime": task.ended_ms,
        "updateTime": task.updated_ms,
        "firstStartTime": task.first_scheduled_ms,
        "startDelayInSeconds": delay_s,
        "retried": task.superseded,
        "executed": task.settled,
        "callbackFromWorker": True,
        "responseTimeoutSeconds": int(policy.response_timeout),
        "workflowInstanceId": state.execution_id,
        "workflowType": state.name,
        "taskId": task_id(state.execution_id, task.number),
        "reasonForIncompletion": task.reason,
        "callbackAfterSeconds": int(task.callback_after_s) or delay_s,
        "workerId": task.worker_id or None,
        "outputData": dict(output_of(state, task)),
        "domain": task.domain,
        "rateLimitPerFrequency": policy.rate,
        "rateLimitFrequencyInSeconds": int(policy.rate_window),
        "workflowPriority": state.priority,
        "iteration": task.iteration,
        "loopOverTask": task.loop > 0,
        "workflowTask": shown,
        "taskDefinition": shown["taskDefinition"],
        "runtimeMetadata": {},
        "subworkflowChanged": False,
        "queueWaitTime": max(0, task.started_ms - task.scheduled_ms) if task.started_ms else 0,
        "asyncflow": _ours(state, task),
    }
    if task.retry_of:
        body["retriedTaskId"] = task_id(state.execution_id, task.retry_of)
    if task.more is not None and task.more.child_id is not None:
        body["subWorkflowId"] = task.more.child_id
    if task.loop:
        body["parentTaskId"] = task_id(state.execution_id, task.loop)
    definition = task.node.task.task_definition
    if definition is not None:
        body["isolationGroupId"] = definition.isolation_group_id
        body["executionNameSpace"] = definition.execution_name_space
    return {key: value for key, value in body.items() if value is not None}


def _is_shared(state: ExecutionState, task: TaskState) -> bool:
    """Whether other records may show the node of a record too: not that of a branch made for it alone."""
    fork = state.tasks.get(task.fork) if task.fork else None
    members = None if fork is None or fork.more is None else fork.more.members
    return members is None or len(members.nodes) == 1


def _delay_s(task: TaskState) -> int:
    """The whole seconds a record was held back, without jitter."""
    if not task.due_ms:
        return 0
    if task.retry_of and not task.callback_after_s:
        return int(retry_delay_s(task.node.policy, task.retry_count - 1))
    return max(0, (task.due_ms - task.scheduled_ms) // 1000)


def _ours(state: ExecutionState, task: TaskState) -> JsonObject:
    facts: JsonObject = {
        "number": task.number,
        "epoch": task.epoch,
        "executor": task.executor,
        "state": task.state or task.status,
        "inputBytes": task.input_bytes,
        "outputBytes": task.output_bytes,
    }
    if task.code_version:
        facts["workerVersion"] = task.code_version
    if state.next_job > 1:
        facts.update(job_view.task_facts(state, task))
    if (state.recovering or state.memo is not None) and not task.is_ended:
        facts.update(_earlier(state, task))
    return facts


def _earlier(state: ExecutionState, task: TaskState) -> JsonObject:
    """What a task that is performed again is told, wherever that is: why, and what it had given before."""
    output = earlier_output(state, task)
    facts: JsonObject = {"recovered": task.number in state.recovering}
    return facts if output is None else {**facts, "previousOutputs": output}
