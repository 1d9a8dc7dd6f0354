"""Recorded programs become commands, replaced as the options say; references stay fit and unique."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflow.convert.references import ReferenceNames, escape_reference, expression, literal, path_to
from asyncflow.convert.tasks import CommandOptions, Program, command_task, parse_executable_map
from asyncflow.decide.expressions import compile_template
from asyncflow.decide.lookups import DocumentScope
from asyncflow.errors import InvalidInput

PROGRAM = Program(executable="/opt/mAdd", args=["-e", "a.fits"], inputs=["a.fits", "b"], outputs=["c"])


@pytest.mark.parametrize(
    ("executables", "argv"),
    [
        ({}, ["/opt/mAdd", "-e", "a.fits"]),
        ({"mShrink": ["other"]}, ["/opt/mAdd", "-e", "a.fits"]),
        ({"mAdd": ["python3", "tool.py"]}, ["python3", "tool.py", "-e", "a.fits"]),
        ({"*": ["any"], "mAdd": ["one"]}, ["one", "-e", "a.fits"]),
        ({"/opt/mAdd": ["exact"], "mAdd": ["name"]}, ["exact", "-e", "a.fits"]),
        ({"*": ["t", "{args}", "end"]}, ["t", "-e", "a.fits", "end"]),
        ({"*": ["t", "--as={program}", "-i", "{inputs}", "-o", "{outputs}"]}, None),
    ],
)
def test_executable_is_replaced(executables: dict[str, list[str]], argv: list[str] | None) -> None:
    task = command_task("add", PROGRAM, CommandOptions(executables=executables))
    expected = argv or ["t", "--as=/opt/mAdd", "-i", "a.fits", "b", "-o", "c"]

    assert task["inputParameters"] == {"executable": expected[0], "args": expected[1:]}
    assert (task["name"], task["type"]) == ("mAdd", "COMMAND")


def test_map_entries_are_split_as_a_shell_would() -> None:
    mapping = parse_executable_map(["*=python3 'my tool.py' {args}", "mAdd=env A=b mAdd"])

    assert mapping == {"*": ["python3", "my tool.py", "{args}"], "mAdd": ["env", "A=b", "mAdd"]}


@pytest.mark.parametrize("entry", ["mAdd", "=x", "mAdd=", "mAdd='open"])
def test_bad_map_entry_is_refused(entry: str) -> None:
    with pytest.raises(InvalidInput, match="map"):
        parse_executable_map([entry])


@given(st.lists(st.text(max_size=12), max_size=30))
def test_references_are_fit_and_unique(texts: list[str]) -> None:
    """Law: whatever the names, the references are distinct plain words without a double underscore."""
    names = ReferenceNames()
    given_out = [names.claim(text) for text in texts]

    assert len(set(given_out)) == len(texts)
    assert all(name.isascii() and name.isidentifier() and "__" not in name for name in given_out)
    assert "workflow" not in given_out


@given(st.from_regex(r"[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*", fullmatch=True))
def test_fit_reference_is_kept(text: str) -> None:
    assert escape_reference(text) == text


@given(st.recursive(st.text("a${}.b", max_size=12), st.lists, max_leaves=5))
def test_literal_survives_resolution(value: object) -> None:
    """Law: resolving a literal gives the value back, whatever looks like an expression in it."""
    resolved = compile_template({"value": literal(value)}).resolve(DocumentScope({}))

    assert resolved == {"value": value}


@pytest.mark.parametrize(
    ("keys", "path"),
    [
        (("square",), "${a.output.square}"),
        (("square", 2), "${a.output.square[2]}"),
        (("x.fits",), "${a.output['x.fits']}"),
        (("it's",), r"${a.output['it\'s']}"),
        (("a}",), r"${a.output['a\u007d']}"),
    ],
)
def test_path_quotes_what_is_no_identifier(keys: tuple[str | int, ...], path: str) -> None:
    assert expression(path_to("a", "output", *keys)) == path


@given(st.text("ab'\\\\]. ${}", min_size=1, max_size=8))
def test_quoted_path_finds_its_key(key: str) -> None:
    """Law: whatever a signal is called, the path made for it leads to its value."""
    path = path_to("a", "output", key)

    assert compile_template(expression(path)).resolve(DocumentScope({"a": {"output": {key: 5}}})) == 5
