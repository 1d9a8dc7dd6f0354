"""Rules that spread the starts of a workflow over its versions, as documents and as records.

It reads and checks what users write and computes where a start stands; who is asked, and when, is in
`app/routing`. Percentages take fixed parts of a line, so raising one moves nobody else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from asyncflow.errors import InvalidInput
from asyncflow.model.values import JsonObject

_ALL = 100.0
_SET_BY_US = frozenset({"name", "createTime", "updateTime", "rolledBack"})
_LONGEST = 10_000  # characters of a condition
_MOST = 100  # rules


class Rule(NamedTuple):
    """Who gets a version: the starts from `low` to `high` of the line, or those of which `when` is true."""

    version: int
    low: float = 0.0
    high: float = 0.0
    when: str = ""

    @property
    def share(self) -> float:
        """The percentage of starts that it takes, 0 for a condition."""
        return self.high - self.low


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one workflow, in order: the first that holds counts. `default` None is the highest."""

    rules: tuple[Rule, ...]
    default: int | None

    def versions(self) -> set[int]:
        """Every version that is named."""
        named = {rule.version for rule in self.rules}
        return named if self.default is None else named | {self.default}


def position(name: str, key: str) -> float:
    """Where a start stands on the line from 0 to 100: always the same for the same workflow and key."""
    digest = hashlib.sha256(f"{name}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8]) / 2**64 * _ALL


def parse_rules(body: JsonObject) -> Rules:
    """The rules in a document.

    Raises:
        InvalidInput: it is none; the field at fault is named.
    """
    _refuse_others(body, {"rules", "default"} | _SET_BY_US, "")
    listed = body.get("rules", [])
    if not isinstance(listed, list) or len(listed) > _MOST:
        raise InvalidInput(f"a list of at most {_MOST} rules is expected", field="rules")
    found: list[Rule] = []
    low = 0.0
    for index, each in enumerate(listed):
        rule = _rule(each, f"rules[{index}]", low)
        low += rule.share
        found.append(rule)
    if low > _ALL:
        raise InvalidInput(f"the percentages are {low:g} together, more than 100", field="rules")
    given = body.get("default")
    return Rules(tuple(found), None if given is None else _version(given, "default"))


def _rule(given: object, path: str, low: float) -> Rule:
    if not isinstance(given, dict):
        raise InvalidInput("an object is expected", field=path)
    _refuse_others(given, {"version", "percentage", "when"}, path)
    version = _version(given.get("version"), f"{path}.version")
    share, when = given.get("percentage"), given.get("when")
    if (share is None) == (when is None):
        raise InvalidInput("either a percentage or a condition (when) is expected", field=path)
    if when is not None:
        if not isinstance(when, str) or not 0 < len(when.strip()) <= _LONGEST:
            raise InvalidInput("a JavaScript expression is expected", field=f"{path}.when")
        return Rule(version, when=when)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= _ALL:
        raise InvalidInput("a number from 0 to 100 is expected", field=f"{path}.percentage")
    return Rule(version, low, low + share)


def _version(given: object, path: str) -> int:
    if type(given) is not int:
        raise InvalidInput("a version is expected, an integer", field=path)
    return given


def _refuse_others(given: JsonObject, known: Iterable[str], path: str) -> None:
    """A misspelt key would silently send nobody anywhere."""
    for name in given.keys() - set(known):
        raise InvalidInput("no such key", field=f"{path}.{name}" if path else name)
