"""Workers that register their task at their start, in every way that this SDK has."""

# No postponed annotations: the SDK takes the inputs by the types of the parameters themselves.

import inspect

from conductor.client.http.models import TaskDef
from conductor.client.worker.worker_task import worker_task

from tests.sdk_conformance.scripts.session import ended, metadata, not_in_this_version, workers, workflow

OPTIONS = inspect.signature(worker_task).parameters


def template(**fields: object) -> dict[str, object]:
    """The options that register a task, as far as this version has them."""
    wanted: dict[str, object] = {"register_task_def": True}
    if "task_def" in OPTIONS:
        wanted["task_def"] = TaskDef(name="template", **fields)
    return {name: value for name, value in wanted.items() if name in OPTIONS}


@worker_task(task_definition_name="sdk_registered", **template(retry_count=7, response_timeout_seconds=30))
def registered(name: str) -> str:
    return f"hello {name}"


@worker_task(
    task_definition_name="sdk_kept",
    **template(retry_count=7, response_timeout_seconds=30),
    **({"overwrite_task_def": False} if "overwrite_task_def" in OPTIONS else {}),
)
def kept(name: str) -> str:
    return f"bye {name}"


def retries(name: str) -> object:
    found = metadata.get_task_def(name)
    return found["retryCount"] if isinstance(found, dict) else found.retry_count


def main() -> None:
    if "register_task_def" not in OPTIONS:
        not_in_this_version("workers register tasks from 1.3 on")
    metadata.register_task_def(TaskDef(name="sdk_kept", retry_count=1, response_timeout_seconds=30))
    flow = workflow(
        "sdk_registering", registered(task_ref_name="one", name="Ada"), kept(task_ref_name="two", name="Ada")
    )
    with workers():
        whole = ended(flow.start_workflow_with_input({}))

    assert whole.tasks[1].output_data == {"result": "bye Ada"}
    if "task_def" in OPTIONS:
        assert retries("sdk_registered") == 7
        assert retries("sdk_kept") == 1


if __name__ == "__main__":
    main()
