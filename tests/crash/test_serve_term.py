"""SIGTERM under load, ten times at ten moments: ready no more at once, and what was answered is in the file.

Law: what a client was told with a 2xx is there when the file is opened again, and the exit code is 0.
"""

from __future__ import annotations

import http.client
import json
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from asyncflow.app.services import open_services
from tests.http.test_processes import serve

CLIENTS = 6
DEFINITION = {
    "name": "far",
    "version": 1,
    "tasks": [{"name": "far", "taskReferenceName": f"far_{n}", "type": "SIMPLE"} for n in range(50)],
}


class Load:
    """Clients that start, poll and complete, and remember everything they were told.

    Attributes:
        started: ids of executions. completed: ids of their tasks.
        enough: set once so many answers were 2xx.
    """

    def __init__(self, url: str, enough: int) -> None:
        self.started: list[str] = []
        self.completed: list[tuple[str, str]] = []
        self.others: set[int] = set()
        self.enough = threading.Event()
        self._url, self._wanted = url, enough

    def work(self, kind: int) -> None:
        """Go on until the server refuses, or is gone."""
        turn = self._start if kind % 3 == 0 else self._work
        with closing(connection(self._url)) as link:
            while self._goes_on(turn, link, kind):
                if len(self.started) + len(self.completed) >= self._wanted:
                    self.enough.set()

    def _goes_on(
        self,
        turn: Callable[[http.client.HTTPConnection, int], int],
        link: http.client.HTTPConnection,
        kind: int,
    ) -> bool:
        try:
            status = turn(link, kind)
        except (OSError, http.client.HTTPException):
            return False
        if status >= 300:
            self.others.add(status)
        return status < 300

    def _start(self, link: http.client.HTTPConnection, _: int) -> int:
        status, text = ask(link, "POST", "/api/workflow", {"name": "far", "workflowDef": DEFINITION})
        if status == 200:
            self.started.append(text)
        return status

    def _work(self, link: http.client.HTTPConnection, kind: int) -> int:
        status, text = ask(link, "GET", f"/api/tasks/poll/batch/far?count=5&timeout=200&workerid=w{kind}")
        if status != 200:
            return status
        for task in json.loads(text):
            result = {key: task[key] for key in ("workflowInstanceId", "taskId")}
            status, _ = ask(link, "POST", "/api/tasks", {**result, "status": "COMPLETED"})
            if status != 200:
                return status
            self.completed.append((task["workflowInstanceId"], task["taskId"]))
        return 200


def connection(url: str) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)


def ask(link: http.client.HTTPConnection, method: str, path: str, body: object = None) -> tuple[int, str]:
    headers = {"Content-Type": "application/json"}
    link.request(method, path, None if body is None else json.dumps(body), headers)
    with link.getresponse() as answer:
        return answer.status, answer.read().decode()


def readiness(url: str) -> Iterator[int]:
    """What `/ready` says, again and again until nobody answers."""
    with closing(connection(url)) as link:
        while True:
            try:
                yield ask(link, "GET", "/ready")[0]
            except (OSError, http.client.HTTPException):
                return


@pytest.mark.scenario("R1", "R2", "R15")
@pytest.mark.parametrize("seed", range(10))
async def test_sigterm_under_load_loses_nothing(tmp_path: Path, seed: int) -> None:
    draw = Random(seed)
    with serve(tmp_path) as (process, url), ThreadPoolExecutor(CLIENTS) as clients:
        load = Load(url, draw.randint(20, 400))
        under_way: list[Future[None]] = [clients.submit(load.work, kind) for kind in range(CLIENTS)]
        assert load.enough.wait(60)
        process.send_signal(signal.SIGTERM)
        said = list(readiness(url))
        _, err = process.communicate(timeout=60)
    for each in under_way:
        each.result()

    assert process.returncode == 0, err
    assert 503 in said, "it tells while it stops"
    assert set(said[said.index(503) :]) == {503}, "once not ready, never again"
    assert said.count(200) <= 3, "the first look after the signal may come before it"
    assert load.others <= {503}
    await check_file(tmp_path / "asyncflow.db", load)


async def check_file(database: Path, load: Load) -> None:
    """All that was answered is in the file."""
    async with open_services(database) as services:
        for execution in load.started:
            assert (await services.executions.get(execution))["status"] == "RUNNING"
        for execution, task_id in load.completed:
            task = await services.workers.task(task_id)
            assert (task["workflowInstanceId"], task["status"]) == (execution, "COMPLETED")
