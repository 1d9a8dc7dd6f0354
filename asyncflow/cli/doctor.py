"""`asyncflow doctor`: whether this installation is complete, and a database file sound at first sight.

It tries what an engine needs and changes nothing but a temporary file. A deeper look into a file
is `asyncflow db check`.
"""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncflow.cli.exits import DONE, USAGE, exit_for
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop
from asyncflow.cli.output import Format, format_option, write_rows
from asyncflow.cli.paths import FilePath
from asyncflow.errors import AsyncflowError

if TYPE_CHECKING:
    from asyncflow.app import checking
    from asyncflow.app import database as files
else:
    files = Late("asyncflow.app.database")
    checking = Late("asyncflow.app.checking")

_LIBRARIES = {
    "aiohttp": "aiohttp",
    "aiosqlite": "aiosqlite",
    "anyio": "anyio",
    "click": "click",
    "jq": "jq",
    "pydantic": "pydantic",
    "pyyaml": "yaml",
    "quickjs-ng": "quickjs",
    "rich": "rich",
    "uvloop": "uvloop",
}
"""Distributions, and the module of each."""


_COLUMNS = {"check": "CHECK", "result": "RESULT", "detail": "DETAIL"}
_MINIMUM_FILES = 256


@click.command(short_help="Say whether this installation is complete and sound.")
@click.option(
    "--db",
    "database",
    type=FilePath(),
    metavar="FILE",
    help="Look at this file, too.",
)
@format_option
def doctor(database: Path | None, output: Format) -> int:
    """Say whether this installation is complete and sound; exit code 2 if something is missing."""
    checks: dict[str, Callable[[], str]] = {
        "python": _python,
        "asyncflow": _ours,
        "sqlite": lambda: sqlite3.sqlite_version,
        **{name: partial(_library, name, module) for name, module in _LIBRARIES.items()},
        "javascript": _javascript,
        "temporary folder": _temporary_folder,
        "open files": _open_files,
    }
    rows = [_tried(name, check) for name, check in checks.items()]
    code = DONE if all(row["result"] == "ok" for row in rows) else USAGE
    if database is not None:
        row, code = _look_at(database, code)
        rows.append(row)
    write_rows(rows, _COLUMNS, output)
    return code


def _tried(name: str, check: Callable[[], str]) -> dict[str, object]:
    try:
        return {"check": name, "result": "ok", "detail": check()}
    except (ImportError, OSError, RuntimeError) as error:
        return {"check": name, "result": "missing", "detail": str(error)}


def _python() -> str:
    return f"{platform.python_version()} on {platform.system()} {platform.machine()}, {sys.executable}"


def _ours() -> str:
    try:
        return version("asyncflow")
    except PackageNotFoundError:
        return f"not installed, run from {Path(__file__).parents[2]}"


def _library(distribution: str, module: str) -> str:
    import_module(module)
    return version(distribution)


def _javascript() -> str:
    if not checking.javascript_works():
        raise RuntimeError("a script of one line gave no answer")
    return "works"


def _temporary_folder() -> str:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"0")
        file.flush()
        os.fsync(file.fileno())
    return tempfile.gettempdir()


def _open_files() -> str:
    import resource  # noqa: PLC0415 - not on every platform

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _MINIMUM_FILES:
        raise RuntimeError(f"at most {soft}; an engine wants {_MINIMUM_FILES}: ulimit -n")
    return "unlimited" if soft == resource.RLIM_INFINITY else str(soft)


def _look_at(database: Path, code: int) -> tuple[dict[str, object], int]:
    try:
        facts = in_loop(partial(files.facts, database))
    except AsyncflowError as error:
        return {"check": str(database), "result": "unusable", "detail": str(error)}, exit_for(error)
    stop = "after a clean stop" if facts.was_clean else "open, or not stopped cleanly"
    detail = f"schema {facts.schema_version}, {facts.size_bytes} bytes, {facts.turns} turns, {stop}"
    return {"check": str(database), "result": "ok", "detail": detail}, code
