"""Text from outside, JSON or YAML, to plain JSON values within bounds, or one error that says where.

It knows no shape: what the values mean is for `model/definition.py` and the wire. The two grammars are in
`model/json_text.py` and `model/yaml_text.py`.
"""

from __future__ import annotations

import codecs
from typing import Literal, NamedTuple

from asyncflow.errors import InvalidInput, LimitExceeded
from asyncflow.model.json_text import parse_json
from asyncflow.model.json_values import Bounds
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.yaml_text import parse_yaml

Format = Literal["json", "yaml", "guess"]
"""How a text is written; guess takes a text that begins with `{` or `[` for JSON, any other for YAML."""

Purpose = Literal["definition", "request", "value"]
"""What a text holds, which sets its bounds: one definition, a request that may hold some, any other value."""


class _Size(NamedTuple):
    limit: str
    allowed: int


def parse_document(
    text: str | bytes,
    *,
    limits: Limits = DEFAULT_LIMITS,
    format: Format = "guess",  # noqa: A002 - the word users know it by
    purpose: Purpose = "definition",
) -> object:
    """The JSON value that the text holds.

    Texts are kept exactly, U+0000 too where the format can write it (definitions refuse it later); lone
    surrogates, duplicate keys, NaN, infinities and numbers beyond a double are refused. YAML knows JSON's
    types only: `on`, `no`, `012`, `0x1f`, `1:30` and dates are text, and every key is text.

    Args:
        text: bytes are UTF-8; a byte order mark is dropped.

    Returns:
        A value that the caller owns; parts that a YAML alias repeats are one object.

    Raises:
        InvalidInput: the text is malformed; the message names the line and column, or the path.
        LimitExceeded: it is larger or deeper than the purpose allows; names the limit.

    Cost: linear in the text, for YAML about 0.5 s a MiB: give more than a few KiB to a thread.
    """
    size = _size_for(purpose, limits)
    decoded = _decoded(text, size)
    name = "document_depth" if purpose == "value" else "definition_depth"
    bounds = Bounds(
        size_limit=size.limit,
        size=size.allowed,
        depth_limit=name,
        depth=limits.document_depth if purpose == "value" else limits.definition_depth,
        digits=limits.integer_digits,
    )
    if format == "json" or (format == "guess" and decoded.lstrip()[:1] in {"{", "["}):
        return parse_json(decoded, bounds)
    return parse_yaml(decoded, bounds)


def _size_for(purpose: Purpose, limits: Limits) -> _Size:
    if purpose == "definition":
        return _Size("definition_bytes", limits.definition_bytes)
    return _Size("request_bytes", limits.request_bytes)


def _decoded(text: str | bytes, size: _Size) -> str:
    """The text, proven to be Unicode and no longer than allowed."""
    length = len(text)
    if length > size.allowed:  # characters are never more than bytes
        raise LimitExceeded(size.limit, allowed=size.allowed, actual=length)
    try:
        if isinstance(text, bytes):
            return text.removeprefix(codecs.BOM_UTF8).decode()
        length = length if text.isascii() else len(text.encode())
    except UnicodeDecodeError as error:
        raise InvalidInput(f"not UTF-8 at byte {error.start}") from None
    except UnicodeEncodeError as error:
        raise InvalidInput(f"a lone surrogate at character {error.start}") from None
    if length > size.allowed:
        raise LimitExceeded(size.limit, allowed=size.allowed, actual=length)
    return text.removeprefix("\ufeff")
