"""Law: whatever a client of a server was told with a 2xx is there, however often the server is killed.

The clients start, poll and complete over HTTP; the servers follow each other on one file. In the end each
execution has come as far as was answered at the least, and its next task waits for a worker or is with one.
"""

from __future__ import annotations

import json
import signal
import urllib.request
from collections import Counter
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from random import Random

import pytest

from asyncflow.app.services import open_services
from tests.crash.test_serve_term import CLIENTS, DEFINITION, Load
from tests.http.test_processes import serve

KILLS = 3
TASKS = [str(task["taskReferenceName"]) for task in DEFINITION["tasks"]]  # type: ignore[attr-defined]
"""Reference names, in their order: each is scheduled when the one before has ended."""


@pytest.mark.scenario("R18", "R41")
async def test_what_was_answered_survives_kills_of_the_server(tmp_path: Path) -> None:
    draw = Random(1)
    started: list[str] = []
    completed: list[tuple[str, str]] = []
    for _ in range(KILLS):
        load = one_life(tmp_path, draw.randint(20, 300))
        started += load.started
        completed += load.completed

    assert started
    assert completed
    async with open_services(tmp_path / "asyncflow.db") as services:
        shown = {each: await services.executions.get(each) for each in started}
        for execution, task_id in completed:
            task = await services.workers.task(task_id)
            assert (task["workflowInstanceId"], task["status"]) == (execution, "COMPLETED")
    assert len(set(started)) == len(started)
    for found in shown.values():
        check_tasks(found)


def one_life(folder: Path, enough: int) -> Load:
    """A server that is killed once its clients were told enough."""
    with serve(folder) as (process, url), ThreadPoolExecutor(CLIENTS) as clients:
        with urllib.request.urlopen(f"{url}/ready", timeout=30) as answer:
            assert answer.status == 200
        load = Load(url, enough)
        under_way: list[Future[None]] = [clients.submit(load.work, kind) for kind in range(CLIENTS)]
        assert load.enough.wait(60)
        process.kill()
        process.communicate(timeout=60)
    for each in under_way:
        each.result()
    assert process.returncode == -signal.SIGKILL
    assert not load.others
    return load


def check_tasks(execution: object) -> None:
    """Those that ended follow each other, each once, and the next one waits for a worker or is with one."""
    assert isinstance(execution, dict), json.dumps(execution)
    tasks = [(task["referenceTaskName"], task["status"]) for task in execution["tasks"]]
    done = [ref for ref, status in tasks if status == "COMPLETED"]

    assert done == TASKS[: len(done)]
    assert max(Counter(done).values(), default=1) == 1
    left = [each for each in tasks if each[1] != "COMPLETED"]
    assert [ref for ref, _ in left] == TASKS[len(done) : len(done) + 1]
    assert execution["status"] == ("RUNNING" if left else "COMPLETED")
