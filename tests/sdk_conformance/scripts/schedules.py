"""Schedules as the SDK's client keeps them: saved, read, paused, resumed, told ahead, deleted."""

from __future__ import annotations

from conductor.client.http.models import StartWorkflowRequest
from conductor.client.http.models.save_schedule_request import SaveScheduleRequest
from conductor.client.workflow.task.set_variable_task import SetVariableTask

from tests.sdk_conformance.scripts.session import clients, workflow

YEARLY = "0 0 12 1 1 ?"


def main() -> None:
    schedules = clients.get_scheduler_client()
    workflow("sdk_scheduled", SetVariableTask(task_ref_name="set")).register(overwrite=True)
    start = StartWorkflowRequest(name="sdk_scheduled", version=1, input={"n": 1})
    schedules.save_schedule(
        SaveScheduleRequest(name="sdk_yearly", cron_expression=YEARLY, start_workflow_request=start)
    )

    stored = schedules.get_schedule("sdk_yearly")
    schedule = stored[0] if isinstance(stored, tuple) else stored
    assert _told(schedule, "cron_expression", "cronExpression") == YEARLY
    listed = schedules.get_all_schedules("sdk_scheduled")
    assert [_told(each, "name") for each in listed] == ["sdk_yearly"]
    ahead = schedules.get_next_few_schedule_execution_times(cron_expression=YEARLY, limit=3)
    assert len(ahead) == 3
    assert ahead == sorted(ahead)

    schedules.pause_schedule("sdk_yearly")
    schedules.resume_schedule("sdk_yearly")
    schedules.delete_schedule("sdk_yearly")
    assert schedules.get_all_schedules("sdk_scheduled") == []


def _told(schedule: object, *names: str) -> object:
    if isinstance(schedule, dict):
        return next((schedule[name] for name in names if name in schedule), None)
    return getattr(schedule, names[0])


if __name__ == "__main__":
    main()
