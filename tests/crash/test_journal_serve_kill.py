"""Journal files of a server that is killed: the next start writes what they lack, and goes on in them."""

from __future__ import annotations

import asyncio
import json
import signal
import urllib.request
from pathlib import Path

from asyncflow.app.recovering import Journaled, read_file
from asyncflow.app.recovery_shown import is_over
from tests.http.test_processes import serve

WAITS = {
    "name": "waits",
    "version": 1,
    "schemaVersion": 2,
    "tasks": [{"name": ref, "taskReferenceName": ref, "type": "HUMAN"} for ref in ("first", "second")],
}
JOURNAL = ("--db", "a.db", "--journal", "journal")
EXECUTIONS = 20


def post(url: str, body: object) -> str:
    """The text of an answer to a POST."""
    request = urllib.request.Request(
        url, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(answer.read().decode())


def signalled(url: str, execution: str, ref: str) -> None:
    post(f"{url}/api/tasks/{execution}/{ref}/COMPLETED", {"of": ref})


def files(folder: Path) -> dict[str, Journaled]:
    """What the files hold, by execution."""
    found = [asyncio.run(read_file(file)) for file in (folder / "journal").glob("*.log")]
    return {each.execution_id: each for each in found}


def test_a_server_that_is_killed_completes_its_files_when_it_starts_again(tmp_path: Path) -> None:
    with serve(tmp_path, *JOURNAL) as (process, url):
        started = [
            post(f"{url}/api/workflow", {"name": "waits", "workflowDef": WAITS}) for _ in range(EXECUTIONS)
        ]
        for execution in started:
            signalled(url, execution, "first")
        process.send_signal(signal.SIGKILL)
        process.wait()
    with serve(tmp_path, *JOURNAL) as (process, url):
        for execution in started[::2]:
            signalled(url, execution, "second")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    found = files(tmp_path)
    assert found.keys() == {*started}
    assert [is_over(found[each]) for each in started] == [n % 2 == 0 for n in range(EXECUTIONS)]
    for each in found.values():
        assert each.state.by_ref["first"].output == {"of": "first"}
        assert not each.torn
