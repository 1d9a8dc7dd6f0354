"""`asyncflow listener` against a server: made from files, shown, told again, deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.making import write
from tests.cli.remote_calls import Shell
from tests.http.conftest import serving
from tests.integration.listener_support import ran, shown
from tests.integration.waiting import until
from tests.listeners.support import NOTES, NOTING, SETTINGS, Notes, notes_of


@pytest.fixture
async def shell() -> AsyncIterator[Shell]:
    """The command line with a server that knows a listener's plugin."""
    NOTES.clear()
    async with serving(engine=SETTINGS) as server:
        yield Shell(server)


async def made(shell: Shell, folder: Path) -> Notes:
    await shell("listener", "apply", "ops", write(folder / "ops.json", NOTING))
    return notes_of("ops")


async def test_a_listener_is_made_shown_listed_and_deleted(shell: Shell, tmp_path: Path) -> None:
    notes = await made(shell, tmp_path)
    await ran(shell.server.services)
    await until(lambda: len(notes.heard) == 2)
    found = await shell.one("listener", "get", "ops")
    listed = await shell.rows("listener", "list")
    table = (await shell("listener", "get", "ops")).stdout
    unsure = await shell("listener", "delete", "ops", code=2)
    await shell("listener", "delete", "ops", "--yes")
    gone = await shell("listener", "get", "ops", code=2)
    events = await shell("listener", "events")

    assert (found["source"], found["told"]) == ("document", 2)
    assert [row["name"] for row in listed] == ["ops"]
    assert "execution.*ed" in table
    assert "--yes" in unsure.stderr
    assert "404" in gone.stderr
    assert "task.timed_out" in events.stdout


async def test_it_is_told_again_from_an_event_on(shell: Shell, tmp_path: Path) -> None:
    notes = await made(shell, tmp_path)
    await ran(shell.server.services)
    await until(lambda: len(notes.heard) == 2)
    done = await shell("listener", "rewind", "ops", "--event", notes.heard[1].id, "--yes")
    await until(lambda: notes.heard[1] in notes.heard[2:])
    neither = await shell("listener", "rewind", "ops", "--yes", code=2)
    late = await shell("listener", "rewind", "ops", "--turn", "9999", "--yes", code=2)

    assert "told again" in done.stderr
    assert "either --turn or --event" in neither.stderr
    assert "are kept" in late.stderr


async def test_what_it_skipped_is_listed_and_told_again(shell: Shell, tmp_path: Path) -> None:
    notes = await made(shell, tmp_path)
    notes.refuses = {"execution.completed"}
    execution = await ran(shell.server.services)
    await until(lambda: shown(shell.server.services, "ops")["skipped"] == 1)
    refused = await shell("listener", "retell", "ops", code=2)
    notes.refuses = set()
    told = await shell("listener", "retell", "ops", f"{execution}:5")
    rows = await shell.rows("listener", "skipped", "ops")
    table = (await shell("listener", "skipped", "ops")).stdout

    assert f"not taken: {execution}:5: ConnectionError: no line" in refused.stderr
    assert "was told 1, 0 are left" in told.stderr
    assert "toldAt" in rows[0]
    assert "TOLD (UTC)" in table
