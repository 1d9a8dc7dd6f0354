"""Bodies that a server takes, by method and path: what a fuzzing tool begins with, and tests spoil.

Plain data; whoever sends them has registered `definitions` before.
"""

from __future__ import annotations

from collections.abc import Sequence

KINDS = 20
TASK_STATUSES = ("IN_PROGRESS", "FAILED", "FAILED_WITH_TERMINAL_ERROR", "COMPLETED")

Json = dict[str, object]


def task(kind: str, ref: str, **more: object) -> Json:
    """A task of a definition."""
    return {"name": ref, "taskReferenceName": ref, "type": kind, **more}


def workflow(name: str, version: int, *tasks: Json) -> Json:
    """A definition."""
    return {"name": name, "version": version, "schemaVersion": 2, "tasks": list(tasks)}


def definitions() -> list[Json]:
    """Workflows that end at once, that wait for workers or a signal, that fail, and some to be deleted."""
    quick = task("SET_VARIABLE", "set", inputParameters={"a": "${workflow.input.a}"})
    fails = task("TERMINATE", "stop", inputParameters={"terminationStatus": "FAILED"})
    waits, human, work = task("WAIT", "wait"), task("HUMAN", "human"), task("SIMPLE", "work0")
    forked = task("FORK_JOIN", "fork", forkTasks=[[waits], [task("SIMPLE", "work1")]])
    join = task("JOIN", "join", joinOn=["wait", "work1"])
    of_kinds = [
        workflow("quick", 1, quick),
        workflow("quick", 2, quick, task("SET_VARIABLE", "more", inputParameters={"b": 1})),
        workflow("waits", 1, waits),
        workflow("waits", 2, waits, human),
        workflow("works", 1, work, task("SIMPLE", "work1")),
        workflow("fails", 1, quick, fails),
        workflow("forks", 1, forked, join),
    ]
    return of_kinds + [workflow(f"spare{number}", 1 + number % 2, quick) for number in range(KINDS)]


def schedule(name: str) -> Json:
    """A schedule that fires every hour."""
    start = {"name": "quick", "version": 1, "input": {"a": 1}}
    return {"name": name, "cronExpression": "0 0 * * * *", "startWorkflowRequest": start}


def handler(name: str) -> Json:
    """An event handler."""
    start = {"action": "start_workflow", "start_workflow": {"name": "quick", "input": {"a": "${a}"}}}
    return {"name": name, "event": "conductor:quick:done", "active": True, "actions": [start]}


def task_definition(name: str) -> Json:
    """A task definition."""
    return {"name": name, "retryCount": 1, "timeoutSeconds": 3_600, "ownerEmail": "a@example.org"}


def bodies(known: Sequence[Json], ids: Sequence[str]) -> dict[str, list[object]]:
    """Bodies that are taken, by method and path; `ids` are of executions."""
    found: dict[str, list[object]] = {
        name: [body] for name, body in {**_about_executions(ids), **_about_definitions(known)}.items()
    }
    found["PUT /api/event"] = [handler(f"spare{number}") for number in range(1, KINDS)]
    for method, what in _BULK:
        found[f"{method} /api/workflow/bulk/{what}"] = [list(ids[-at - 3 : -at]) for at in range(3, 300, 3)]
    return found


def _about_executions(ids: Sequence[str]) -> Json:
    start = {"name": "quick", "version": 1, "input": {"a": 1}, "correlationId": "c1", "priority": 5}
    keyed = {
        **start,
        "taskToDomain": {"work0": "d"},
        "idempotencyKey": "k",
        "idempotencyStrategy": "RETURN_EXISTING",
    }
    mocks = {"wait": [{"status": "COMPLETED", "output": {"a": 1}, "executionTime": 1}]}
    return {
        "POST /api/workflow": keyed,
        "POST /api/workflow/execute/{name}/{version}": start,
        "POST /api/asyncflow/workflow/bulk/start": [start, {**start, "name": "waits"}],
        "POST /api/workflow/test": {
            "name": "waits",
            "version": 1,
            "input": {"a": 1},
            "taskRefToMockOutput": mocks,
        },
        "POST /api/workflow/{id}/migrate": {"version": 2, "mapping": {"wait": "wait"}, "dryRun": True},
        "POST /api/workflow/{id}/upgrade": {"name": "waits", "version": 2},
        "POST /api/workflow/{id}/rerun": {"workflowInput": {"a": 1}, "correlationId": "c2"},
        "POST /api/workflow/{id}/variables": {"a": 1},
        "PUT /api/workflow/{id}/skiptask/{ref}": {"taskInput": {"a": 1}, "taskOutput": {"a": 1}},
        "POST /api/workflow/correlated/batch": {"correlationIds": ["c1"], "workflowNames": ["quick"]},
        "POST /api/workflow/{name}/correlated": ["c1", "c2"],
        "POST /api/asyncflow/keys": {"name": "one more", "role": "viewer"},
        "PUT /api/scheduler/bulk/pause": ["spare1", "spare2"],
        "PUT /api/scheduler/bulk/resume": ["spare1", "spare2"],
        "POST /api/asyncflow/events/{sink}": {"a": ids[0]},
    }


def _about_definitions(known: Sequence[Json]) -> Json:
    one = {**known[0], "inputParameters": ["a"], "outputParameters": {"a": "${set.output.a}"}}
    rules = [{"version": 1, "when": "$.a"}, {"version": 2, "percentage": 10}]
    return {
        "POST /api/metadata/workflow": workflow("fresh", 1, task("WAIT", "wait")),
        "PUT /api/metadata/workflow": list(known[:3]),
        "POST /api/metadata/workflow/validate": known[6],
        "POST /api/asyncflow/metadata/workflow/compatibility": one,
        "POST /api/metadata/taskdefs": [task_definition("work1")],
        "PUT /api/metadata/taskdefs": task_definition("work2"),
        "POST /api/scheduler/schedules": schedule("spare1"),
        "POST /api/event": handler("fresh"),
        "PUT /api/asyncflow/routing/{name}": {"rules": rules, "default": 1},
    }


def reports(tasks: Sequence[Json]) -> dict[str, list[object]]:
    """What workers could say of tasks that wait for them or for a signal."""
    waiting = [each for each in tasks if each["status"] in {"SCHEDULED", "IN_PROGRESS"}]
    found: list[object] = [
        {"workflowInstanceId": each["workflowInstanceId"], "taskId": each["taskId"], "status": status}
        for each in waiting
        for status in TASK_STATUSES
    ]
    return {"POST /api/tasks": found, "POST /api/tasks/update-v2": found}


_BULK = (
    ("PUT", "pause"),
    ("PUT", "resume"),
    ("POST", "restart"),
    ("POST", "retry"),
    ("POST", "terminate"),
    ("POST", "search"),
    ("DELETE", "remove"),
    ("DELETE", "terminate-remove"),
)
