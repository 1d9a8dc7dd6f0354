"""The commands on the pages: each is there, takes the options shown, and gets the arguments that it needs."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest

from asyncflow.cli.root import cli

_BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SPAN = re.compile(r"`(asyncflow [a-z][^`]*)`")
_MODULE = re.compile(r"python -m ((?:asyncflow|bench|tests)[\w.]*)")
_SAID = "asyncflow ready on "  # what a server prints is no command


def _pages(checkout: Path) -> Iterator[str]:
    names = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md", "examples/montage/README.md")
    for page in (
        *(checkout / name for name in names),
        *checkout.glob("docs/*.md"),
        *checkout.glob("plugins/*/*.md"),
    ):
        yield page.read_text(encoding="utf-8")


def _lines(page: str) -> Iterator[str]:
    """The command lines of asyncflow in the blocks of a page, without what the shell makes of them."""
    for block in _BLOCK.findall(page):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.removeprefix("$ ").split("&&"):
                command = part.strip().removeprefix(".venv/bin/")
                if command.startswith("asyncflow "):
                    yield command


def _found(words: Sequence[str]) -> tuple[click.Command, list[str]]:
    """The command that these words name, and what is left of them."""
    command: click.Command = cli
    left = [*words]
    while isinstance(command, click.Group) and left and not left[0].startswith("-"):
        named = command.get_command(click.Context(command), left[0])
        if named is None:
            raise click.UsageError(f"no command {left[0]}")
        command, left = named, left[1:]
    return command, left


def _words(line: str) -> list[str]:
    words = shlex.split(line, comments=True)
    return words[: min((words.index(each) for each in "|<>" if each in words), default=None)]


def _fault(line: str, *, whole: bool) -> str:
    """What is wrong with a command line, "" if nothing; one that is not `whole` may leave arguments out."""
    try:
        command, left = _found(_words(line)[1:])
        values, more, _ = command.make_parser(click.Context(command)).parse_args(left)
    except click.UsageError as error:
        is_open = isinstance(error, click.BadOptionUsage) and not whole
        return "" if is_open else f"{line}: {error.format_message()}"
    given = {name for name, value in values.items() if value and isinstance(value, str | list | tuple)}
    needed = [each.name for each in command.params if each.required and each.name not in given]
    if more or (whole and needed):
        return f"{line}: {more or f'needs {needed}'}"
    return ""


@pytest.fixture(scope="module")
def pages(checkout: Path) -> list[str]:
    return [*_pages(checkout)]


def test_command_lines_of_blocks_can_be_entered(pages: list[str]) -> None:
    lines = [line for page in pages for line in _lines(page)]

    assert len(lines) > 40
    assert [fault for line in lines if (fault := _fault(line, whole=True))] == []


def test_commands_named_in_sentences_are_there(pages: list[str]) -> None:
    spans = {span for page in pages for span in _SPAN.findall(page) if not span.startswith(_SAID)}

    assert len(spans) > 40
    assert [fault for span in sorted(spans) if (fault := _fault(span, whole=False))] == []


def test_modules_that_are_to_be_run_are_there(pages: list[str]) -> None:
    named = {name for page in pages for name in _MODULE.findall(page)}

    assert len(named) > 10
    assert [name for name in sorted(named) if importlib.util.find_spec(name) is None] == []


@pytest.mark.parametrize(
    "line",
    [
        "asyncflow nothing",
        "asyncflow run --nothing",
        "asyncflow db clone a",
        "asyncflow db clone a b c",
        "asyncflow db nothing",
    ],
)
def test_a_line_that_cannot_be_entered_is_found(line: str) -> None:
    assert _fault(line, whole=True)
