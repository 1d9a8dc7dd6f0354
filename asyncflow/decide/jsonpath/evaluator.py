"""Walking a compiled path through a document, within bounds of work and of results.

Changes nothing it reads, and answers MISSING or an empty list rather than raise, except for the
named limits. The steps come from `parser`; conditions are in `filters`, functions in `functions`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from asyncflow.decide.jsonpath.functions import FUNCTIONS, GATHERING
from asyncflow.decide.jsonpath.steps import (
    MISSING,
    Call,
    Descent,
    Filter,
    Indexes,
    JsonPath,
    Names,
    Slice,
    Step,
    Wildcard,
)
from asyncflow.errors import LimitExceeded
from asyncflow.model.payload_reference import refuse_stored

MAX_RESULTS: Final = 100_000
MAX_WORK: Final = 1_000_000
MAX_DOCUMENT_DEPTH: Final = 500

RootLookup = Callable[[JsonPath, "Evaluation"], object]
"""Answers a path that starts at the root from inside a filter or an argument, on the same budget."""


def walk_plain(value: object, steps: tuple[Step, ...]) -> object:
    """Follow names and indexes only; MISSING as soon as one leads nowhere.

    Raises:
        StoredByReference: it leads nowhere because the value lies in the payload folder.
    """
    for step in steps:
        if isinstance(value, dict):
            found = value.get(step, MISSING) if isinstance(step, str) else MISSING
            if found is MISSING:
                refuse_stored(value)
            value = found
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if -len(value) <= step < len(value) else MISSING
        else:
            return MISSING
    return value


class Evaluation:
    """One evaluation: the root to ask, and the work it may still do.

    `find` serves the conditions of filters; `run` the steps of a path.
    """

    __slots__ = ("_left", "_root")

    def __init__(self, root: RootLookup) -> None:
        """Start with the whole budget."""
        self._root = root
        self._left = MAX_WORK

    def spend(self, work: int) -> None:
        """Count values visited; raises LimitExceeded when more than MAX_WORK were."""
        self._left -= work
        if self._left < 0:
            raise LimitExceeded("work of one expression", allowed=MAX_WORK)

    def find(self, path: JsonPath, candidate: object) -> object:
        """The value at a path seen from a candidate, or from the root; MISSING if there is none."""
        self.spend(1 + len(path.steps))
        if not path.from_candidate:
            return self._root(path, self)
        return self.run(path.steps, candidate)

    # All steps work on a list of values: none or one of them while only names and single indexes were
    # met, any number after the first step that may mean many. What a step cannot be applied to drops
    # out, as it does in Jayway when exceptions are suppressed; so a path never fails half-way, and an
    # indefinite one that finds nothing is an empty list where a definite one is null.

    def run(self, steps: tuple[Step, ...], start: object) -> object:
        """What the steps lead to: a value or MISSING, or a list if they may mean many values."""
        values = [] if start is MISSING else [start]
        many = False
        place = 0
        while place < len(steps):
            step = steps[place]
            if isinstance(step, Descent):
                place += 1
                values, many = self._descend(values, steps, place), True
            elif isinstance(step, Call):
                values, many = self._call(step, values, many=many)
            elif isinstance(step, Names) and place == len(steps) - 1:
                values = [_merge(value, step.names) for value in values if isinstance(value, dict)]
            else:
                many = many or not isinstance(step, str | int)
                values = self._collect(found for value in values for found in self._apply(step, value))
            place += 1
        if many:
            return values
        return values[0] if values else MISSING

    def _collect(self, found: Iterator[object]) -> list[object]:
        results: list[object] = []
        for value in found:
            results.append(value)
            if len(results) > MAX_RESULTS:
                raise LimitExceeded("results of one expression", allowed=MAX_RESULTS)
        return results

    def _apply(self, step: Step, value: object) -> Iterator[object]:
        self.spend(1)
        if isinstance(step, str | int):
            found = walk_plain(value, (step,))
            return iter(() if found is MISSING else (found,))
        refuse_stored(value)
        if isinstance(step, Filter):
            return self._filter(step, value)
        if isinstance(value, list):
            return self._spread(_of_list(step, value))
        return self._spread(_of_map(step, value) if isinstance(value, dict) else [])

    def _spread(self, found: list[object]) -> Iterator[object]:
        self.spend(len(found))
        return iter(found)

    def _filter(self, step: Filter, value: object) -> Iterator[object]:
        candidates = value if isinstance(value, list) else [value] if isinstance(value, dict) else []
        for candidate in candidates:
            self.spend(1)
            if step.condition.accepts(candidate, self):
                yield candidate

    # Jayway skips a list's place in `..[0].x` when another step follows and takes `x` of every element.
    # That is a fault of its walk, not a meaning; here the place counts wherever it stands.

    def _descend(self, values: list[object], steps: tuple[Step, ...], place: int) -> list[object]:
        """Apply the step behind a `..` to every map and list of and below the values, parents first."""
        step = steps[place]
        is_last = place == len(steps) - 1
        return self._collect(
            found
            for value in values
            for container in self._containers(value)
            for found in self._apply_below(step, container, is_last=is_last)
        )

    def _apply_below(self, step: Step, container: object, *, is_last: bool) -> Iterator[object]:
        if isinstance(step, Call | Descent):
            return iter(())
        if isinstance(step, Names) and is_last:
            merged = _merge(container, step.names)
            return iter([merged] if len(merged) == len(set(step.names)) else [])
        if isinstance(step, Filter) and isinstance(container, list):
            return iter(())  # its elements that are maps are met one by one further down
        return self._apply(step, container)

    def _containers(self, value: object) -> Iterator[object]:
        pending: list[tuple[object, int]] = [(value, 0)]
        while pending:
            current, depth = pending.pop()
            if not isinstance(current, dict | list):
                continue
            refuse_stored(current)
            if depth > MAX_DOCUMENT_DEPTH:
                raise LimitExceeded("depth of a document under '..'", allowed=MAX_DOCUMENT_DEPTH)
            self.spend(1 + len(current))
            yield current
            members = list(current.values()) if isinstance(current, dict) else current
            pending.extend((member, depth + 1) for member in reversed(members))

    # Jayway applies a function to every value by itself, so that `list[*].price.sum()` fails there on
    # the first number: its own documentation promises the sum of the list. We keep its outcome where
    # it has one (`list[*].tags.length()` is a list of lengths) and the promise where it has none.

    def _call(self, step: Call, values: list[object], *, many: bool) -> tuple[list[object], bool]:
        function = FUNCTIONS[step.function]
        gathers = many and step.function in GATHERING and not any(isinstance(v, list) for v in values)
        subjects: list[object] = [values] if gathers else values
        results: list[object] = []
        for subject in subjects:
            refuse_stored(subject)
            arguments = [self._argument(argument, subject) for argument in step.arguments]
            self.spend(1 + (len(subject) if isinstance(subject, list) else 0))
            result = function(subject, arguments)
            if result is not MISSING:
                results.append(result)
        return results, many and not gathers

    def _argument(self, argument: object, subject: object) -> object:
        if not isinstance(argument, JsonPath):
            return argument
        found = self.find(argument, subject)
        return None if found is MISSING else found


def _merge(value: object, names: tuple[str, ...]) -> dict[str, object]:
    refuse_stored(value)
    return {name: value[name] for name in names if name in value} if isinstance(value, dict) else {}


def _of_map(step: Step, value: dict[str, object]) -> list[object]:
    if isinstance(step, Names):
        return [value[name] for name in step.names if name in value]
    return list(value.values()) if isinstance(step, Wildcard) else []


def _of_list(step: Step, value: list[object]) -> list[object]:
    if isinstance(step, Wildcard):
        return value
    if isinstance(step, Indexes):
        places = list(step.places)
    elif isinstance(step, Slice):
        places = list(_places(step, len(value)))
    else:
        return []
    return [value[place] for place in places if -len(value) <= place < len(value)]


def _places(step: Slice, length: int) -> range:
    """The places of a slice, as Jayway counts them.

    With both ends given, a negative one is counted from the end only after the ends are compared:
    `[1:-1]` is empty and `[-2:-1]` is the last but one.
    """
    if step.start is None:
        end = step.end or 0
        return range(min(length, end + length if end < 0 else end))
    if step.end is None:
        start = step.start + length if step.start < 0 else step.start
        return range(max(0, start), length)
    return range(max(step.start, -length), min(length, step.end))
