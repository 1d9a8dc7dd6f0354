"""Patterns over the published names of events: `task.*`, `*.failed`, `*`.

They are looked up once, when something is configured; afterwards names are looked for in a set.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from asyncflow.app.event_rules import GAP, LEASED, RULES
from asyncflow.errors import ConfigurationError

PUBLISHED = frozenset(name for rule in RULES.values() for name in rule.names) | {GAP, LEASED}
"""All names of events."""


def names_heard(heard: Iterable[str], narrowed: Iterable[str] = ()) -> frozenset[str]:
    """The names of events that a plugin hears of, of those that its settings leave.

    Raises:
        ConfigurationError: a pattern fits no name of an event, or none is left.
    """
    found = _matching(heard)
    chosen = [*narrowed]
    if chosen:
        found &= _matching(chosen)
    if not found:
        raise ConfigurationError(f"patterns: the plugin hears of no event of {', '.join(chosen)}")
    return found


def _matching(patterns: Iterable[str]) -> frozenset[str]:
    found: set[str] = set()
    for pattern in patterns:
        parts = re.compile(".*".join(re.escape(part) for part in pattern.split("*")))
        fitting = {name for name in PUBLISHED if parts.fullmatch(name)}
        if not fitting:
            raise ConfigurationError(f"patterns: {pattern!r} fits the name of no event; see the catalogue")
        found |= fitting
    return frozenset(found)
