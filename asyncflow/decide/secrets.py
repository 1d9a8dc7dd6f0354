"""Secrets in expressions: kept as they are written until the moment a task is handed out.

Stored data holds only `${workflow.secrets.NAME}`, never a secret's value; nothing here knows where
secrets are kept. Templates are in `expressions`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from typing import Final

from asyncflow.decide.java_text import java_text
from asyncflow.decide.jsonpath import MISSING, Evaluation, JsonPath, JsonPathError, compile_path
from asyncflow.errors import LimitExceeded

MAX_INPUT_DEPTH: Final = 400

_PREFIX = re.compile(r"\s*(?:\$\.)?workflow\.secrets\.")
_SECRET = re.compile(r"\$\{\s*(?:\$\.)?workflow\.secrets\.([^{}$]+)\}")
_NAME = re.compile(r"[^.\[\s]*")

SecretLookup = Callable[[str], object]
"""The text of a secret by name, or MISSING."""


def is_secret(expression: str) -> bool:
    """Whether an expression asks for a secret, so that it is left for `fill_secrets`."""
    return _PREFIX.match(expression) is not None


def fill_secrets(value: object, lookup: SecretLookup) -> object:
    """The value with every `${workflow.secrets.NAME}` in its texts replaced; for hand-off only.

    `NAME.path` reads a path out of a secret that holds JSON. A text that is one secret only becomes
    what was found, otherwise it is put in as text; a missing secret is null. Parts without secrets
    are the same objects as before.

    Raises:
        LimitExceeded: the value is nested deeper than MAX_INPUT_DEPTH.
    """
    return _fill(value, lookup, 0)


def _fill(value: object, lookup: SecretLookup, depth: int) -> object:
    if isinstance(value, str):
        return _fill_text(value, lookup) if "${" in value else value
    if not isinstance(value, dict | list):
        return value
    if depth > MAX_INPUT_DEPTH:
        raise LimitExceeded("depth of a task input", allowed=MAX_INPUT_DEPTH)
    items: Iterable[tuple[str | int, object]] = value.items() if isinstance(value, dict) else enumerate(value)
    filled: list[object] | dict[str | int, object] | None = None
    for key, member in items:
        new = _fill(member, lookup, depth + 1)
        if new is not member:
            filled = value.copy() if filled is None else filled
            filled[key] = new  # type: ignore[index]  # a name in a map, a place in a list
    return value if filled is None else filled


def _fill_text(text: str, lookup: SecretLookup) -> object:
    whole = _SECRET.fullmatch(text)
    if whole is not None:
        return _find(whole.group(1), lookup)
    return _SECRET.sub(lambda found: java_text(_find(found.group(1), lookup)), text)


def _find(wanted: str, lookup: SecretLookup) -> object:
    name = wanted[: end.end()] if (end := _NAME.match(wanted)) else wanted
    rest = wanted[len(name) :].strip()
    secret = lookup(name)
    if secret is MISSING:
        return None
    if not rest:
        return secret
    try:
        document: object = json.loads(secret) if isinstance(secret, str) else secret
        path = compile_path("$" + rest)
    except (JsonPathError, ValueError, RecursionError):
        return None
    return _read(document, path)


def _read(document: object, path: JsonPath) -> object:
    def root(wanted: JsonPath, evaluation: Evaluation) -> object:
        return evaluation.run(wanted.steps, document)

    found = root(path, Evaluation(root))
    return None if found is MISSING else found
