"""Events to text and back: nothing lost, nothing half understood."""

from __future__ import annotations

from typing import NamedTuple, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflow.errors import InvalidInput, StoreError
from asyncflow.model.events import Event, VariablesSet
from asyncflow.model.turn import Recorded, StreamEvents
from asyncflow.store.codec import Codec


class Measured(NamedTuple):
    name: str
    value: object = None


class Renamed(NamedTuple):
    name: str


KINDS = {"Measured": Measured, "Renamed": Renamed}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def measured(value: object) -> list[StreamEvents]:
    return [StreamEvents("s", 1, [cast("Event", Measured("m", value))])]


def encoded(value: object) -> bytes:
    return Codec(KINDS).encode_entries(measured(value))


@given(JSON)
def test_any_json_value_survives_turn_and_segment(value: object) -> None:
    """Law: decode(encode(x)) == x, in both forms."""
    codec = Codec(KINDS)
    event = cast("Event", Measured("m", value))

    assert codec.decode_entries(codec.encode_entries(measured(value))) == measured(value)
    assert codec.decode_recorded(codec.encode_recorded([Recorded(7, 8, event)])) == [Recorded(7, 8, event)]


@pytest.mark.parametrize("number", [2**63, -(2**64), 10**4299, 10**4300 + 7, -(10**12345) - 3], ids=range(5))
def test_integers_keep_all_their_digits(number: int) -> None:
    event = Codec(KINDS).decode_entries(encoded(number))[0].events[0]

    assert cast("object", event) == Measured("m", number)


def test_floats_keep_type_and_sign() -> None:
    event = cast("object", Codec(KINDS).decode_entries(encoded([1.0, -0.0, 1e308]))[0].events[0])

    assert repr(event) == "Measured(name='m', value=[1.0, -0.0, 1e+308])"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "nan"),
        ({"deep": [1, {"x": float("-inf")}]}, r"'x'.*-inf"),
        ("\ud800", "surrogate at position 0"),
        ({"a\udfff": 1}, "key.*surrogate"),
        (object(), "object has no JSON form"),
        ([object()], "object has no JSON form"),
    ],
)
def test_value_without_json_form_is_refused_by_name(value: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        encoded(value)


def test_words_for_no_number_are_fine_in_text() -> None:
    assert b"NaN and Infinity" in encoded("NaN and Infinity")


def test_older_record_decodes_with_the_defaults_of_what_it_lacks() -> None:
    assert cast("object", Codec(KINDS).event(["Measured", "m"])) == Measured("m", None)


@pytest.mark.parametrize("record", [["Measured", "m", 1, 2], ["Invented", 1]])
def test_record_of_a_newer_release_is_refused(record: list[object]) -> None:
    with pytest.raises(StoreError, match="newer version"):
        Codec(KINDS).event(record)


def test_record_with_too_few_fields_is_called_damaged() -> None:
    with pytest.raises(StoreError, match="damaged"):
        Codec(KINDS).event(["Measured"])


def test_upcaster_turns_an_old_record_into_one_of_today() -> None:
    codec = Codec(KINDS, {"Old": lambda record: ["Renamed", f"{record[1]}!"]})

    assert cast("object", codec.event(["Old", "x"])) == Renamed("x!")


@pytest.mark.parametrize("text", [b"", b"[", b"[NaN]", b'["\xff"]', b"[1] 2"])
def test_text_that_is_not_json_is_a_store_error(text: bytes) -> None:
    with pytest.raises(StoreError):
        Codec(KINDS).decode_entries(text)


def test_real_kinds_are_the_default() -> None:
    codec = Codec()
    entries = [StreamEvents("s", 1, [VariablesSet({"a": 1})])]

    assert codec.decode_entries(codec.encode_entries(entries)) == entries
