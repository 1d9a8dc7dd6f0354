"""Metrics that task functions add by `ctx.metric`: sum, count and last value of each series, bounded.

An author's mistake must cost no memory and no scrape: too many series, or names of the engine's own, are
dropped and counted. They are shown behind the engine's own on `/metrics`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from asyncflow.app.exposition import labelled, number
from asyncflow.runtime.attempt_records import MetricObserved

MOST_SERIES = 1_000
MOST_LABELS = 10
_LABEL_CHARACTERS = 200
_OURS = ("asyncflow_", "process_", "python_")
_ENDINGS = ("", "_sum", "_count", "_last")
_RESERVED = frozenset({"le", "quantile"})

Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Series:
    count: int = 0
    total: float = 0.0
    last: float = 0.0


class AuthorMetrics:
    """The series of one engine.

    Attributes:
        dropped: how many values were not taken in.
    """

    def __init__(self, *, most: int = MOST_SERIES) -> None:
        """No series yet, and at most so many."""
        self.dropped = 0
        self._most, self._count = most, 0
        self._names: dict[str, dict[Labels, _Series]] = {}
        self._taken: set[str] = set()

    def add(self, observed: MetricObserved) -> None:
        """Take in a value."""
        series = self._series(observed)
        if series is None:
            self.dropped += 1
            return
        series.count += 1
        series.total += observed.value
        series.last = observed.value

    def _series(self, observed: MetricObserved) -> _Series | None:
        """The series of a value, a new one if there is room."""
        name = observed.name
        if len(observed.labels) > MOST_LABELS:
            return None
        labels = tuple(sorted(_labels(observed.labels.items())))
        known = self._names.get(name)
        found = None if known is None else known.get(labels)
        if found is not None:
            return found
        if self._count >= self._most:
            return None
        if known is None:
            names = {name + ending for ending in _ENDINGS}
            if name.startswith(_OURS) or names & self._taken:
                return None  # two families with series of one name make the whole page unreadable
            self._taken |= names
            known = self._names[name] = {}
        self._count += 1
        found = known[labels] = _Series()
        return found

    def lines(self) -> Iterator[str]:
        """All series in Prometheus' text format: a summary of each name, and a gauge of its last value."""
        for name, all_series in self._names.items():
            yield f"# TYPE {name} summary"
            for labels, series in all_series.items():
                shown = labelled(dict(labels))
                yield f"{name}_sum{shown} {number(series.total)}"
                yield f"{name}_count{shown} {series.count}"
            yield f"# TYPE {name}_last gauge"
            for labels, series in all_series.items():
                yield f"{name}_last{labelled(dict(labels))} {number(series.last)}"


def _labels(given: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    for key, value in given:
        name = key.replace(":", "_").lstrip("_") or "label"
        if name in _RESERVED or name[0].isdigit():
            name = f"label_{name}"
        yield name, value[:_LABEL_CHARACTERS]
