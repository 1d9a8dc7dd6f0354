"""Law: whenever the process is killed, asking again with the same key begins one execution in all (C39)."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from asyncflow.runtime import points
from asyncflow.store.records import Page
from asyncflow.store.sqlite import SqliteStore

KEYS = 96  # enough that every process has new ones left to die over
KILLS = [
    (point, nth)
    for nth in (1, 3)
    for point in (points.AFTER_DECIDE, points.BEFORE_COMMIT, points.AFTER_COMMIT, points.AFTER_RELEASE)
]
DEADLINE_S = 60


def start_all(database: Path, checkout: Path, point: str, nth: int) -> subprocess.CompletedProcess[str]:
    """A process that starts the execution of every key, unless it is killed before."""
    command = [sys.executable, "-m", "tests.crash.keyed_starts", str(database), str(KEYS), point, str(nth)]
    return subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )


@pytest.mark.scenario("R16", "R17", "R104")
async def test_a_start_that_is_sent_again_after_a_kill_begins_once(tmp_path: Path, checkout: Path) -> None:
    database = tmp_path / "flow.db"
    acknowledged: defaultdict[str, set[str]] = defaultdict(set)
    for point, nth in [*KILLS, ("never", 1)]:
        done = start_all(database, checkout, point, nth)
        assert done.returncode == (0 if point == "never" else -signal.SIGKILL), done.stderr
        for line in done.stdout.splitlines():
            key, execution = line.split()
            acknowledged[key].add(execution)
    async with SqliteStore.open(database) as store:
        rows = await store.list_executions((), Page(limit=-1))

    assert len(rows) == KEYS
    assert {row.idempotency_key: {row.execution_id} for row in rows} == acknowledged
