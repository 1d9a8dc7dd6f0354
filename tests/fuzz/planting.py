"""What a fuzzed server holds before it is asked: definitions, executions, schedules, handlers.

A tool that makes up names meets nothing but 404. `plant` makes things over REST and tells their names;
`known_things` has the tool use them in about half of its requests. Nothing here checks anything.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.request import Request, urlopen

from tests.fuzz.good_bodies import (
    KINDS,
    TASK_STATUSES,
    Json,
    bodies,
    definitions,
    handler,
    reports,
    schedule,
    task_definition,
)

EXECUTIONS = 1_000
"""Many, as requests that remove executions are among those that are made up."""

VARIABLE = "REGION"
"""Set in the server's configuration."""

_LOOKED_AT = 100


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
        spares = [f"spare{number}" for number in range(KINDS)]
        works = [f"work{number}" for number in range(KINDS)]
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
            "statuses": list(TASK_STATUSES),
            "versions": ["1", "2"],
            "correlations": [f"c{number}" for number in range(7)],
            "variables": [VARIABLE],
            "events": ["conductor:quick:done", "conductor:other"],
            "bodies": {**bodies(known, ids), **reports(tasks)},
        }

    def _started(self, name: str, number: int) -> str:
        return self.send("POST", f"/api/workflow/{name}?correlationId=c{number % 7}", {"a": number})

    def _tasks(self, ids: list[str]) -> list[Json]:
        shown = [json.loads(self.send("GET", f"/api/workflow/{each}")) for each in ids]
        return [each for execution in shown for each in execution["tasks"]]

    def _keys(self) -> list[str]:
        bodies = [{"name": f"key{number}", "role": "viewer"} for number in range(KINDS)]
        made = [self.send("POST", "/api/asyncflow/keys", body) for body in bodies]
        return [str(json.loads(each)["id"]) for each in made]
