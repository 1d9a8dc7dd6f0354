"""Secrets of one attempt: put into its input as it is handed out, taken out of what it gives back.

Stored data and logs hold the placeholder only. Where secrets are kept is not known here; how a
placeholder is found is `decide/secrets`.
"""

from __future__ import annotations

import contextlib
import json
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast
from urllib.parse import quote, quote_plus

from pydantic_core import from_json, to_json

from asyncflow.decide.jsonpath import MISSING
from asyncflow.decide.secrets import fill_secrets
from asyncflow.model.inputs import AttemptEnded
from asyncflow.model.values import JsonObject

_MASK = "***"
_URL_SAFE = str.maketrans("+/", "-_")
_SHORTEST = 4  # shorter values would be found in texts that have nothing to do with them


class SecretsInUse:
    """The secrets one attempt was given.

    Attributes:
        used: their values.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """None is used yet; `secrets` are all values by name."""
        self.used: set[str] = set()
        self._secrets = secrets

    def fill(self, given: JsonObject) -> JsonObject:
        """The input with values in place of `${workflow.secrets.NAME}`; an unknown one is null."""
        return cast("JsonObject", fill_secrets(given, self._look_up))

    def _look_up(self, name: str) -> object:
        value = self._secrets.get(name)
        if value is None:
            return MISSING
        self.used.add(value)
        return value

    def mask(self, report: AttemptEnded) -> AttemptEnded:
        """The report without the values, should the body have given them back; see `masked`."""
        if not self.used:
            return report
        reason = report.reason
        return report._replace(
            reason=None if reason is None else _masked_text(reason, self._forms()),
            output=self.masked(report.output),
        )

    def masked(self, output: JsonObject) -> JsonObject:
        """The output without the values; the same object where no secret is in use.

        Members of secrets that hold JSON are taken out too, and what URLs and headers make of a value.
        """
        return cast("JsonObject", _masked(output, self._forms())) if self.used else output

    def _forms(self) -> list[str]:
        """What is searched for, the longest first: one may hold another."""
        return _all_forms(self.used)


class Redactor:
    """Takes every secret there is out of texts by which nothing is decided: log lines, the audit.

    Whoever wrote them may have had a secret in other ways than by its name.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        """Know these values by name; they do not change."""
        self._secrets = secrets
        self._found: list[str] | None = None

    def text(self, text: str) -> str:
        """The text without secrets."""
        return _masked_text(text, self._forms()) if self._secrets else text

    def value(self, value: JsonObject) -> JsonObject:
        """The object without secrets."""
        return cast("JsonObject", _masked(value, self._forms())) if self._secrets else value

    def _forms(self) -> list[str]:
        if self._found is None:
            self._found = _all_forms(self._secrets.values())
        return self._found


def _all_forms(values: Iterable[str]) -> list[str]:
    return sorted({form for value in values for form in _forms(value)}, key=len, reverse=True)


def _forms(secret: str) -> Iterator[str]:
    """The texts in which a secret may come back: as it is, in a URL, in JSON, in base64."""
    for text in _texts(secret):
        if len(text) >= _SHORTEST:
            yield text
            yield quote(text, safe="", errors="replace")
            yield quote(text, errors="replace")
            yield quote_plus(text, errors="replace")
            yield json.dumps(text)[1:-1]
            yield json.dumps(text, ensure_ascii=False)[1:-1]
            yield from _in_base64(text.encode("utf-8", "replace"))


def _in_base64(raw: bytes) -> Iterator[str]:
    """What is the same in base64 whatever stands before and after, as in `user:password`."""
    for before in range(3):
        whole = b64encode(b"-" * before + raw).decode().rstrip("=")
        shared = whole[before and before + 1 : (before + len(raw)) * 8 // 6]
        if len(shared) >= _SHORTEST:
            yield shared
            yield shared.translate(_URL_SAFE)


def _texts(secret: str) -> Iterator[str]:
    """The secret, and every value in it if it holds JSON: a task may have been given only one of them."""
    yield secret
    if secret.lstrip()[:1] in ("{", "["):
        with contextlib.suppress(ValueError):
            yield from _leaves(from_json(secret))


def _leaves(value: object) -> Iterator[str]:
    if isinstance(value, dict | list):
        for member in value.values() if isinstance(value, dict) else value:
            yield from _leaves(member)
    elif isinstance(value, str | int | float) and not isinstance(value, bool):
        yield str(value)


def _masked(value: object, forms: Sequence[str]) -> object:
    # Value by value: in the JSON text of it all, a secret of digits would be cut out of a number, and
    # what is left is no JSON.
    if isinstance(value, str):
        return _masked_text(value, forms)
    if isinstance(value, dict):
        return {_masked_text(key, forms): _masked(member, forms) for key, member in value.items()}
    if isinstance(value, list):
        return [_masked(member, forms) for member in value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        digits = to_json(value).decode()
        return _MASK if any(form in digits for form in forms) else value
    return value


def _masked_text(text: str, forms: Sequence[str]) -> str:
    for form in forms:
        text = text.replace(form, _MASK)
    return text


NO_SECRETS = SecretsInUse({})
"""For an attempt whose input names none."""
