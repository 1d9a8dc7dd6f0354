"""Law: whatever is killed when, a listener is told of every committed event, and in order."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from asyncflow.app.event_rules import RULES
from asyncflow.runtime import points
from asyncflow.store.sqlite import SqliteStore
from tests.crash.listener_life import PATTERNS, Scribe
from tests.integration.listener_support import heard_by, ran, shown
from tests.integration.waiting import until

AROUND_COMMITS = (points.AFTER_DECIDE, points.BEFORE_COMMIT, points.AFTER_COMMIT, points.AFTER_RELEASE)


def first_life(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.crash.listener_life", *arguments]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.scenario("R29")
@pytest.mark.parametrize("nth", [2, 9, 40])
@pytest.mark.parametrize("point", AROUND_COMMITS)
async def test_no_event_is_lost_whatever_is_killed(
    tmp_path: Path, checkout: Path, point: str, nth: int
) -> None:
    database, file = tmp_path / "flow.db", tmp_path / "heard"
    killed = first_life(checkout, str(database), str(file), point, str(nth))
    assert (killed.returncode, killed.stdout) == (-9, "ready"), killed.stderr[-2000:]

    scribe = Scribe(file)
    async with heard_by(scribe, database=database, patterns=PATTERNS) as services:
        await ran(services)
        await until(lambda: shown(services, "scribe")["lagTurns"] == 0)
    heard = [line.split()[0] for line in file.read_text().splitlines()]
    first_heard = [*dict.fromkeys(heard)]

    assert first_heard == await committed(database)


async def committed(database: Path) -> list[str]:
    """The ids of the events that are in the journal and have such a name, in their order."""
    found: list[str] = []
    async with SqliteStore.open(database) as store:
        async for turns in store.read_turns(0):
            for turn in turns:
                for stream, first_seq, events in turn.entries:
                    found += [
                        f"{stream}:{first_seq + offset}"
                        for offset, event in enumerate(events)
                        if type(event) in RULES and RULES[type(event)].name_of(event) in PATTERNS
                    ]
    return found
