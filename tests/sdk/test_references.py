"""References: what they are written as, and where Python would mislead."""

from __future__ import annotations

import copy
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from asyncflow.errors import InvalidInput
from asyncflow.sdk.operators import noop
from asyncflow.sdk.references import Reference, render
from asyncflow.sdk.workflow import Workflow

wf = Workflow("w")


class Order(BaseModel):
    """A model used as an input."""

    number: int


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        (wf.input, "${workflow.input}"),
        (wf.input.x.y[0], "${workflow.input.x.y[0]}"),
        (wf.input("x"), "${workflow.input.x}"),
        (wf.input("x.y[?(@.a > 1)].b"), "${workflow.input.x.y[?(@.a > 1)].b}"),
        (wf.input("[0]"), "${workflow.input[0]}"),
        (wf.input(), "${workflow.input}"),
        (wf.input["a b"], "${workflow.input['a b']}"),
        (wf.input["it's"], "${workflow.input['it\\'s']}"),
        (wf.input["größe"], "${workflow.input['größe']}"),
        (wf.input["_hidden"], "${workflow.input._hidden}"),
        (wf.input["0"], "${workflow.input['0']}"),
        (wf.input.list[-1], "${workflow.input.list[-1]}"),
        (wf.input.list[:].id, "${workflow.input.list[*].id}"),
        (wf.input[wf.input.key], "${workflow.input.${workflow.input.key}}"),
        (wf.input.items.format, "${workflow.input.items.format}"),
        (wf.variables.x, "${workflow.variables.x}"),
        (wf.secrets.token, "${workflow.secrets.token}"),
        (wf.env.HOME, "${workflow.env.HOME}"),
        (wf.field("correlationId"), "${workflow.correlationId}"),
        (noop(ref="n").output("y"), "${n.output.y}"),
        (noop(ref="n").input.a, "${n.input.a}"),
        (noop(ref="n").field("status"), "${n.status}"),
    ],
)
def test_reference_is_written_as_expression(reference: Reference, text: str) -> None:
    assert str(reference) == text
    assert f"<{reference}>" == f"<{text}>"


def test_reference_equals_by_path_and_survives_copying() -> None:
    assert wf.input.a == Workflow("other").input.a
    assert wf.input.a != wf.input.b
    assert len({wf.input.a, wf.input.a}) == 1
    assert copy.deepcopy(wf.input.a) == wf.input.a


def test_reference_refuses_to_be_a_condition() -> None:
    with pytest.raises(InvalidInput, match=r"workflow\.input\.flag.*switch"):
        bool(wf.input.flag)


def test_reference_refuses_iteration_and_membership() -> None:
    with pytest.raises(TypeError):
        list(wf.input.list)  # type: ignore[call-overload]  # type checkers see it too
    with pytest.raises(TypeError):
        _ = "a" in wf.input.list  # type: ignore[misc]  # as above


def test_reference_refuses_what_an_expression_cannot_hold() -> None:
    with pytest.raises(InvalidInput, match="braces"):
        wf.input["a}b"]
    with pytest.raises(InvalidInput, match=r"\[:\]"):
        wf.input.list[1:2]
    with pytest.raises(InvalidInput, match=r"workflow\.input\.n"):
        f"{wf.input.n:>10}"
    with pytest.raises(AttributeError, match="underscore"):
        _ = wf.input._hidden


def test_render_finds_references_wherever_they_are() -> None:
    value = {"a": [wf.input.x, (1, wf.input.y)], "b": {"c": f"to {wf.input.z}"}, "d": None}

    assert render(value, "n") == {
        "a": ["${workflow.input.x}", [1, "${workflow.input.y}"]],
        "b": {"c": "to ${workflow.input.z}"},
        "d": None,
    }


def test_render_turns_models_and_dates_into_json() -> None:
    value = [Order(number=1), datetime(2030, 1, 2, tzinfo=UTC)]

    assert render(value, "n") == [{"number": 1}, "2030-01-02T00:00:00Z"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": [object()]}, r"n\.a\[0\].*object"),
        ({"a": noop(ref="x")}, r"n\.a.*\.output"),
        ({1: "a"}, "not text"),
        ({"a": {wf.input.k: 1}}, r"n\.a.*not resolved in keys"),
    ],
)
def test_render_names_the_place_of_what_is_not_json(value: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        render(value, "n")
