"""Java's text forms, input templates, and secrets at hand-off."""

from __future__ import annotations

import pytest

from asyncflow.decide.expressions import MISSING, DocumentScope, compile_template
from asyncflow.decide.java_text import MAX_TEXT_DEPTH, java_text
from asyncflow.decide.secrets import fill_secrets
from asyncflow.decide.templates import apply_input_template, with_input_template
from asyncflow.errors import LimitExceeded


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, "null"),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        (-7, "-7"),
        (12345678901234567890, "12345678901234567890"),
        ("a b", "a b"),
        ("", ""),
        (1.5, "1.5"),
        (1.0, "1.0"),
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (0.001, "0.001"),
        (0.0001, "1.0E-4"),
        (0.00012345, "1.2345E-4"),
        (1e-7, "1.0E-7"),
        (1.25e-10, "1.25E-10"),
        (9999999.0, "9999999.0"),
        (10000000.0, "1.0E7"),
        (12345678.9, "1.23456789E7"),
        (1e10, "1.0E10"),
        (1.5e300, "1.5E300"),
        (-123456789012345680.0, "-1.2345678901234568E17"),
        (1e22, "1.0E22"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        ([], "[]"),
        ({}, "{}"),
        ([1, "2", None, [True]], "[1, 2, null, [true]]"),
        ({"a": 1, "b": {"c": []}}, "{a=1, b={c=[]}}"),
    ],
)
def test_java_text_is_what_java_writes(value: object, expected: str) -> None:
    assert java_text(value) == expected


def nested(depth: int) -> object:
    value: object = 1
    for _ in range(depth):
        value = [value]
    return value


def test_java_text_is_bounded_in_depth() -> None:
    assert java_text(nested(MAX_TEXT_DEPTH)).count("[") == MAX_TEXT_DEPTH
    with pytest.raises(LimitExceeded, match="depth"):
        java_text(nested(MAX_TEXT_DEPTH + 2))


def test_java_text_is_bounded_in_length() -> None:
    value: object = "x" * 1000
    for _ in range(16):
        value = [value, value]

    with pytest.raises(LimitExceeded, match="characters"):
        java_text(value)


def test_java_text_of_a_huge_integer_is_a_named_limit() -> None:
    with pytest.raises(LimitExceeded, match="digits"):
        java_text(10**5000)


def test_input_template_adds_missing_keys_and_replaces_nulls_without_merging() -> None:
    scope = DocumentScope({"workflow": {"input": {"x": 1}}})
    template = {
        "kept": "default",
        "added": "${workflow.input.x}",
        "null": {"raw": "${workflow.input.x}"},
        "map": {"a": 1, "b": 2},
    }
    parameters = {"kept": "own", "null": "${workflow.input.nothing}", "map": {"a": 9}, "other": None}

    merged = with_input_template(parameters, template)
    resolved = compile_template(merged).resolve(scope)
    assert isinstance(resolved, dict)
    result = apply_input_template(resolved, template)

    assert result == {
        "kept": "own",
        "null": {"raw": "${workflow.input.x}"},
        "map": {"a": 9},
        "other": None,
        "added": 1,
    }
    assert parameters["null"] == "${workflow.input.nothing}"


SECRETS = {
    "API": "s3cret",
    "JSON": '{"user": {"name": "ada", "n": [1, 2]}}',
    "LOOP": "${workflow.secrets.API}",
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${workflow.secrets.API}", "s3cret"),
        ("Bearer ${workflow.secrets.API}!", "Bearer s3cret!"),
        ("${workflow.secrets.API}${workflow.secrets.API}", "s3crets3cret"),
        ("${$.workflow.secrets.API}", "s3cret"),
        ("${workflow.secrets.JSON}", SECRETS["JSON"]),
        ("${workflow.secrets.JSON.user.name}", "ada"),
        ("${workflow.secrets.JSON.user.n[1]}", 2),
        ("${workflow.secrets.JSON.user.n[*]}", [1, 2]),
        ("x ${workflow.secrets.JSON.user.n}", "x [1, 2]"),
        ("${workflow.secrets.JSON.nobody}", None),
        ("${workflow.secrets.API.path}", None),
        ("${workflow.secrets.NONE}", None),
        ("<${workflow.secrets.NONE}>", "<null>"),
        ("${workflow.secrets.LOOP}", "${workflow.secrets.API}"),
        ("${workflow.input.x} $ {", "${workflow.input.x} $ {"),
    ],
)
def test_secrets_are_filled_in_at_hand_off(text: str, expected: object) -> None:
    filled = fill_secrets({"a": [text]}, lambda name: SECRETS.get(name, MISSING))

    assert filled == {"a": [expected]}


def test_value_without_secrets_is_the_same_object() -> None:
    value = {"a": [1, {"b": "${x}"}], "c": {}}

    assert fill_secrets(value, SECRETS.__getitem__) is value


def test_filling_secrets_changes_nothing_in_place() -> None:
    value = {"a": ["${workflow.secrets.API}"], "b": ["kept"]}

    filled = fill_secrets(value, SECRETS.__getitem__)

    assert value == {"a": ["${workflow.secrets.API}"], "b": ["kept"]}
    assert filled["b"] is value["b"]  # type: ignore[index]


def test_filling_secrets_reads_hostile_text_in_one_pass() -> None:
    text = "${workflow.secrets." + "a" * 300_000

    assert fill_secrets(text, SECRETS.__getitem__) == text


def test_filling_secrets_is_bounded_in_depth() -> None:
    with pytest.raises(LimitExceeded, match="depth"):
        fill_secrets(nested(600), SECRETS.__getitem__)
