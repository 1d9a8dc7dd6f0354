"""`asyncflow event` against a server: handlers, messages and what came of them."""

from __future__ import annotations

from pathlib import Path

from tests.cli.making import write
from tests.cli.remote_calls import Shell

HANDLER = {
    "name": "starter",
    "event": "conductor:orders",
    "active": True,
    "actions": [{"action": "start_workflow", "start_workflow": {"name": "quick"}}],
}


async def test_handlers_are_made_replaced_listed_and_deleted(shell: Shell, tmp_path: Path) -> None:
    file = write(tmp_path / "handler.json", HANDLER)
    await shell("event", "create", file)
    twice = await shell("event", "create", file, code=2)
    await shell("event", "create", write(file, {**HANDLER, "active": False}), "--overwrite")
    listed = await shell.rows("event", "list")
    of_event = await shell.rows("event", "list", "--event", "conductor:orders")
    table = await shell("event", "list")
    unsure = await shell("event", "delete", "starter", code=2)
    await shell("event", "delete", "starter", "--yes")

    assert "409" in twice.stderr
    assert [(row["name"], row["active"]) for row in listed] == [("starter", False)]
    assert of_event == listed
    assert "start_workflow" in table.stdout
    assert "--yes" in unsure.stderr
    assert await shell.rows("event", "list") == []


async def test_a_message_is_published_under_its_id(shell: Shell) -> None:
    done = await shell("event", "publish", "conductor:orders", '{"id": 7}', "--message-id", "m1")
    drawn = await shell("event", "publish", "conductor:orders", "{}")

    assert done.stdout == "m1\n"
    assert drawn.stdout.strip()
    assert await shell.rows("event", "runs", "starter", "--state", "FAILED") == []
