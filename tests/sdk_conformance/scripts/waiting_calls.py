"""Calls that wait: execution to its end, until a task, no longer than told, and every return strategy."""

from __future__ import annotations

from typing import Any

from conductor.client.http.models import StartWorkflowRequest
from conductor.client.workflow.task.set_variable_task import SetVariableTask
from conductor.client.workflow.task.simple_task import SimpleTask
from conductor.client.workflow.task.wait_task import WaitTask

from tests.sdk_conformance.scripts.session import executor, tasks, workflow, workflows


def flow() -> Any:
    named = SetVariableTask(task_ref_name="named")
    named.input_parameters.update({"greeting": "hello ${workflow.input.name}"})
    made = workflow(
        "sdk_waiting",
        named,
        WaitTask(task_ref_name="answer"),
        SimpleTask(task_def_name="sdk_never_polled", task_reference_name="never"),
    )
    made.output_parameters({"greeting": "${workflow.variables.greeting}"})
    return made


def request() -> StartWorkflowRequest:
    return StartWorkflowRequest(name="sdk_waiting", version=1, input={"name": "Ada"})


def execution() -> None:
    """Returned at the task that blocks, at the task that is named, and after the seconds."""
    flow().register(overwrite=True)
    blocked = executor.execute(name="sdk_waiting", version=1, workflow_input={"name": "Ada"})
    assert blocked.status == "RUNNING"
    assert blocked.variables == {"greeting": "hello Ada"}

    named = workflows.execute_workflow(request(), wait_until_task_ref="named", wait_for_seconds=20)
    assert named.status == "RUNNING"
    assert [task.reference_task_name for task in named.tasks][:1] == ["named"]

    tasks.update_task_by_ref_name(named.workflow_id, "answer", "COMPLETED", {})
    only = workflow("sdk_long", SimpleTask("sdk_never_polled", "never"))
    late = only.execute({}, wait_for_seconds=1)
    assert late.status == "RUNNING"
    assert late.tasks[0].status == "SCHEDULED"
    for each in (blocked, named, late):
        workflows.terminate_workflow(each.workflow_id, reason="enough")


def strategies() -> None:
    """What of the execution comes back, as the newer clients ask for it."""
    if not hasattr(workflows, "execute_workflow_with_return_strategy"):
        return
    for strategy, names in {
        "TARGET_WORKFLOW": {"variables", "tasks", "status"},
        "BLOCKING_WORKFLOW": {"variables", "tasks", "status"},
        "BLOCKING_TASK": {"task_id", "reference_task_name", "status"},
        "BLOCKING_TASK_INPUT": {"task_id", "reference_task_name", "status"},
    }.items():
        answer = workflows.execute_workflow_with_return_strategy(
            request(), wait_for_seconds=10, return_strategy=strategy
        )
        assert answer.response_type == strategy, answer
        assert answer.target_workflow_id
        assert answer.workflow_id
        absent = [name for name in names if getattr(answer, name) is None]
        assert not absent, (strategy, absent)
        if strategy.startswith("BLOCKING_TASK"):
            assert answer.reference_task_name == "answer"
        workflows.terminate_workflow(answer.target_workflow_id, reason="enough")


if __name__ == "__main__":
    execution()
    strategies()
