"""The client of tasks, by hand: polls, updates, logs, queues."""

from __future__ import annotations

from typing import Any

from conductor.client.workflow.task.simple_task import SimpleTask

from tests.sdk_conformance.scripts.session import ended, result, shown, tasks, until, workflow

QUEUE = "sdk_by_hand"


def started(count: int) -> list[str]:
    steps = [SimpleTask(QUEUE, "one"), SimpleTask(QUEUE, "two")]
    flow = workflow("sdk_polled", *steps)
    flow.register(overwrite=True)
    return [str(flow.start_workflow_with_input({"n": n})) for n in range(count)]


def main() -> None:
    nothing = tasks.poll_task(QUEUE, worker_id="nobody")  # newer clients make an empty task of a 204
    assert nothing is None or nothing.task_id is None, nothing
    assert tasks.batch_poll_tasks(QUEUE, worker_id="nobody", count=3, timeout_in_millisecond=100) == []
    ids = started(3)
    assert until(lambda: tasks.get_queue_size_for_task(QUEUE)) == 3

    first = tasks.poll_task(QUEUE, worker_id="by hand")
    assert first.workflow_instance_id in ids
    assert (first.status, first.reference_task_name, first.task_def_name) == ("IN_PROGRESS", "one", QUEUE)
    assert first.input_data == {}
    rest = all_that_is_left(2)
    assert len({first.task_id, *(task.task_id for task in rest)}) == 3
    assert tasks.get_task(first.task_id).worker_id == "by hand"
    assert any(row.queue_name == QUEUE for row in tasks.get_task_poll_data(QUEUE))

    tasks.add_task_log(first.task_id, 'a line with "quotes" and ünicode')
    lines = until(lambda: tasks.get_task_logs(first.task_id))
    assert "quotes" in lines[0].log

    assert tasks.update_task(result(first, n=1)) == first.task_id
    tasks.update_task(result(rest[0], "FAILED_WITH_TERMINAL_ERROR", n=2))
    ended(rest[0].workflow_instance_id, "FAILED")
    by_reference(first.workflow_instance_id)
    tasks.update_task(result(rest[1]))
    assert len(shown(rest[1].workflow_instance_id)) == 2


def all_that_is_left(count: int) -> list[Any]:
    """So many tasks by batches: a server may keep some back for others that polled a moment ago."""
    got: list[Any] = []

    def look() -> bool:
        got.extend(tasks.batch_poll_tasks(QUEUE, worker_id="by hand", count=5, timeout_in_millisecond=500))
        return len(got) >= count

    until(look)
    return got


def by_reference(execution_id: str) -> None:
    """The second task, by its reference: still going, then done and answered with the execution."""
    tasks.update_task_by_ref_name(execution_id, "two", "IN_PROGRESS", {"half": True})
    whole = tasks.update_task_sync(execution_id, "two", "COMPLETED", {"whole": True})
    assert whole.workflow_id == execution_id
    assert whole.status == "COMPLETED", whole.status
    assert whole.tasks[1].output_data["whole"] is True
    assert tasks.update_task_by_ref_name(execution_id, "two", "COMPLETED", {}) in ("", None)


if __name__ == "__main__":
    main()
