"""The published catalogue of events: names, what they say, and a JSON schema of the data of each.

It is served at `GET /api/asyncflow/event-catalogue`, and `docs/event-catalogue.md` is made of it; a test
holds the page to it. It decides nothing; the table it is made of is `event_rules`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import get_args, get_origin, get_type_hints

from asyncflow.app.event_rules import GAP, LEASED, RULES, Rule, Scope, public_key
from asyncflow.model.values import JsonObject

_TEXT: JsonObject = {"type": "string"}
_NUMBER: JsonObject = {"type": "integer"}
_EXECUTION: Mapping[str, JsonObject] = {
    "executionId": _TEXT,
    "workflow": _TEXT,
    "version": _NUMBER,
    "correlationId": {"type": ["string", "null"]},
}
_TASK: Mapping[str, JsonObject] = {
    **_EXECUTION,
    "taskId": _TEXT,
    "ref": _TEXT,
    "task": _TEXT,
    "type": _TEXT,
    "iteration": _NUMBER,
}
_JOB: Mapping[str, JsonObject] = {
    **_TASK,
    "resource": _TEXT,
    "instance": _TEXT,
    "handle": _TEXT,
}
SHARED: Mapping[Scope, Mapping[str, JsonObject]] = {
    "task": _TASK,
    "job": _JOB,
    "execution": _EXECUTION,
    "resource": {"resource": _TEXT},
    "engine": {},
}
"""By scope: the facts that all its events have."""


_MAY_LACK = frozenset({*_JOB} - {"executionId"})
"""Facts that are left out where nothing is recorded any more that tells them."""

_BESIDES: tuple[tuple[str, str, Scope, Mapping[str, JsonObject]], ...] = (
    (
        GAP,
        "A listener fell further behind than its `max_lag`: these turns were passed over.",
        "engine",
        {"fromTurn": _NUMBER, "toTurn": _NUMBER, "turns": _NUMBER},
    ),
    (
        LEASED,
        "A task holds a part of it from here to its end.",
        "resource",
        {**_TASK, "resource": _TEXT, "weight": {"type": "number"}, "mode": _TEXT, "key": _TEXT},
    ),
)


def catalogue() -> list[JsonObject]:
    """Every published event by name: what it says, what it is about, and the JSON schema of its data."""
    found: dict[str, JsonObject] = {}
    for kind, rule in RULES.items():
        for name, entry in _entries(kind, rule):
            found[name] = _merged(found[name], entry) if name in found else entry
    for name, about, scope, own in _BESIDES:
        found[name] = _entry(name, about, scope, own)
    return [found[name] for name in sorted(found)]


def catalogue_page() -> str:
    """`docs/event-catalogue.md`: the same for people."""
    parts = [_PAGE_HEAD]
    for entry in catalogue():
        schema = entry["schema"]
        assert isinstance(schema, dict)
        needed = set(schema["required"])
        told = ", ".join(f"`{key}`" if key in needed else f"`{key}`?" for key in schema["properties"])
        parts.append(f"| `{entry['name']}` | {entry['about']} | {told} |\n")
    return "".join(parts)


_PAGE_HEAD = """# Catalogue of events

What is told to [listeners](listeners.md), under which name, with which data. A key with a question mark may
be missing: nothing is recorded any more that tells it. The page is made of the table in the code; the JSON
schema of each event is served at `GET /api/asyncflow/event-catalogue`. Names and keys are only ever added.

Inputs and outputs are in no event: `executionId` and `taskId` find them.

| name | what it says | data |
| --- | --- | --- |
"""


def _entries(kind: type, rule: Rule) -> Iterator[tuple[str, JsonObject]]:
    hints = get_type_hints(kind)
    own = {public_key(key): _schema(hints[key]) for key in rule.keys}
    for name, about in rule.names.items():
        yield name, _entry(name, about, rule.scope, {**SHARED[rule.scope], **own})


def _entry(name: str, about: str, scope: Scope, properties: Mapping[str, JsonObject]) -> JsonObject:
    schema: JsonObject = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": name,
        "type": "object",
        "properties": dict(properties),
        "required": sorted(key for key in properties if key not in _MAY_LACK),
    }
    return {"name": name, "about": about, "subject": scope, "schema": schema}


def _merged(one: JsonObject, other: JsonObject) -> JsonObject:
    """A name that two kinds have: what either tells, and what both always tell."""
    first, second = one["schema"], other["schema"]
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    schema = {
        **first,
        "properties": {**second["properties"], **first["properties"]},
        "required": sorted({*first["required"]} & {*second["required"]}),
    }
    return {**one, "schema": schema}


_SCALARS: Mapping[object, str] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def _schema(hint: object) -> JsonObject:
    if isinstance(hint, UnionType):
        types = [_schema(part)["type"] for part in get_args(hint) if part is not NoneType]
        return {"type": [*types, "null"]}
    if hint in _SCALARS:
        return {"type": _SCALARS[hint]}
    return {"type": "array" if (get_origin(hint) or hint) is list else "object"}


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(catalogue_page(), encoding="utf-8")
