"""Task and workflow definitions: registered, changed, read, listed, refused and deleted."""

from __future__ import annotations

from conductor.client.http.models import TaskDef, WorkflowDef, WorkflowTask

from tests.sdk_conformance.scripts.session import metadata, refused


def tasks() -> None:
    task = TaskDef(name="sdk_defined")
    task.retry_count = 5
    task.retry_logic = "EXPONENTIAL_BACKOFF"
    task.retry_delay_seconds = 2
    task.timeout_seconds = 120
    task.response_timeout_seconds = 60
    task.concurrent_exec_limit = 3
    task.rate_limit_per_frequency = 100
    task.rate_limit_frequency_in_seconds = 10
    task.input_keys = ["a", "b"]
    task.description = "with all that a task can have"

    metadata.register_task_def(task)
    stored = metadata.get_task_def("sdk_defined")
    # The older clients hand out what was sent as a plain dict.
    read = stored if isinstance(stored, dict) else stored.to_dict()
    assert _told(read, "retry_count", "retryCount") == 5
    assert _told(read, "retry_logic", "retryLogic") == "EXPONENTIAL_BACKOFF"
    assert _told(read, "concurrent_exec_limit", "concurrentExecLimit") == 3
    assert _told(read, "input_keys", "inputKeys") == ["a", "b"]

    task.retry_count = 1
    metadata.update_task_def(task)
    names = {each["name"] if isinstance(each, dict) else each.name for each in metadata.get_all_task_defs()}
    assert "sdk_defined" in names
    metadata.unregister_task_def("sdk_defined")
    with refused(404):
        metadata.get_task_def("sdk_defined")
    with refused(404):
        metadata.unregister_task_def("sdk_defined")
    with refused(404):
        metadata.update_task_def(task)


def _told(definition: dict[str, object], *names: str) -> object:
    return next((definition[name] for name in names if definition.get(name) is not None), None)


def defined(version: int, description: str) -> WorkflowDef:
    step = WorkflowTask(name="sdk_step", task_reference_name="step", type="SIMPLE")
    step.input_parameters = {"n": "${workflow.input.n}", "nothing": None}
    made = WorkflowDef(name="sdk_workflow", version=version, tasks=[step])
    made.description = description
    made.input_parameters = ["n"]
    made.output_parameters = {"n": "${step.output.n}"}
    made.timeout_seconds = 0
    return made


def workflows() -> None:
    metadata.register_workflow_def(defined(1, "first"), overwrite=True)
    metadata.register_workflow_def(defined(2, "second"), overwrite=True)
    with refused(409):
        metadata.register_workflow_def(defined(2, "again"), overwrite=False)
    metadata.update_workflow_def(defined(2, "changed"), overwrite=True)

    assert metadata.get_workflow_def("sdk_workflow", 1).description == "first"
    newest = metadata.get_workflow_def("sdk_workflow")
    assert (newest.version, newest.description) == (2, "changed")
    assert newest.tasks[0].task_definition is None
    assert newest.tasks[0].input_parameters["n"] == "${workflow.input.n}"
    assert newest.output_parameters == {"n": "${step.output.n}"}
    listed = [each.version for each in metadata.get_all_workflow_defs() if each.name == "sdk_workflow"]
    assert sorted(listed) == [1, 2]

    metadata.unregister_workflow_def("sdk_workflow", 2)
    assert metadata.get_workflow_def("sdk_workflow").version == 1
    metadata.unregister_workflow_def("sdk_workflow", 1)
    with refused(404):
        metadata.get_workflow_def("sdk_workflow", 1)


if __name__ == "__main__":
    tasks()
    workflows()
