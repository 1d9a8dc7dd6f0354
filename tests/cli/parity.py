"""The table of `docs/cli.md` that says which command does what a route of the API does.

A test compares it with the routes and the commands that there are. A row whose second cell begins with a
command's words stands for that command; any other says why there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from tests.cli.reference import PAGE

HEADING: Final = "## The API and the command line\n"
_ROW = re.compile(r"^\| `(?P<route>[A-Z]+ /[^`]*)` \| (?P<said>.*) \|$", re.MULTILINE)
_COMMAND = re.compile(r"^`(?P<words>[^`]+)`$")


@dataclass(frozen=True)
class Row:
    """A route, and either the words of a command or why there is none."""

    route: str
    command: tuple[str, ...]
    reason: str


def rows() -> list[Row]:
    """The rows of the table, in their order."""
    _, _, section = PAGE.read_text(encoding="utf-8").partition(HEADING)
    return [_row(found["route"], found["said"]) for found in _ROW.finditer(section.partition("\n## ")[0])]


def _row(route: str, said: str) -> Row:
    command = _COMMAND.match(said)
    return Row(route, tuple(command["words"].split()), "") if command else Row(route, (), said)
