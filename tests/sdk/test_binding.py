"""From task input to parameters, and from a result to a task output."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import BaseModel

from asyncflow.errors import InvalidInput
from asyncflow.runtime.binding import binding_of, normalise_result

if TYPE_CHECKING:
    from somewhere import TaskContext, Unknown  # type: ignore[import-not-found]  # resolved by nobody


class Colour(Enum):
    """An enumeration that an input may name."""

    RED = "red"


class Order(BaseModel):
    """A model as a parameter."""

    number: int
    when: datetime | None = None


@dataclass
class Point:
    """A dataclass as a parameter."""

    x: int
    y: int = 0


def plain(a: int, b: str = "b", *, c: list[str] | None = None) -> None: ...
def typed(order: Order, points: list[Point], colour: Colour) -> None: ...
def by_number(names: dict[int, str]) -> None: ...
def everything(**inputs: object) -> None: ...
def some_and_rest(a: Point, **rest: object) -> None: ...
def whole(input: dict[str, object]) -> None: ...  # noqa: A002 -- the name is the rule
def whole_with_context(input: Mapping[str, object], ctx: object) -> None: ...  # noqa: A002 -- as above
def one_of_two(input: dict[str, object], other: int) -> None: ...  # noqa: A002 -- as above
def by_annotation(a: int, me: TaskContext) -> None: ...
def unknown_type(a: Unknown) -> None: ...
def untyped(a, b=2): ...  # type: ignore[no-untyped-def]  # what authors write
def positional(a: int, /) -> None: ...
def impossible(a: Callable[[], int], b: object = None) -> None: ...


class Opaque:
    """No JSON value can become this."""


def opaque(a: Opaque) -> None: ...


@pytest.mark.parametrize(
    ("function", "data", "expected"),
    [
        (plain, {"a": 1}, {"a": 1}),
        (plain, {"a": "not checked", "c": [1], "unknown": 3}, {"a": "not checked", "c": [1]}),
        (plain, {"a": None, "b": None}, {"a": None, "b": None}),
        (by_number, {"names": {"1": "a"}}, {"names": {1: "a"}}),
        (everything, {"a": 1, "b": 2}, {"a": 1, "b": 2}),
        (some_and_rest, {"a": {"x": "1"}, "z": 2}, {"a": Point(1), "z": 2}),
        (whole, {"a": 1, "input": 2}, {"input": {"a": 1, "input": 2}}),
        (one_of_two, {"input": {"a": 1}, "other": 2}, {"input": {"a": 1}, "other": 2}),
        (unknown_type, {"a": [1]}, {"a": [1]}),
        (untyped, {"a": 1}, {"a": 1}),
    ],
)
def test_bind_gives_each_parameter_its_input(
    function: Callable[..., object], data: dict[str, object], expected: dict[str, object]
) -> None:
    assert binding_of(function).bind(data) == expected


def test_bind_converts_models_dataclasses_and_enums() -> None:
    data = {"order": {"number": 7, "when": "2030-01-02T03:04:05Z"}, "points": [{"x": 1}], "colour": "red"}

    bound = binding_of(typed).bind(data)

    order = bound["order"]
    assert isinstance(order, Order)
    assert isinstance(order.when, datetime)
    assert bound["points"] == [Point(1)]
    assert bound["colour"] is Colour.RED


def test_bind_resolves_types_local_to_a_function() -> None:
    @dataclass
    class Local:
        x: int

    def takes_local(a: Local) -> Local:
        return Local(a.x)

    assert binding_of(takes_local).bind({"a": {"x": 3}}) == {"a": Local(3)}


def test_bind_injects_the_context_by_name_and_by_annotation() -> None:
    context = object()

    assert binding_of(by_annotation).bind({"a": 1, "me": "mine"}, context) == {"a": 1, "me": context}
    assert binding_of(whole_with_context).bind({"a": 1}, context) == {"input": {"a": 1}, "ctx": context}


def test_bind_gives_the_whole_input_as_a_copy() -> None:
    data: dict[str, object] = {"a": 1}

    bound = binding_of(whole).bind(data)["input"]

    assert bound == data
    assert bound is not data


@pytest.mark.parametrize(
    ("function", "data", "message"),
    [
        (plain, {"b": "x"}, "^a: plain needs it"),
        (
            typed,
            {"order": {"number": "x"}, "points": [], "colour": "red"},
            "^order: does not fit typed",
        ),
        (typed, {"order": {"number": 1}, "points": 5, "colour": "red"}, "^points: "),
        (typed, {"order": {"number": 1}, "points": [], "colour": "blue"}, "^colour: "),
        (positional, {"a": 1}, "^a: positional takes it by position only"),
        (opaque, {"a": 1}, "^a: opaque: no JSON value"),
    ],
)
def test_bind_names_function_and_parameter_of_a_misfit(
    function: Callable[..., object], data: dict[str, object], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        binding_of(function).bind(data)


def test_binding_is_made_once_for_a_function() -> None:
    assert binding_of(plain) is binding_of(plain)


@pytest.mark.parametrize(
    ("value", "output"),
    [
        (None, {}),
        ({}, {}),
        ({"a": 1}, {"a": 1}),
        ({1: Colour.RED}, {"1": "red"}),
        (Order(number=1), {"number": 1, "when": None}),
        (Point(1), {"x": 1, "y": 0}),
        ({"points": [Point(1)]}, {"points": [{"x": 1, "y": 0}]}),
        (5, {"result": 5}),
        (False, {"result": False}),
        ("", {"result": ""}),
        ([Point(1)], {"result": [{"x": 1, "y": 0}]}),
        ((1, 2), {"result": [1, 2]}),
        (Colour.RED, {"result": "red"}),
    ],
)
def test_result_becomes_an_output(value: object, output: dict[str, object]) -> None:
    assert normalise_result(value) == output


def test_result_is_no_longer_the_authors_to_change() -> None:
    inner: list[Any] = [1]
    result = {"a": inner}

    output = normalise_result(result)
    inner.append(2)

    assert output == {"a": [1]}


@pytest.mark.parametrize("value", [object(), {"a": object()}, [lambda: 1], {"a": {"b": {object()}}}])
def test_result_that_is_not_json_is_refused(value: object) -> None:
    with pytest.raises(InvalidInput, match="not JSON"):
        normalise_result(value)


def test_result_that_contains_itself_is_refused() -> None:
    result: dict[str, object] = {}
    result["self"] = result

    with pytest.raises(InvalidInput, match="not JSON"):
        normalise_result(result)
