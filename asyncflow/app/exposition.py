"""Prometheus' text format, written: families of series with their help, type and labels, escaped.

It refuses what is not declared and knows nothing of what is measured. The families of the engine are
in `metric_families`, where their values come from in `meters`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import inf, isinf, isnan
from typing import Final, Literal, NamedTuple

from asyncflow.runtime.distribution import Distribution

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

OTHER: Final = "other"
"""The label of everything beyond a bound."""

Kind = Literal["counter", "gauge", "histogram", "summary"]


class Family(NamedTuple):
    """Series of one name; its unit is the end of the name, before `_total`."""

    name: str
    kind: Kind
    about: str
    labels: tuple[str, ...] = ()


class Page:
    """What is answered to one scrape: families in the order in which they are declared."""

    def __init__(self, families: Iterable[Family]) -> None:
        """Nothing is written; a family without a value is left out."""
        self._families = {family.name: family for family in families}
        self._lines: dict[str, list[str]] = {}

    def write(self, name: str, value: float, *labels: str) -> None:
        """A value of a counter or gauge; labels in the order of its family."""
        family = self._families[name]
        self._lines.setdefault(name, []).append(f"{name}{_labels(family, labels)} {number(value)}")

    def write_distribution(self, name: str, values: Distribution, *labels: str) -> None:
        """A histogram."""
        family = self._families[name]
        lines = self._lines.setdefault(name, [])
        below = 0
        for bound, count in zip((*values.bounds, inf), values.counts, strict=True):
            below += count
            lines.append(f"{name}_bucket{_labels(family, labels, le=number(bound))} {below}")
        lines.append(f"{name}_sum{_labels(family, labels)} {number(values.total)}")
        lines.append(f"{name}_count{_labels(family, labels)} {below}")

    def text(self) -> str:
        """Everything written."""
        parts: list[str] = []
        for name, lines in self._in_order():
            family = self._families[name]
            parts += [f"# HELP {name} {_escaped_help(family.about)}", f"# TYPE {name} {family.kind}", *lines]
        return "\n".join([*parts, ""])

    def _in_order(self) -> Iterable[tuple[str, list[str]]]:
        return ((name, self._lines[name]) for name in self._families if name in self._lines)


class Bounded:
    """Label values, the first so many of them; the rest share `other`."""

    def __init__(self, most: int) -> None:
        """Nothing was met."""
        self._most = most
        self._known: dict[str, None] = {}

    def label(self, value: str) -> str:
        """The value, or `other` if there are too many."""
        if value not in self._known:
            if len(self._known) >= self._most:
                return OTHER
            self._known[value] = None
        return value


def number(value: float) -> str:
    """A number as Prometheus reads it."""
    if isinstance(value, int):
        return str(value)
    if isnan(value):
        return "NaN"
    if isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(value) if value % 1 else str(int(value))


def labelled(labels: Mapping[str, str]) -> str:
    """Labels as they stand behind a name; nothing if there are none."""
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _labels(family: Family, values: tuple[str, ...], **more: str) -> str:
    return labelled({**dict(zip(family.labels, values, strict=True)), **more})


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _escaped_help(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")
