"""What a fuzzed server holds before it is asked: definitions, executions, schedules, handlers.

A tool that makes up names meets nothing but 404. `plant` makes things over REST and tells their names;
`known_things` has the tool use them in about half of its requests. Nothing here checks anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.request import Request, urlopen

EXECUTIONS = 1_000
"""Many, as requests that remove executions are among those that are made up."""

VARIABLE = "REGION"
"""Set in the server's configuration."""

_KINDS = 20
_LOOKED_AT = 100
_TASK_STATUSES = ["IN_PROGRESS", "FAILED", "FAILED_WITH_TERMINAL_ERROR", "COMPLETED"]

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
    return of_kinds + [workflow(f"spare{number}", 1 + number % 2, quick) for number in range(_KINDS)]


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


class Planter:
    """Makes things on a server and remembers their names."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        """Talk to the server at `url` with these headers."""
        self._url, self._headers = url, headers

    def send(self, method: str, path: str, body: object = None) -> str:
        """The text of an answer of 200; any other is an error."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json", **self._headers}
        request = Request(self._url + path, data, headers, method=method)
        with urlopen(request, timeout=60) as answer:
            return str(answer.read().decode())

    def plant(self) -> Json:
        """Make everything; what `known_things` reads."""
        known = definitions()
        spares = [f"spare{number}" for number in range(_KINDS)]
        works = [f"work{number}" for number in range(_KINDS)]
        self.send("PUT", "/api/metadata/workflow", known)
        self.send("POST", "/api/metadata/taskdefs", [task_definition(name) for name in works])
        for name in spares:
            self.send("POST", "/api/scheduler/schedules", schedule(name))
            self.send("POST", "/api/event", handler(name))
        rules = {"rules": [{"version": 1, "percentage": 50}], "default": 2}
        for name in ("quick", "waits"):
            self.send("PUT", f"/api/asyncflow/routing/{name}", rules)
        starts = ("quick", "waits", "works", "fails", "forks")
        ids = [self._started(starts[number % 5], number) for number in range(EXECUTIONS)]
        tasks = self._tasks(ids[:_LOOKED_AT])
        return {
            "executions": ids,
            "tasks": [str(each["taskId"]) for each in tasks],
            "keys": self._keys() if self._headers else [],
            "workflows": sorted({str(each["name"]) for each in known}),
            "task types": works,
            "spares": spares,
            "references": ["wait", "human", "work0", "work1", "set", "fork", "join"],
            "statuses": _TASK_STATUSES,
            "versions": ["1", "2"],
            "correlations": [f"c{number}" for number in range(7)],
            "variables": [VARIABLE],
            "events": ["conductor:quick:done", "conductor:other"],
            "bodies": {**_bodies(known, ids), **_reports(tasks)},
        }

    def _started(self, name: str, number: int) -> str:
        return self.send("POST", f"/api/workflow/{name}?correlationId=c{number % 7}", {"a": number})

    def _tasks(self, ids: list[str]) -> list[Json]:
        shown = [json.loads(self.send("GET", f"/api/workflow/{each}")) for each in ids]
        return [each for execution in shown for each in execution["tasks"]]

    def _keys(self) -> list[str]:
        bodies = [{"name": f"key{number}", "role": "viewer"} for number in range(_KINDS)]
        made = [self.send("POST", "/api/asyncflow/keys", body) for body in bodies]
        return [str(json.loads(each)["id"]) for each in made]


def _bodies(known: list[Json], ids: list[str]) -> dict[str, list[object]]:
    """Bodies that are taken, by method and path."""
    start = {"name": "quick", "version": 1, "input": {"a": 1}, "correlationId": "c1"}
    one = known[1]
    bodies: Json = {
        "POST /api/workflow": start,
        "POST /api/workflow/execute/{name}/{version}": start,
        "POST /api/asyncflow/workflow/bulk/start": [start, {**start, "name": "waits"}],
        "POST /api/workflow/test": {"name": "quick", "version": 1, "workflowDef": one, "input": {"a": 1}},
        "POST /api/metadata/workflow": workflow("fresh", 1, task("WAIT", "wait")),
        "PUT /api/metadata/workflow": known[:3],
        "POST /api/metadata/workflow/validate": one,
        "POST /api/asyncflow/metadata/workflow/compatibility": one,
        "POST /api/metadata/taskdefs": [task_definition("work1")],
        "PUT /api/metadata/taskdefs": task_definition("work2"),
        "POST /api/scheduler/schedules": schedule("spare1"),
        "POST /api/event": handler("fresh"),
        "PUT /api/event": handler("spare1"),
        "PUT /api/asyncflow/routing/{name}": {"rules": [{"version": 1, "percentage": 10}], "default": 1},
        "POST /api/workflow/{id}/migrate": {"version": 2, "dryRun": True},
        "POST /api/workflow/{id}/upgrade": {"version": 2},
        "POST /api/asyncflow/keys": {"name": "one more", "role": "viewer"},
    }
    found = {name: [body] for name, body in bodies.items()}
    for method, what in _BULK:
        found[f"{method} /api/workflow/bulk/{what}"] = [ids[-at - 3 : -at] for at in range(3, 300, 3)]
    return found


def _reports(tasks: list[Json]) -> dict[str, list[object]]:
    """What workers could say of tasks that wait for them or for a signal."""
    waiting = [each for each in tasks if each["status"] in {"SCHEDULED", "IN_PROGRESS"}]
    bodies: list[object] = [
        {"workflowInstanceId": each["workflowInstanceId"], "taskId": each["taskId"], "status": status}
        for each in waiting
        for status in _TASK_STATUSES
    ]
    return {"POST /api/tasks": bodies, "POST /api/tasks/update-v2": bodies}


_BULK = [
    ("PUT", "pause"),
    ("PUT", "resume"),
    ("POST", "restart"),
    ("POST", "retry"),
    ("POST", "terminate"),
    ("POST", "search"),
    ("DELETE", "remove"),
    ("DELETE", "terminate-remove"),
]
