"""C85: whatever the API can do, a command does, or the page says why none does."""

from __future__ import annotations

import click

from asyncflow.cli import cli
from asyncflow.http.tables import all_routes
from tests.cli.parity import rows

_MOST_REASONS = 0.25


def test_every_route_has_a_row_and_every_row_a_route() -> None:
    """A route that is new: add a row to `docs/cli.md`, and the command that does it."""
    there = {f"{route.method} {route.path}" for route in all_routes()}
    listed = [row.route for row in rows()]

    assert sorted(there - set(listed)) == []
    assert sorted(set(listed) - there) == []
    assert len(listed) == len(set(listed))


def test_every_command_of_the_table_exists_with_its_option() -> None:
    for row in rows():
        if row.command:
            words = [each for each in row.command if not each.startswith("--")]
            options = [each for each in row.command if each.startswith("--")]
            command = _found(words)
            assert not isinstance(command, click.Group), row
            names = {name for option in command.params for name in option.opts}
            assert set(options) <= names, row


def _found(words: list[str]) -> click.Command:
    command: click.Command = cli
    for word in words:
        assert isinstance(command, click.Group), words
        found = command.get_command(click.Context(command), word)
        assert found is not None, words
        command = found
    return command


def test_reasons_are_few_and_said() -> None:
    without = [row for row in rows() if not row.command]

    assert len(without) <= _MOST_REASONS * len(rows())
    assert all(len(row.reason) > 10 for row in without)
