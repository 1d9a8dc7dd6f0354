"""Secrets of one attempt: put into its input as it is handed out, taken out of what it gives back.

Stored data and logs hold the placeholder only. Where secrets are kept is not known here; how a
placeholder is found is `decide/secrets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

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
        """The report without the values, should the body have given them back."""
        values = sorted((value for value in self.used if len(value) >= _SHORTEST), key=len, reverse=True)
        if not values:
            return report
        reason = report.reason
        text = to_json(report.output).decode()
        for value in values:
            reason = None if reason is None else reason.replace(value, _MASK)
            text = text.replace(to_json(value).decode()[1:-1], _MASK)
        return report._replace(reason=reason, output=from_json(text))


NO_SECRETS = SecretsInUse({})
"""For an attempt whose input names none."""
