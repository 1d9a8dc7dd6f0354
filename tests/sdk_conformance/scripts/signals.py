"""Signals to a waiting task, also in a child, with and without waiting for what comes of them."""

from __future__ import annotations

from conductor.client.configuration.configuration import Configuration
from conductor.client.http.api.task_resource_api import TaskResourceApi
from conductor.client.http.api_client import ApiClient
from conductor.client.workflow.task.sub_workflow_task import SubWorkflowTask
from conductor.client.workflow.task.wait_task import WaitTask

from tests.sdk_conformance.scripts.session import ended, not_in_this_version, refused, waiting, workflow


def started() -> str:
    child = workflow("sdk_signalled_child", WaitTask(task_ref_name="inner"))
    child.register(overwrite=True)
    into = SubWorkflowTask(task_ref_name="child", workflow_name="sdk_signalled_child", version=1)
    flow = workflow(
        "sdk_signalled",
        WaitTask(task_ref_name="first"),
        into,
        WaitTask(task_ref_name="third"),
        WaitTask(task_ref_name="fourth"),
    )
    return str(flow.start_workflow_with_input({}))


def main() -> None:
    api = TaskResourceApi(ApiClient(Configuration()))
    if not hasattr(api, "signal_workflow_task_sync"):
        not_in_this_version("signals came with 1.2")
    execution_id = started()
    waiting(execution_id, "first")

    api.signal_workflow_task_async(execution_id, "COMPLETED", {"n": 1})
    task = waiting(execution_id, "first", "COMPLETED")
    assert task.output_data["n"] == 1
    child = waiting(execution_id, "child")
    waiting(child.sub_workflow_id, "inner")

    answer = api.signal_workflow_task_sync(
        execution_id, "COMPLETED", {"n": 2}, return_strategy="TARGET_WORKFLOW"
    )
    assert answer.response_type == "TARGET_WORKFLOW", answer
    assert answer.target_workflow_id == execution_id
    waiting(execution_id, "third")
    assert waiting(child.sub_workflow_id, "inner", "COMPLETED").output_data["n"] == 2

    answer = api.signal_workflow_task_sync(
        execution_id, "COMPLETED", {"n": 3}, return_strategy="BLOCKING_TASK"
    )
    assert answer.response_type == "BLOCKING_TASK", answer
    assert answer.reference_task_name == "fourth"

    api.signal_workflow_task_async(execution_id, "FAILED", {"n": 4})
    ended(execution_id, "FAILED")
    with refused(404):
        api.signal_workflow_task_sync(execution_id, "COMPLETED", {})


if __name__ == "__main__":
    main()
