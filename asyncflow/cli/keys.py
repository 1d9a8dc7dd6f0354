"""`asyncflow key`: the API keys of a server, or with `--db` those of a file that no server has open.

With the file the first key comes about, and whoever lost theirs finds the way back. The secret is printed
once and kept nowhere.
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncflow.cli.exits import CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop
from asyncflow.cli.output import Format, format_option, moment, write_facts, write_json, write_rows
from asyncflow.cli.paths import FilePath
from asyncflow.cli.remote import as_object, as_rows, connected, fetch, send, server_option
from asyncflow.errors import ServerRefused, StoreLocked
from asyncflow.model.values import JsonObject

if TYPE_CHECKING:
    from asyncflow.app import key_files as files
    from asyncflow.sdk import client as sdk
else:
    files = Late("asyncflow.app.key_files")
    sdk = Late("asyncflow.sdk.client")

_ROLES = (
    "viewer",
    "operator",
    "author",
    "admin",
)  # app/key_records has them; importing it is not for a help text
_COLUMNS = {
    "id": "KEY",
    "name": "NAME",
    "role": "ROLE",
    "state": "STATE",
    "made": "MADE (UTC)",
    "expires": "EXPIRES (UTC)",
}

_database = click.option(
    "--db",
    "database",
    type=FilePath(),
    metavar="FILE",
    help="The database file of a server, instead of asking the server.",
)


_DAY_MS = 86_400_000


@click.group(short_help="Make, list and revoke API keys.")
def key() -> None:
    """Make, list and revoke the API keys of a server.

    From the first key on, a server asks everybody for one. With --db keys are made and revoked in the file
    of a server that is not running, which takes none: so the first one is made, and a lost one replaced.
    """


def _check(database: Path | None, server: str) -> None:
    if database is not None and server:
        raise CommandFailed("--db is a file; --server asks a server")


@key.command()
@_database
@click.argument("name")
@click.option(
    "--role",
    required=True,
    type=click.Choice(_ROLES),
    help="What it allows; each role allows what the one before does. The first key is an admin's.",
)
@click.option(
    "--days", type=click.FloatRange(0, 36_500), default=0, metavar="N", help="It expires then; 0 means never."
)
@server_option
@format_option
def create(*, database: Path | None, name: str, role: str, days: float, server: str, output: Format) -> None:
    """Make the key NAME and print it; it is shown this once."""
    _check(database, server)
    made = (
        _made_by_server(server, name, role, days) if database is None else _made(database, name, role, days)
    )
    if output == "table":
        write_facts([(each, made.get(each)) for each in ("id", "secret", "key")])
    else:
        write_json(made, lines=output == "jsonl")
    place = "" if database is None else f"{database}: "
    click.echo(f"asyncflow: {place}{role} key {name}; it is not shown again", err=True)


def _made(database: Path, name: str, role: str, days: float) -> JsonObject:
    try:
        made = in_loop(partial(files.create_key, database, name, role, days=days))
    except StoreLocked as error:
        raise CommandFailed(
            f"{error}; ask its server instead: leave --db out, or POST /api/asyncflow/keys"
        ) from None
    return {**made.record.shown(made.record.created_ms, 0), "secret": made.secret, "key": made.text}


def _made_by_server(server: str, name: str, role: str, days: float) -> JsonObject:
    body: JsonObject = {"name": name, "role": role}
    with connected(server) as client:
        if days:
            body["expireTime"] = _now_ms(client) + round(days * _DAY_MS)
        return as_object(client.send("POST", "/api/asyncflow/keys", body=body).json)


def _now_ms(client: sdk.Client) -> int:
    """The time at the server, which is the one that keys expire by."""
    told = client.get("/api/version").headers.get("Date", "")
    try:
        return round(parsedate_to_datetime(told).timestamp() * 1000)
    except ValueError as error:
        raise ServerRefused(200, "the server does not tell its time; leave --days out") from error


@key.command(name="list")
@_database
@server_option
@format_option
def list_(*, database: Path | None, server: str, output: Format) -> None:
    """List all keys, also revoked and expired ones; a server may have the file."""
    _check(database, server)
    if database is None:
        rows = as_rows(fetch(server, "api", "asyncflow", "keys"))
    else:
        rows = in_loop(partial(files.list_keys, database))
    if output == "table":
        rows = [
            {**row, "made": _when(row["createTime"]), "expires": _when(row.get("expireTime"))} for row in rows
        ]
    write_rows(rows, _COLUMNS, output)


@key.command()
@_database
@click.argument("key_id", metavar="KEY")
@server_option
def revoke(*, database: Path | None, key_id: str, server: str) -> None:
    """End the key with the id KEY; in a file the last admin's too."""
    _check(database, server)
    if database is None:
        send(server, "DELETE", "api", "asyncflow", "keys", key_id)
        click.echo(f"asyncflow: key {key_id} is revoked", err=True)
        return
    try:
        record = in_loop(partial(files.revoke_key, database, key_id))
    except StoreLocked as error:
        raise CommandFailed(
            f"{error}; ask its server instead: leave --db out, or DELETE /api/asyncflow/keys/{key_id}"
        ) from None
    click.echo(f"asyncflow: {database}: key {record.name} is revoked", err=True)


def _when(value: object) -> str:
    return moment(value) if isinstance(value, int) else ""
