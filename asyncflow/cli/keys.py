"""`asyncflow key`: the API keys of a database file that no server has open, and the list of any.

A running server makes and revokes keys by `/api/asyncflow/keys`; this is how the first one comes about,
and the way back for whoever lost theirs. The secret is printed once and kept nowhere.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncflow.cli.exits import CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop
from asyncflow.cli.output import Format, format_option, moment, write_facts, write_json, write_rows
from asyncflow.cli.paths import FilePath
from asyncflow.errors import StoreLocked

if TYPE_CHECKING:
    from asyncflow.app import key_files as files
else:
    files = Late("asyncflow.app.key_files")

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
    required=True,
    metavar="FILE",
    help="The database file of the server.",
)


@click.group(short_help="Make, list and revoke the API keys of a database file.")
def key() -> None:
    """Make, list and revoke the API keys of a database file.

    From the first key on, its server asks everybody for one. While a server has the file, keys are made
    and revoked by its /api/asyncflow/keys.
    """


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
@format_option
def create(*, database: Path, name: str, role: str, days: float, output: Format) -> None:
    """Make the key NAME and print it; it is shown this once."""
    try:
        made = in_loop(partial(files.create_key, database, name, role, days=days))
    except StoreLocked as error:
        raise CommandFailed(f"{error}; ask its server instead: POST /api/asyncflow/keys") from None
    record = made.record
    if output == "table":
        write_facts([("id", record.key_id), ("secret", made.secret), ("key", made.text)])
    else:
        shown = record.shown(record.created_ms, 0)
        write_json({**shown, "secret": made.secret, "key": made.text}, lines=output == "jsonl")
    click.echo(f"asyncflow: {database}: {role} key {name}; it is not shown again", err=True)


@key.command(name="list")
@_database
@format_option
def list_(*, database: Path, output: Format) -> None:
    """List all keys, also revoked and expired ones; a server may have the file."""
    rows = in_loop(partial(files.list_keys, database))
    if output == "table":
        rows = [
            {**row, "made": _when(row["createTime"]), "expires": _when(row.get("expireTime"))} for row in rows
        ]
    write_rows(rows, _COLUMNS, output)


@key.command()
@_database
@click.argument("key_id", metavar="KEY")
def revoke(*, database: Path, key_id: str) -> None:
    """End the key with the id KEY; the last admin's too."""
    try:
        record = in_loop(partial(files.revoke_key, database, key_id))
    except StoreLocked as error:
        raise CommandFailed(f"{error}; ask its server instead: DELETE /api/asyncflow/keys/{key_id}") from None
    click.echo(f"asyncflow: {database}: key {record.name} is revoked", err=True)


def _when(value: object) -> str:
    return moment(value) if isinstance(value, int) else ""
