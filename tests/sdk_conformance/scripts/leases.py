"""A worker that takes longer than its response timeout, and says meanwhile that it is at it."""

# No postponed annotations: the SDK takes the inputs by the types of the parameters themselves.

from conductor.client.http.models import TaskDef
from conductor.client.worker.worker_task import worker_task

from tests.sdk_conformance.scripts.session import (
    ended,
    metadata,
    not_in_this_version,
    tasks,
    until,
    workers,
    workflow,
)

TIMEOUT_SECONDS = 6  # the SDK looks every second whether four fifths of it have passed

try:
    from conductor.client.context.task_context import get_task_context

    @worker_task(task_definition_name="sdk_slow", lease_extend_enabled=True)
    def slow() -> dict[str, object]:
        """Ends once the server has seen it alive for longer than the timeout."""
        task_id = get_task_context().get_task_id()

        def outlived() -> float:
            task = tasks.get_task(task_id)
            alive = (task.update_time - task.start_time) / 1000
            return alive if alive > TIMEOUT_SECONDS else 0

        return {"alive": until(outlived)}
except (ImportError, TypeError):
    get_task_context = None


def main() -> None:
    if get_task_context is None:
        not_in_this_version("leases are extended from 1.3 on")
    task = TaskDef(name="sdk_slow")
    task.retry_count = 0
    task.timeout_seconds = 60
    task.response_timeout_seconds = TIMEOUT_SECONDS
    metadata.register_task_def(task)
    flow = workflow("sdk_leases", slow(task_ref_name="slow"))
    with workers():
        whole = ended(flow.start_workflow_with_input({}))

    assert [each.status for each in whole.tasks] == ["COMPLETED"]
    assert whole.tasks[0].output_data["alive"] > TIMEOUT_SECONDS


if __name__ == "__main__":
    main()
