"""`asyncflow key` on real files: the first key, the way back, and what a running server says to it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from asyncflow.app.callers import Role
from asyncflow.app.services import open_services
from asyncflow.errors import Unauthenticated
from tests.cli.making import call


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def made(database: Path, name: str = "root", role: str = "admin", *more: str) -> dict[str, str]:
    done = call("key", "create", name, "--db", database, "--role", role, "-o", "json", *more)
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def listed(database: Path) -> list[dict[str, object]]:
    rows = json.loads(call("key", "list", "--db", database, "-o", "json").stdout)
    assert isinstance(rows, list)
    return rows


async def role_of(database: Path, key: str) -> Role:
    """The role that a server of this file would give."""
    async with open_services(database) as services:
        return services.keys.authenticate({"Authorization": f"Bearer {key}"}).role


def test_a_key_made_on_a_new_file_opens_its_server(database: Path) -> None:
    root, worker = made(database), made(database, "worker", "operator", "--days", "30")

    assert asyncio.run(role_of(database, root["key"])) is Role.ADMIN
    assert asyncio.run(role_of(database, worker["key"])) is Role.OPERATOR
    assert [(each["name"], each["state"]) for each in listed(database)] == [
        ("root", "active"),
        ("worker", "active"),
    ]
    assert {"expireTime"} == listed(database)[1].keys() - listed(database)[0].keys()


def test_the_secret_is_shown_once_and_stored_nowhere(database: Path) -> None:
    root = made(database)
    plain = call("key", "list", "--db", database)

    assert root["secret"] not in plain.stdout + plain.stderr
    assert root["secret"] not in json.dumps(listed(database))
    assert root["secret"].encode() not in database.read_bytes()


def test_a_revoked_key_opens_nothing_and_the_file_stays_closed(database: Path) -> None:
    root = made(database)
    done = call("key", "revoke", root["id"], "--db", database)
    again = call("key", "revoke", root["id"], "--db", database)

    assert (done.exit_code, again.exit_code, listed(database)[0]["state"]) == (0, 0, "revoked")
    with pytest.raises(Unauthenticated):
        asyncio.run(role_of(database, root["key"]))
    assert asyncio.run(role_of(database, made(database, "root", "viewer")["key"])) is Role.VIEWER


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "x", "--role", "viewer"], "the first key has to be an admin's"),
        (["create", "anonymous", "--role", "admin"], "callers without a key"),
        (["create", "", "--role", "admin"], "printable"),
        (["create", "x", "--role", "root"], "'root' is not one of"),
        (["create", "x", "--role", "admin", "--days", "-1"], "-1"),
        (["list"], "there is no database"),
    ],
)
def test_what_cannot_be_done_is_said(database: Path, arguments: list[str], said: str) -> None:
    done = call("key", *arguments, "--db", database)

    assert done.exit_code in {2, 3}
    assert said in done.stderr


def test_two_keys_of_one_name_are_refused_and_unknown_ones_not_found(database: Path) -> None:
    made(database)

    assert (
        "there is a key root already"
        in call("key", "create", "root", "--db", database, "--role", "admin").stderr
    )
    assert "no such key: afk_x" in call("key", "revoke", "afk_x", "--db", database).stderr
    assert len(listed(database)) == 1


def test_no_time_passes_for_executions_when_a_key_is_made(database: Path) -> None:
    """A start counts the time from an engine's last turn as downtime; a key's turn must not end it."""

    async def serve_once() -> None:
        async with open_services(database) as services:
            await services.keys.create("root", "admin")

    asyncio.run(serve_once())
    made(database, "second")
    with closing(sqlite3.connect(database)) as db:
        turns = db.execute("SELECT elapsed_ms FROM turn ORDER BY number DESC LIMIT 2").fetchall()

    assert turns[0] == turns[1]


async def test_while_a_server_has_the_file_keys_are_listed_and_its_own_affair(database: Path) -> None:
    async with open_services(database) as services:
        root = await services.keys.create("root", "admin")
        done = await asyncio.to_thread(call, "key", "create", "x", "--db", database, "--role", "admin")
        ended = await asyncio.to_thread(call, "key", "revoke", root.record.key_id, "--db", database)
        names = [each["name"] for each in await asyncio.to_thread(listed, database)]

    assert (done.exit_code, ended.exit_code, names) == (2, 2, ["root"])
    assert "POST /api/asyncflow/keys" in done.stderr
    assert f"DELETE /api/asyncflow/keys/{root.record.key_id}" in ended.stderr
