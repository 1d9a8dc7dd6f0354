"""The reference part of `docs/cli.md`, made of the help of every command.

`python -m tests.cli.reference` writes it anew; a test compares it with what is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from asyncflow.cli import cli

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"
MARK = "## Reference\n"
WIDTH = 96


def reference() -> str:
    """Every command's help, as Markdown."""
    return "\n".join(f"### {path}\n\n```text\n{text}\n```\n" for path, text in _helps(cli, "asyncflow", None))


def _helps(command: click.Command, path: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
    name = path.rpartition(" ")[2]
    context = click.Context(command, info_name=name, parent=parent, terminal_width=WIDTH)
    context.max_content_width = WIDTH
    context.help_option_names = ["-h", "--help"]
    yield path, command.get_help(context)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            assert found is not None
            yield from _helps(found, f"{path} {inner}", context)


def page() -> str:
    """The whole page: what is written by hand, then the reference."""
    told, _, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    return f"{told}{MARK}\n{reference()}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
