"""What a client does with an execution, in the order of the SDK's own example of it, and more."""

from __future__ import annotations

import uuid
from typing import Any

from conductor.client.http.models import (
    RerunWorkflowRequest,
    SkipTaskRequest,
    StartWorkflowRequest,
)
from conductor.client.workflow.task.simple_task import SimpleTask
from conductor.client.workflow.task.wait_task import WaitTask

from tests.sdk_conformance.scripts.session import (
    ended,
    refused,
    result,
    shown,
    tasks,
    waiting,
    workflow,
    workflows,
)


def flow() -> Any:
    return workflow(
        "sdk_operations",
        WaitTask(task_ref_name="a_moment", wait_for_seconds=1),
        WaitTask(task_ref_name="for_somebody"),
        SimpleTask(task_def_name="sdk_nobody", task_reference_name="last"),
    )


def start(correlation: str) -> str:
    request = StartWorkflowRequest(input={"n": 1}, correlation_id=correlation)
    return str(flow().start_workflow(request))


def steered(execution_id: str) -> None:
    """Terminated, retried, answered, run again from a task, restarted, paused and resumed."""
    assert shown(execution_id)[-1].reference_task_name == "a_moment"
    waiting(execution_id, "for_somebody")
    with refused(409):
        workflows.restart_workflow(execution_id)

    workflows.terminate_workflow(execution_id, reason="testing")
    stopped = ended(execution_id, "TERMINATED")
    assert stopped.reason_for_incompletion == "testing"
    assert stopped.tasks[-1].status == "CANCELED"

    workflows.retry_workflow(execution_id)
    task = waiting(execution_id, "for_somebody")
    tasks.update_task(result(task, greeting="hello"))
    assert waiting(execution_id, "last", "SCHEDULED")
    assert tasks.get_task(task.task_id).output_data["greeting"] == "hello"

    workflows.terminate_workflow(execution_id, reason="before running it again")
    again = RerunWorkflowRequest()
    again.re_run_from_task_id = next(
        each.task_id
        for each in shown(execution_id)
        if (each.reference_task_name, each.status) == ("for_somebody", "COMPLETED")
    )
    workflows.rerun_workflow(execution_id, rerun_workflow_request=again)
    waiting(execution_id, "for_somebody")

    workflows.terminate_workflow(execution_id, reason="before a restart")
    workflows.restart_workflow(execution_id)
    assert len(shown(execution_id)) == 1

    workflows.pause_workflow(execution_id)
    assert workflows.get_workflow(execution_id).status == "PAUSED"
    workflows.pause_workflow(execution_id)
    waiting(execution_id, "a_moment", "COMPLETED")
    assert len(shown(execution_id)) == 1, "a paused execution goes no further"
    workflows.resume_workflow(execution_id)
    waiting(execution_id, "for_somebody")


def skipped(execution_id: str) -> None:
    """A task that was never scheduled is skipped; what was left out does not run."""
    skip = SkipTaskRequest(task_output={"by": "hand"})
    workflows.skip_task_from_workflow(execution_id, "last", skip)
    tasks.update_task_by_ref_name(execution_id, "for_somebody", "COMPLETED", {"ok": True})
    whole = ended(execution_id)
    statuses = {task.reference_task_name: task.status for task in whole.tasks}
    assert statuses == {"a_moment": "COMPLETED", "for_somebody": "COMPLETED", "last": "SKIPPED"}, statuses


def found(correlation: str, execution_id: str) -> None:
    """By search, and by correlation id, which is what clients of this name do."""
    query = f'correlationId = "{correlation}" '
    hits = workflows.search(start=0, size=100, free_text="*", query=query)
    assert [hit.workflow_id for hit in hits.results] == [execution_id], hits
    assert getattr(hits, "total_hits", 1) == 1  # the model of some versions has no such field
    none = f' status IN (RUNNING) AND correlationId = "{uuid.uuid4()}" '
    assert workflows.search(start=0, size=100, free_text="*", query=none).results == []
    by_id = workflows.get_by_correlation_ids(
        "sdk_operations", [correlation], include_completed=True, include_tasks=True
    )
    assert [each.workflow_id for each in by_id[correlation]] == [execution_id]


def main() -> None:
    correlation = f"order {uuid.uuid4()}"
    execution_id = start(correlation)
    steered(execution_id)
    skipped(execution_id)
    found(correlation, execution_id)
    workflows.delete_workflow(execution_id)
    with refused(404):
        workflows.get_workflow(execution_id)


if __name__ == "__main__":
    main()
