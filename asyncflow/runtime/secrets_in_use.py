"""Secrets of one attempt: put into its input as it is handed out, taken out of what it gives back.

Stored data and logs hold the placeholder only. Where secrets are kept is not known here; how a
placeholder is found is `decide/secrets`.
"""

from __future__ import annotations

import contextlib
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import cast
from urllib.parse import quote, quote_plus

from pydantic_core import from_json, to_json

from asyncflow.decide.jsonpath import MISSING
from asyncflow.decide.secrets import fill_secrets
from asyncflow.model.inputs import AttemptEnded
from asyncflow.model.values import JsonObject

_MASK = "***"
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
        return sorted({form for value in self.used for form in _forms(value)}, key=len, reverse=True)


def _forms(secret: str) -> Iterator[str]:
    """The texts in which a secret may come back: as it is, in a URL, in base64."""
    for text in _texts(secret):
        if len(text) >= _SHORTEST:
            raw = text.encode("utf-8", "replace")
            yield text
            yield quote(text, safe="", errors="replace")
            yield quote_plus(text, errors="replace")
            yield b64encode(raw).decode().rstrip("=")
            yield urlsafe_b64encode(raw).decode().rstrip("=")


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
