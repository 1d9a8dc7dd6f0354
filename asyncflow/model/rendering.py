"""Definitions back to JSON: as Conductor's server renders them, and as bytes for hashing and storing.

It changes nothing and reads back exactly: parsing what is rendered gives an equal record. The parents of
all records are in `model/shape.py`.
"""

from __future__ import annotations

from functools import cache

from pydantic import BaseModel
from pydantic_core import to_json as encode

from asyncflow.model.shape import EXTENSION_KEY, Shape

_Plan = tuple[tuple[str, str, object], ...]


def to_json(model: Shape) -> dict[str, object]:
    """The record as Conductor renders it: nulls left out, collections, numbers and booleans filled in.

    Unknown fields are kept as they came; `asyncflow` appears only when it was given, with what was given.

    Returns:
        A new object whose user payloads are shared with the record: read it, do not change it.
    """
    return _render(model, fill=True)


def canonical_json(model: Shape) -> bytes:
    """Stable bytes of the record for hashing and storing: keys sorted, fields at their default left out.

    Leaving defaults out keeps the hash of a definition when a later version of asyncflow adds a field.
    """
    return encode(in_one_order(compact(model)))


def compact(model: Shape) -> dict[str, object]:
    """The record as a new object with what differs from the defaults, in the order of the fields."""
    return _render(model, fill=False)


@cache
def _plan(model: type[BaseModel]) -> _Plan:
    return tuple(
        (name, field.alias or name, field.get_default(call_default_factory=True))
        for name, field in model.model_fields.items()
    )


def _render(model: Shape, *, fill: bool) -> dict[str, object]:
    values, result = model.__dict__, {}
    kept = () if fill else model.kept_at_default()
    for name, alias, default in _plan(type(model)):
        value = values[name]
        if value is None or (not fill and value == default and name not in kept):
            continue
        result[alias] = _given(value) if alias == EXTENSION_KEY else _plain(value, fill=fill)
    return result | (model.__pydantic_extra__ or {})


def _given(model: BaseModel) -> dict[str, object]:
    """An extension with the fields that were given: a given default overrides, a missing one does not."""
    values, given = model.__dict__, model.model_fields_set
    result = {
        alias: _plain_given(values[name])
        for name, alias, _ in _plan(type(model))
        if name in given and values[name] is not None
    }
    return result | (model.__pydantic_extra__ or {})


def _plain_given(value: object) -> object:
    return [_given(v) if isinstance(v, BaseModel) else v for v in value] if isinstance(value, list) else value


def _plain(value: object, *, fill: bool) -> object:
    """Records inside become objects; user payloads, in which no record can stand, are shared."""
    if isinstance(value, Shape):
        return _render(value, fill=fill)
    if isinstance(value, list):
        return [_plain(each, fill=fill) for each in value]
    if isinstance(value, dict) and any(type(each) is list for each in value.values()):
        return {key: _plain_case(each, fill=fill) for key, each in value.items()}
    return value


def _plain_case(value: object, *, fill: bool) -> object:
    """A case of a decision is a list of records; a list in a user payload holds none."""
    holds_records = isinstance(value, list) and value and isinstance(value[0], BaseModel)
    return _plain(value, fill=fill) if holds_records else value


def in_one_order(value: object) -> object:
    """The same value with the keys of all objects sorted, as definitions are read back from the store."""
    if isinstance(value, dict):
        return {key: in_one_order(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [in_one_order(each) for each in value]
    return value
