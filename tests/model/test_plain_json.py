"""What is said to be plain JSON text gives no value that a closer look would refuse, its depth aside."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflow.errors import InvalidInput, LimitExceeded
from asyncflow.model.documents import parse_document
from asyncflow.model.json_text import is_plain
from asyncflow.model.json_values import find_fault

CHARACTERS = st.characters() | st.sampled_from(["\0", "\ud800", "\udfff", "\\", '"', "é", "\U0001f600"])
TEXTS = st.text(CHARACTERS, max_size=4)
SCALARS = st.none() | st.booleans() | TEXTS | st.integers() | st.floats() | st.just(10**4_299)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@given(VALUES, st.booleans())
def test_value_of_plain_text_has_no_fault(value: object, is_escaped: bool) -> None:  # noqa: FBT001
    text = json.dumps(value, ensure_ascii=is_escaped).encode("utf-8", "surrogatepass")
    try:
        read = parse_document(text, format="json", purpose="request")
    except (InvalidInput, LimitExceeded):
        return
    if is_plain(text):
        assert find_fault(read, depth=1_000) is None


def test_text_with_an_escape_is_not_called_plain() -> None:
    assert not is_plain(rb'{"a": "\u0000"}')
    assert not is_plain(rb'["\ud800"]')
    assert is_plain('{"a": "é\\n\\"", "b": [1, 2.5, null]}'.encode())


def test_integer_too_long_is_refused_where_plain_text_is_read() -> None:
    longest = b"9" * 4_300

    assert find_fault([parse_document(longest, format="json", purpose="request")], depth=1) is None
    with pytest.raises(LimitExceeded):
        parse_document(b"[" + longest + b"9]", format="json", purpose="request")
