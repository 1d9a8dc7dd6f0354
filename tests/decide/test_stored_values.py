"""Expressions over references to stored values: whole they travel, and no part of them is silently null."""

from __future__ import annotations

import pytest

from asyncflow.decide.expressions import DocumentScope, compile_template
from asyncflow.decide.java_text import java_text
from asyncflow.errors import StoredByReference
from asyncflow.model.payload_reference import PayloadReference

REFERENCE = PayloadReference("a" * 64, 12, 3).to_json()
SCOPE = DocumentScope(
    {"t": {"output": {"rows": REFERENCE, "count": 3, "list": [REFERENCE, {"id": 1}]}, "input": REFERENCE}}
)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("${t.output.rows}", REFERENCE),
        ("${t.output.count}", 3),
        ("${t.output.list}", [REFERENCE, {"id": 1}]),
        ("${t.output.list[1].id}", 1),
        ("${t.output.nothing}", None),
        ("${t.output.count.nothing}", None),
        ("${t.output.list[*]}", [REFERENCE, {"id": 1}]),
        ("${t.output['rows','count']}", {"rows": REFERENCE, "count": 3}),
        ("${t.output.rows['asyncflow:stored'].bytes}", 12),
    ],
)
def test_whole_references_and_what_stands_beside_them_are_seen(expression: str, value: object) -> None:
    assert compile_template(expression).resolve(SCOPE) == value


@pytest.mark.parametrize(
    "expression",
    [
        "${t.output.rows[0]}",
        "${t.output.rows.first}",
        "${t.output.rows.first.second}",
        "${t.output.rows[*]}",
        "${t.output.rows[0:2]}",
        "${t.output.rows[0,1]}",
        "${t.output.rows['a','b']}",
        "${t.output.rows.*}",
        "${t.output.rows[?(@.id == 1)]}",
        "${t.output.rows.length()}",
        "${t.output..id}",
        "${t.output.list[*].id}",
        "${t.output.list[?(@.id == 1)]}",
        "${t.input.anything}",
        "rows: ${t.output.rows}",
        "${t.output.${t.output.rows}}",
    ],
)
def test_step_into_a_reference_is_refused(expression: str) -> None:
    with pytest.raises(StoredByReference, match="stored by reference"):
        compile_template(expression).resolve(SCOPE)


def test_reference_within_a_text_is_refused() -> None:
    with pytest.raises(StoredByReference):
        java_text([1, {"a": REFERENCE}])
