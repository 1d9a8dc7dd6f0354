"""What callers hand in, checked before it reaches the deciding core: JSON, and not too large.

Whatever passes can be recorded: a value without a JSON form would stop the journal, and with it
everybody else. Shapes are the business of `model/` and of the surfaces.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic_core import PydanticSerializationError, from_json, to_json

from asyncflow.errors import InvalidInput, LimitExceeded
from asyncflow.model.json_values import find_fault
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.shape import path_of
from asyncflow.model.values import JsonObject

_TEXT_DEPTH = 8


def check_payload(
    value: JsonObject,
    field: str,
    limits: Limits,
    *,
    most_bytes: int | None = None,
    is_plain: bool = False,
) -> tuple[JsonObject, int]:
    """A copy of a payload, and its size in bytes of JSON.

    Args:
        is_plain: it was read from JSON text of which `json_text.is_plain` says so, and nobody else has it:
            then it is not copied, and only its depth and size are looked at.

    Raises:
        InvalidInput: something in it has no JSON form, or it is no object.
        LimitExceeded: it is larger than `most_bytes`, by default `payload_bytes`.
    """
    if value == {}:
        return {}, 2
    allowed = limits.payload_bytes if most_bytes is None else most_bytes
    if not is_plain:
        _check_json(value, field, limits)
    try:
        text = to_json(value)
    except (PydanticSerializationError, ValueError) as error:
        raise InvalidInput(f"not JSON: {error}", field=field) from error
    if len(text) > allowed:
        raise LimitExceeded(f"payload_too_large: {field} in bytes", allowed=allowed, actual=len(text))
    if is_plain:
        if text.count(b"{") + text.count(b"[") > limits.document_depth:
            _check_json(value, field, limits)
        return value, len(text)
    copied = from_json(text)
    if not isinstance(copied, dict):
        raise InvalidInput("must be an object", field=field)
    return copied, len(text)


def _check_json(value: JsonObject, field: str, limits: Limits) -> None:
    fault = find_fault(value, depth=limits.document_depth)
    if fault is not None:
        raise InvalidInput(fault.message, field=path_of((field, *fault.parts)))


def check_texts(**values: object) -> None:
    """Refuse texts, and small maps of texts, that could not be recorded: a lone surrogate is enough.

    Raises:
        InvalidInput: something is no text, or not JSON; the message names it.
        LimitExceeded: a text is longer than `text_characters`.
    """
    limit = DEFAULT_LIMITS.text_characters
    for field, value in values.items():
        if value is None or value in ("", {}):
            continue
        if type(value) is str and len(value) <= limit and value.isascii() and "\0" not in value:
            continue
        if not isinstance(value, str | Mapping):
            raise InvalidInput(f"must be text, not {value!r:.100}", field=field)
        fault = find_fault({field: value}, depth=_TEXT_DEPTH)
        if fault is not None:
            raise InvalidInput(fault.message, field=path_of(fault.parts))
        if isinstance(value, str) and len(value) > limit:
            raise LimitExceeded(f"text_characters: {field}", allowed=limit, actual=len(value))
