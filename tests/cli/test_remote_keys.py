"""`asyncflow key` against a server."""

from __future__ import annotations

import pytest

from tests.cli.remote_calls import Shell


async def test_keys_of_a_server_are_made_listed_and_revoked(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = await shell.one("key", "create", "root", "--role", "admin")
    locked = await shell("key", "list", code=2)
    monkeypatch.setenv("ASYNCFLOW_API_KEY", str(root["key"]))
    brief = await shell.one("key", "create", "brief", "--role", "viewer", "--days", "1")
    listed = await shell.rows("key", "list")
    table = await shell("key", "list")
    await shell("key", "revoke", str(brief["id"]))
    last = await shell("key", "revoke", str(root["id"]), code=2)
    left = await shell.rows("key", "list")

    assert "401" in locked.stderr
    assert [row["name"] for row in listed] == ["root", "brief"]
    assert str(brief["expireTime"]).isdecimal()
    assert str(root["secret"]) not in table.output
    assert "409" in last.stderr
    assert [row["state"] for row in left] == ["active", "revoked"]


async def test_a_file_and_a_server_at_once_are_refused(shell: Shell) -> None:
    refused = await shell("key", "list", "--db", "x.db", code=2)

    assert "--db is a file" in refused.stderr
