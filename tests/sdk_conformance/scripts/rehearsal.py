"""A workflow tried on the server with outputs made up for its tasks (`/workflow/test`)."""

from __future__ import annotations

from conductor.client.http.models.workflow_test_request import WorkflowTestRequest
from conductor.client.workflow.task.http_task import HttpTask
from conductor.client.workflow.task.simple_task import SimpleTask
from conductor.client.workflow.task.switch_task import SwitchTask

from tests.sdk_conformance.scripts.session import workflow, workflows


def main() -> None:
    found = SimpleTask(task_def_name="sdk_find", task_reference_name="find")
    near = SimpleTask(task_def_name="sdk_deliver", task_reference_name="near")
    far = SimpleTask(task_def_name="sdk_deliver", task_reference_name="far")
    where = SwitchTask(task_ref_name="where", case_expression=found.output("city"))
    where.switch_case("Oslo", [near])
    where.default_case([far])
    asked = HttpTask(task_ref_name="ask", http_input={"uri": "http://nowhere.invalid/"})
    flow = workflow("sdk_rehearsed", asked, found, where)
    outputs = {
        "ask": [{"status": "COMPLETED", "output": {"key": "made up"}}],
        "find": [
            {"status": "FAILED", "output": {"key": "no"}},
            {"status": "COMPLETED", "output": {"city": "Oslo"}},
        ],
        "near": [{"status": "COMPLETED", "output": {"key": "there"}}],
    }
    request = WorkflowTestRequest(
        name=flow.name,
        version=flow.version,
        task_ref_to_mock_output=outputs,
        workflow_def=flow.to_workflow_def(),
    )

    run = workflows.test_workflow(request)

    steps = [(task.reference_task_name, task.status) for task in run.tasks]
    assert run.status == "COMPLETED", (run.status, run.reason_for_incompletion)
    assert steps == [
        ("ask", "COMPLETED"),
        ("find", "FAILED"),
        ("find", "COMPLETED"),
        ("where", "COMPLETED"),
        ("near", "COMPLETED"),
    ], steps
    assert run.tasks[0].output_data["key"] == "made up"


if __name__ == "__main__":
    main()
