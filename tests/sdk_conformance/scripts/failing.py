"""Workers that fail, are tried again, give up for good, and say that they are not done yet."""

# No postponed annotations: the SDK takes the inputs by the types of the parameters themselves.

from conductor.client.http.models import TaskDef
from conductor.client.worker.exception import NonRetryableException
from conductor.client.worker.worker_task import worker_task

from tests.sdk_conformance.scripts.session import ended, metadata, tasks, workers, workflow

try:
    from conductor.client.context.task_context import TaskInProgress, get_task_context
except ImportError:  # before 1.3
    TaskInProgress = None


@worker_task(task_definition_name="sdk_fails")
def fails(times: int, key: str) -> str:
    """Fails until it has been tried so often, and counts by the logs on the server."""
    raise ValueError(f"{key} failed, of {times}")


@worker_task(task_definition_name="sdk_gives_up")
def gives_up(reason: str) -> str:
    raise NonRetryableException(reason)


@worker_task(task_definition_name="sdk_not_yet")
def not_yet(rounds: int) -> object:
    """Comes back so often before it is done."""
    if TaskInProgress is None:
        return {"polls": 1}
    polls = get_task_context().get_poll_count()
    if polls < rounds:
        return TaskInProgress(callback_after_seconds=1, output={"polls": polls})
    return {"polls": polls}


def defined(name: str, retries: int) -> None:
    task = TaskDef(name=name)
    task.retry_count = retries
    task.retry_delay_seconds = 0
    task.timeout_seconds = 60
    task.response_timeout_seconds = 30
    metadata.register_task_def(task)


def main() -> None:
    defined("sdk_fails", 2)
    defined("sdk_gives_up", 5)
    with workers():
        first = workflow("sdk_failing", fails(task_ref_name="fails", times=3, key="this"))
        failed = ended(first.start_workflow_with_input({}), "FAILED")
        second = workflow("sdk_giving_up", gives_up(task_ref_name="gives_up", reason="no such account"))
        gave_up = ended(second.start_workflow_with_input({}), "FAILED")
        third = workflow("sdk_coming_back", not_yet(task_ref_name="not_yet", rounds=2))
        came_back = ended(third.start_workflow_with_input({}))

    assert [task.status for task in failed.tasks] == ["FAILED"] * 3
    assert [task.retry_count for task in failed.tasks] == [0, 1, 2]
    assert "this failed, of 3" in failed.tasks[0].reason_for_incompletion
    assert "this failed, of 3" in failed.reason_for_incompletion
    told = tasks.get_task_logs(failed.tasks[0].task_id)
    assert any("ValueError" in line.log for line in told), told

    assert [task.status for task in gave_up.tasks] == ["FAILED_WITH_TERMINAL_ERROR"]
    assert "no such account" in gave_up.reason_for_incompletion
    assert came_back.tasks[0].output_data["polls"] == (1 if TaskInProgress is None else 2)


if __name__ == "__main__":
    main()
