"""What `${…}` means in a template: types, texts, nesting, escapes, and what is asked of the scope."""

from __future__ import annotations

import pytest

from asyncflow.decide.expressions import (
    ANY_HEAD,
    MISSING,
    DocumentScope,
    JsonPathError,
    Read,
    Reference,
    check_expression,
    compile_template,
    compile_text,
    heads,
    references,
    resolve_text,
)
from asyncflow.decide.template_text import MAX_EXPRESSION_NESTING
from asyncflow.errors import InvalidInput, LimitExceeded

DOCUMENT: dict[str, object] = {
    "workflow": {
        "input": {
            "key": "name",
            "name": "Ada",
            "none": None,
            "no": False,
            "count": 3,
            "ratio": 1.0,
            "raw": "${workflow.input.name}",
            "tags": ["a", 1, None, True],
            "map": {"b": {"c": [1.5]}, "t": "x"},
            "blank": " ",
        },
        "workflowId": "w-1",
    },
    "fetch_ref": {"output": {"a-b": 1, "0": "zero", "a b": 2, "items": [{"id": 1}, {"id": 2}]}},
    "CPEWF_TASK_ID": "t-9",
}
SCOPE = DocumentScope(DOCUMENT)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${workflow.input.count}", 3),
        ("${workflow.input.no}", False),
        ("${workflow.input.none}", None),
        ("${workflow.input.tags}", ["a", 1, None, True]),
        ("${$.workflow.input.name}", "Ada"),
        ("${workflow.workflowId}", "w-1"),
        ("${CPEWF_TASK_ID}", "t-9"),
        ("${fetch_ref.output.a-b}", 1),
        ("${fetch_ref.output.0}", "zero"),
        ("${fetch_ref.output['a b']}", 2),
        ("${fetch_ref.output.items[1].id}", 2),
        ("${fetch_ref}", DOCUMENT["fetch_ref"]),
        ("${workflow.input.name }", "Ada"),
    ],
)
def test_whole_expression_keeps_the_type_of_its_value(text: str, expected: object) -> None:
    assert resolve_text(text, SCOPE) == expected
    assert type(resolve_text(text, SCOPE)) is type(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Dear ${workflow.input.name}!", "Dear Ada!"),
        ("${workflow.input.count}${workflow.input.count}", "33"),
        (" ${workflow.input.count}", " 3"),
        ("${workflow.input.none}.", "null."),
        ("${nobody.output.x}.", "null."),
        ("is ${workflow.input.no}", "is false"),
        ("= ${workflow.input.ratio}", "= 1.0"),
        ("= ${workflow.input.tags}", "= [a, 1, null, true]"),
        ("= ${workflow.input.map}", "= {b={c=[1.5]}, t=x}"),
        ("a${}b${  }c", "abc"),
    ],
)
def test_expression_within_text_becomes_java_text(text: str, expected: str) -> None:
    assert resolve_text(text, SCOPE) == expected


@pytest.mark.parametrize("text", ["${}", "${ }", "${\t\n}", "${${workflow.input.blank}}"])
def test_blank_expression_is_an_empty_text(text: str) -> None:
    assert resolve_text(text, SCOPE) == ""


@pytest.mark.parametrize(
    "text",
    [
        "${nobody.output.x}",
        "${workflow.input.nothing}",
        "${workflow.input.name.first}",
        "${workflow.input.none.x}",
        "${workflow.nothing}",
        "${fetch_ref.output.items[7]}",
        "${fetch_ref.output.items.id}",
        "${not a path}",
        "${a..}",
        "${fetch_ref.output.items[?(]}",
        "${ workflow.input.name}",
        "${$}",
    ],
)
def test_what_cannot_be_resolved_is_null(text: str) -> None:
    assert resolve_text(text, SCOPE) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${workflow.input.${workflow.input.key}}", "Ada"),
        ("${workflow.${}input.count}", 3),
        ("${workflow.input.${workflow.input.none}}", None),
        ("<${workflow.input.${workflow.input.key}}>", "<Ada>"),
        ("${${workflow.input.map.t}}", None),
        ("${fetch_ref.output.items[${workflow.input.none}]}", None),
        ("${fetch_ref.output.items[?(@.id == ${workflow.input.ratio})].id}", [1]),
    ],
)
def test_nested_expressions_are_resolved_first_as_text(text: str, expected: object) -> None:
    assert resolve_text(text, SCOPE) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$${x}", "${x}"),
        ("a $${workflow.input.name} b", "a ${workflow.input.name} b"),
        ("$$${x}", "$${x}"),
        ("$${a ${workflow.input.name}}", "${a Ada}"),
        ("$${x} ${workflow.input.count}", "${x} 3"),
    ],
)
def test_escaped_mark_is_literal(text: str, expected: str) -> None:
    assert resolve_text(text, SCOPE) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("${", "${"),
        ("${a", "${a"),
        ("$", "$"),
        ("$$", "$$"),
        ("}{", "}{"),
        ("{ ${workflow.input.count} }", "{ 3 }"),
        ("${a ${workflow.input.count}", "${a 3"),
        ("${a {b}", "${a {b}"),
        ("${workflow.input.count} ${", "3 ${"),
        ("function() { return 1 }", "function() { return 1 }"),
        ("$.workflow.input.name", "$.workflow.input.name"),
    ],
)
def test_unbalanced_mark_stays_text(text: str, expected: str) -> None:
    assert resolve_text(text, SCOPE) == expected


def test_result_is_never_expanded_again() -> None:
    raw = "${workflow.input.name}"

    assert resolve_text("${workflow.input.raw}", SCOPE) == raw
    assert resolve_text("say ${workflow.input.raw}", SCOPE) == f"say {raw}"


def test_template_resolves_values_at_any_depth_but_no_keys() -> None:
    template = compile_template(
        {
            "${workflow.input.key}": 1,
            "a": [{"b": ["${workflow.input.count}", 2]}],
            "c": "${workflow.input.name}",
        }
    )

    assert template.resolve(SCOPE) == {"${workflow.input.key}": 1, "a": [{"b": [3, 2]}], "c": "Ada"}
    assert not template.is_constant


def test_template_keeps_the_order_of_keys() -> None:
    template = compile_template({"z": "${workflow.input.count}", "a": 1, "m": "${workflow.input.name}"})

    assert list(template.resolve(SCOPE)) == ["z", "a", "m"]  # type: ignore[call-overload]


def test_resolved_containers_are_new_each_time() -> None:
    template = compile_template({"a": ["${workflow.input.count}"]})

    first, second = template.resolve(SCOPE), template.resolve(SCOPE)

    assert first == second
    assert first is not second
    assert first["a"] is not second["a"]  # type: ignore[index]


def test_template_of_escapes_only_is_constant() -> None:
    template = compile_template({"a": ["$${x}"], "b": {}})

    assert template.is_constant
    assert template.resolve(SCOPE) == {"a": ["${x}"], "b": {}}


def test_secret_stays_as_it_is_written() -> None:
    template = compile_template(
        {"token": "${workflow.secrets.API}", "header": "Bearer ${workflow.secrets.A.b}"}
    )

    assert template.resolve(SCOPE) == {
        "token": "${workflow.secrets.API}",
        "header": "Bearer ${workflow.secrets.A.b}",
    }


class AskedScope:
    """Answers everything with one list and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None, str | None]] = []

    def field(self, head: str, name: str | None) -> object:
        self.asked.append((head, name, None))
        return MISSING if head == "gone" else [1, 2]

    def member(self, head: str, name: str, key: str) -> object:
        self.asked.append((head, name, key))
        return MISSING if head == "gone" else [1, 2]


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("${t.output.x}", [("t", "output", "x")]),
        ("${t.output.x[0].y}", [("t", "output", "x")]),
        ("${$['t']['output'].x}", [("t", "output", "x")]),
        ("${t.output[0]}", [("t", "output", None)]),
        ("${t.output.length()}", [("t", "output", None)]),
        ("${t.output..x}", [("t", "output", None)]),
        ("${t}", [("t", None, None)]),
        ("${t['a','b'].c}", [("t", None, None)]),
        ("${a.status} ${b.status} ${a.status}", [("a", "status", None), ("b", "status", None)]),
        ("${t.output.x[?(@ == $.u.output.y)]}", [("t", "output", "x"), ("u", "output", "y")]),
        ("${sum($.t.output.x)}", [("t", "output", "x")]),
    ],
)
def test_scope_is_asked_for_what_is_read_and_no_more(
    text: str, reads: list[tuple[str, str | None, str | None]]
) -> None:
    template, scope = compile_text(text), AskedScope()

    template.resolve(scope)

    assert template.reads == tuple(Read(*read) for read in reads)
    assert set(scope.asked) == set(reads)


def test_computed_path_may_read_anything() -> None:
    template = compile_template({"a": "${t.output.${workflow.input.key}}"})

    assert heads(template) == {"workflow", ANY_HEAD}


def test_indefinite_path_into_nothing_is_an_empty_list() -> None:
    assert compile_text("${gone.output.x[*].y}").resolve(AskedScope()) == []


def test_references_are_listed_with_their_places() -> None:
    template = {"a": ["x", "${t.output.x} ${u.status}"], "b": {"c": "${t.output.${k.output}}"}, "d": "$${no}"}

    assert list(references(template)) == [
        Reference("a[1]", "t.output.x"),
        Reference("a[1]", "u.status"),
        Reference("b.c", "t.output.${k.output}"),
        Reference("b.c", "k.output"),
    ]


@pytest.mark.parametrize(
    "text", ["", " ", "t.output.x", "t['a b'][-1]", "workflow.secrets.x", "t.${a.b}.c", "t..x"]
)
def test_check_accepts_what_compiles(text: str) -> None:
    check_expression(text)


@pytest.mark.parametrize(
    "text", ["t.", "t..", "a b", "t[", "t['x]", "t.${a.}", "t.output.lenght()", "t[?(@.x >)]"]
)
def test_check_refuses_and_names_what_does_not_compile(text: str) -> None:
    with pytest.raises(JsonPathError) as refused:
        check_expression(text)

    assert isinstance(refused.value, InvalidInput)
    assert refused.value.expression in text
    assert refused.value.expression in str(refused.value)


def test_nesting_is_bounded() -> None:
    deepest = "${" * MAX_EXPRESSION_NESTING + "}" * MAX_EXPRESSION_NESTING

    assert resolve_text(deepest, SCOPE) == ""
    with pytest.raises(LimitExceeded, match="nesting"):
        compile_text(f"${{{deepest}}}")


def test_depth_of_a_template_is_bounded() -> None:
    value: object = "${x}"
    for _ in range(300):
        value = [value]

    with pytest.raises(LimitExceeded, match="depth of a template"):
        compile_template(value)


def test_resolved_text_is_bounded() -> None:
    scope = DocumentScope({"big": "x" * 1_000_000})

    with pytest.raises(LimitExceeded, match="resolved text"):
        resolve_text("${big}" * 9, scope)


@pytest.mark.parametrize(
    "piece", ["${", "{", "${a{", "$${", "$", "}", "${}", "${a", "${${", "${workflow.secrets."]
)
def test_hostile_text_is_read_in_one_pass(piece: str) -> None:
    """Quadratic reading of these 200,000 characters would run into the suite's time limit."""
    text = piece * (200_000 // len(piece))

    resolved = resolve_text(text, SCOPE)

    assert isinstance(resolved, str)
    assert len(resolved) <= len(text)
