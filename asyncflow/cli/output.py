"""Results on stdout: tables for people, JSON and JSON lines for programs.

Talk never goes through here: it is on stderr. Tables are plain text when nobody looks at them on
a terminal, so that they can be piped.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal, TypeVar

import click
from pydantic_core import to_json

Format = Literal["table", "json", "jsonl"]

F = TypeVar("F", bound="Callable[..., object] | click.Command")

_COLOURS = {
    "COMPLETED": "green",
    "FAILED": "red",
    "TIMED_OUT": "red",
    "RUNNING": "cyan",
    "TERMINATED": "yellow",
}


def format_option(function: F) -> F:
    """The option `-o`, called `output` in the command."""
    option = click.option(
        "-o",
        "--output",
        type=click.Choice(["table", "json", "jsonl"]),
        default="table",
        show_default=True,
        help="How the result is written to stdout.",
    )
    return option(function)


def write_json(value: object, *, lines: bool = False) -> None:
    """A value as JSON, indented, or on one line; file names that are not UTF-8 have escapes in them."""
    indent = None if lines else 2
    try:
        text = to_json(value, indent=indent, inf_nan_mode="null")
    except ValueError:  # a lone surrogate, which is Python's word for a byte that is not UTF-8
        text = json.dumps(value, indent=indent).encode()
    sys.stdout.flush()
    left = memoryview(text + b"\n")
    while left:  # with PYTHONUNBUFFERED it is the bare file, which may take a part only
        left = left[sys.stdout.buffer.write(left) :]
    sys.stdout.buffer.flush()


def write_rows(rows: Sequence[Mapping[str, object]], columns: Mapping[str, str], output: Format) -> None:
    """Rows in the format asked for; `columns` are the keys of a table's columns and their titles."""
    if output == "json":
        write_json(list(rows))
    elif output == "jsonl":
        for row in rows:
            write_json(row, lines=True)
    else:
        write_table([[cell(row.get(key)) for key in columns] for row in rows], list(columns.values()))


def write_table(rows: Sequence[Sequence[str]], titles: Sequence[str]) -> None:
    """Aligned columns, the last one cut to the width of the terminal, if there is one."""
    widths = [max(map(display_width, column)) for column in zip(titles, *rows, strict=True)]
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    for number, row in enumerate([titles, *rows]):
        padded = [_padded(text, width) for text, width in zip(row, widths, strict=True)]
        line = "  ".join(padded).rstrip()
        if room and display_width(line) > room:
            line = line[: room - 1] + "…"
        click.echo(coloured(line, row) if number else styled(line, bold=True))


def write_facts(facts: Iterable[tuple[str, object]]) -> None:
    """Pairs of a name and a value, one per line, aligned; empty values are left out."""
    shown = [(name, cell(value)) for name, value in facts if value not in (None, "", [], {})]
    width = max((len(name) for name, _ in shown), default=0)
    for name, text in shown:
        click.echo(f"{name:<{width}}  {text}")


def write_object(found: Mapping[str, object], output: Format) -> None:
    """One object: its members one per line, or as JSON."""
    if output == "table":
        write_facts(found.items())
    else:
        write_json(found, lines=output == "jsonl")


def cell(value: object) -> str:
    """A value as the text of a table's cell: one line, control characters shown as escapes."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else to_json(value, inf_nan_mode="null").decode()
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    # What a definition or a worker wrote must not steer the terminal of whoever looks at it.
    return character.encode("unicode_escape", "backslashreplace").decode()


def display_width(text: str) -> int:
    """How many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(1 for character in text if unicodedata.combining(character))


def _padded(text: str, width: int) -> str:
    return text + " " * (width - display_width(text))


def moment(at_ms: int) -> str:
    """A time of UTC milliseconds for people, in UTC; empty for 0."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S") if at_ms else ""


def duration(milliseconds: int) -> str:
    """A length of time for people."""
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def has_colour() -> bool:
    """Whether stdout is a terminal that may be coloured."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def styled(text: str, *, bold: bool = False, colour: str | None = None) -> str:
    """The text with its style, where stdout can show one."""
    return click.style(text, bold=bold or None, fg=colour) if has_colour() else text


def coloured(line: str, row: Sequence[str]) -> str:
    """A line of a table in the colour of the status in it."""
    colour = next((_COLOURS[text] for text in row if text in _COLOURS), None)
    return styled(line, colour=colour) if colour else line
