"""A disk that fails in a commit ends the server with exit code 3, and the next start reads what is true."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asyncflow.cli.exits import STORAGE
from tests.cli.making import environment
from tests.store.faulty_disk import IOERR_FSYNC, READONLY

PROGRAM = """
import sys
from pathlib import Path
from asyncflow.cli.root import main
from tests.store.faulty_disk import FaultyDisk

folder, what, code = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
disk, sign = FaultyDisk(folder), folder.parent / "fails"
disk.refuse = lambda done: code if done.what == what and sign.exists() else 0
with disk.registered():
    sys.argv[1:] = ["serve", "--port", "0", "--db", str(folder / "flow.db")]
    main()
"""
WAITS = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}
BODY = {"name": "w", "workflowDef": {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [WAITS]}}
DEADLINE_S = 60


@contextmanager
def serving(
    checkout: Path, folder: Path, what: str = "none", code: int = 0
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server on a disk that fails once there is a file of that name beside its folder."""
    command = [sys.executable, "-c", PROGRAM, str(folder), what, str(code)]
    with subprocess.Popen(
        command,
        cwd=checkout,
        env=environment(PYTHONPATH="."),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert "ready on" in line, process.communicate()
            yield process, line.rsplit(" ", 1)[1].strip()
        finally:
            process.kill()


def ask(url: str, method: str, path: str, body: object = None) -> tuple[int, str]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def ends_with_storage(process: subprocess.Popen[str], url: str, breaks: Callable[[], object]) -> str:
    """The execution that was acknowledged before the disk broke; the server ended as it should."""
    status, first = ask(url, "POST", "/api/workflow", BODY)
    assert status == 200
    breaks()
    status, _ = ask(url, "POST", "/api/workflow", BODY)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert (status, process.returncode) == (503, STORAGE), err
    return first


@pytest.mark.scenario("R66")
def test_error_of_a_commit_ends_the_server_and_the_next_start_reads_the_truth(
    tmp_path: Path, checkout: Path
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    with serving(checkout, folder, "sync", IOERR_FSYNC) as (process, url):
        first = ends_with_storage(process, url, (tmp_path / "fails").touch)
    (tmp_path / "fails").unlink()
    with serving(checkout, folder) as (_, url):
        status, text = ask(url, "GET", f"/api/workflow/{first}")
        total = json.loads(ask(url, "GET", "/api/workflow/search?query=")[1])["totalHits"]

    assert (status, json.loads(text)["status"]) == (200, "RUNNING")
    assert total in {1, 2}  # the outcome of the other was unknown


@pytest.mark.scenario("R71")
@pytest.mark.parametrize("how", ["removed", "read-only"])
def test_folder_that_goes_away_or_takes_nothing_ends_the_server(
    tmp_path: Path, checkout: Path, how: str
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()

    def remove() -> None:
        folder.rename(tmp_path / "elsewhere")

    breaks = remove if how == "removed" else (tmp_path / "fails").touch
    with serving(checkout, folder, "write", READONLY) as (process, url):
        first = ends_with_storage(process, url, breaks)
    if how == "removed":
        shutil.move(tmp_path / "elsewhere", folder)
    (tmp_path / "fails").unlink(missing_ok=True)
    with serving(checkout, folder) as (_, url):
        status, _ = ask(url, "GET", f"/api/workflow/{first}")

    assert status == 200
