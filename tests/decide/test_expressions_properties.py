"""Laws of templates that hold for any text, any value and any scope."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonpath_ng.parser import parse

from asyncflow.decide.expressions import (
    DocumentScope,
    check_expression,
    compile_template,
    references,
    resolve_text,
)
from asyncflow.decide.jsonpath import JsonPathError
from asyncflow.decide.templates import apply_input_template, with_input_template
from asyncflow.errors import LimitExceeded

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
NAMES = st.sampled_from(["a", "b", "c", "a-b", "0", "length", "workflow", "input"]) | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)
SYNTAX = st.sampled_from(
    ["${", "$${", "}", "{", "$", ".", "..", "a", "b", "c", "workflow", "input", "[", "]", "*", "[*]", "[0]",
     "[-1]", "[1:]", "'", "['a']", "[?(", ")]", "@", "@.a", "==", " > ", "1", "&&", "!", "(", ")",
     ".length()", ".sum()", "=~ /a+/", " ", "\\", "in [1]", "workflow.secrets.", "true", ",", '"']
)  # fmt: skip
TEXTS = st.lists(SYNTAX | st.text(max_size=3), max_size=14).map("".join)


@given(st.lists(SYNTAX | st.text(max_size=3), max_size=10).map("".join), DOCUMENTS)
def test_resolving_raises_nothing_but_named_limits(text: str, document: dict[str, object]) -> None:
    """Whatever the text and the scope, there is a value."""
    for template in (text, f"${{{text}}}", {"k": [f"x ${{workflow.{text}}}"]}):
        with contextlib.suppress(LimitExceeded):
            compile_template(template).resolve(DocumentScope(document))


@given(TEXTS)
def test_checking_raises_nothing_but_the_error_that_names_the_expression(text: str) -> None:
    """A text is accepted, or refused with the text of the expression at fault."""
    refused: list[JsonPathError] = []
    try:
        check_expression(text)
    except JsonPathError as error:
        refused.append(error)

    assert all(error.expression in text for error in refused)


@given(VALUES)
def test_constant_template_is_the_same_object(value: object) -> None:
    """What holds no `${` comes back as it is, not as a copy."""
    assume("${" not in repr(value))

    template = compile_template(value)

    assert template.is_constant
    assert template.resolve(DocumentScope({})) is value
    assert template.reads == ()


@given(VALUES, st.sampled_from(["", "$."]))
def test_whole_expression_gives_the_very_value(value: object, prefix: str) -> None:
    """Nothing is copied, converted or expanded on the way."""
    scope = DocumentScope({"t": {"output": {"x": value}, "status": value}})

    assert resolve_text(f"${{{prefix}t.output.x}}", scope) is value
    assert resolve_text(f"${{{prefix}t.status}}", scope) is value


@given(TEXTS, DOCUMENTS)
def test_escaped_text_comes_back_as_it_was(text: str, document: dict[str, object]) -> None:
    """Escaping every mark of a text takes all meaning from it."""
    escaped = text.replace("${", "$${")
    assume("$${" not in text)

    assert resolve_text(escaped, DocumentScope(document)) == text


@given(NAMES, VALUES)
def test_quoted_name_reaches_any_key(name: str, value: object) -> None:
    """Every key can be written in brackets, with quotes and backslashes escaped."""
    quoted = name.replace("\\", "\\\\").replace("'", "\\'")
    assume(not set(name) & set("${}"))

    assert (
        resolve_text(f"${{t.output['{quoted}']}}", DocumentScope({"t": {"output": {name: value}}})) is value
    )


@given(VALUES)
def test_references_are_found_in_any_value(value: object) -> None:
    """Looking for references neither fails nor changes the value."""
    before = repr(value)

    assert all(
        reference.expression in before for reference in references(value) if reference.expression.isalnum()
    )
    assert repr(value) == before


@given(DOCUMENTS, DOCUMENTS)
def test_input_template_leaves_no_null_that_it_could_fill(
    parameters: dict[str, object], template: dict[str, object]
) -> None:
    """Own values win, missing and null ones are the template's, and no key is lost."""
    result = apply_input_template(with_input_template(parameters, template), template)

    assert set(result) == set(parameters) | set(template)
    for key, value in result.items():
        own = parameters.get(key)
        assert value is (template.get(key) if own is None else own)


SHARED_STEPS = st.lists(
    st.sampled_from(
        [".a", ".b", ".c", "['a']", "[0]", "[1]", "[*]", "[0:2]", "[1:]", "[:1]", ".a.b", "..a", "..b"]
    ),
    min_size=1,
    max_size=4,
).map("".join)
PLAIN_NAMES = st.sampled_from(["a", "b", "c"])
TREES = st.recursive(
    st.integers(0, 9) | st.just("text"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN_NAMES, inner, max_size=3),
    max_leaves=15,
)


def peer(path: str, document: object) -> list[object]:
    return [match.value for match in parse(path).find(document)]


@given(SHARED_STEPS, TREES)
def test_paths_agree_with_jsonpath_ng_where_the_dialects_agree(path: str, tree: object) -> None:
    """The same values are found; the order below `..` is each dialect's own."""
    ours = resolve_text(f"${{t.output{path}}}", DocumentScope({"t": {"output": tree}}))
    theirs = peer(f"$.t.output{path}", {"t": {"output": tree}})

    if any(mark in path for mark in ("*", ":", "..")):
        assert isinstance(ours, list)
        assert sorted(map(repr, ours)) == sorted(map(repr, theirs))
    else:
        assert ours == (theirs[0] if theirs else None)


@pytest.mark.parametrize("depth", [1, 60, 250])
def test_deep_templates_resolve_at_every_depth(depth: int) -> None:
    value: object = "${t.output.x}"
    for level in range(depth):
        value = [value] if level % 2 else {"k": value}

    resolved = compile_template(value).resolve(DocumentScope({"t": {"output": {"x": 7}}}))

    for level in reversed(range(depth)):
        resolved = resolved[0] if level % 2 else resolved["k"]  # type: ignore[index]
    assert resolved == 7
