"""Journals that HyperFlow wrote with `--persist`: what a line says, and which lines can be relied on.

It takes bytes and gives records; it opens no file and knows no execution. What is made of the records is in
`app/hyperflow_recovery`; the format and its faults are told in `docs/hyperflow.md`.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from asyncflow.errors import StoreError


class Fired(NamedTuple):
    """A process fired: `position` counts processes from 1, `number` its firings; None for no outputs.

    `forced`: the analysis of a change wants it computed again.
    """

    line: int
    at_ms: int
    position: int
    number: int
    outs: Sequence[Value] | None
    ins: Sequence[Value]
    forced: bool


class Value(NamedTuple):
    """One signal, by name."""

    name: str
    data: object


class Given(NamedTuple):
    """A signal that no process made."""

    line: int
    value: Value


@dataclass(slots=True)
class HyperflowJournal:
    """What a journal holds.

    Attributes:
        folder: where the workflow was, as recorded.
        variables: the template variables of the start.
        at_ms: when it began.
        torn: what is wrong with the end; empty if nothing is.
    """

    folder: str = ""
    variables: dict[str, str] = field(default_factory=dict)
    at_ms: int = 0
    given: list[Given] = field(default_factory=list)
    fired: list[Fired] = field(default_factory=list)
    torn: str = ""

    def take(self, line: int, entry: Mapping[str, object]) -> None:
        """Take in a line.

        Raises:
            KeyError, TypeError, ValueError: it is none of a journal.
        """
        at_ms = _time(entry["0"])
        event = entry["1"]
        if not isinstance(event, list) or not event:
            raise TypeError("no event")
        kind, *rest = event
        if (kind == "info") != (not self.at_ms):
            raise ValueError("the first line, and no other, says `info`")
        if kind == "info":
            self.folder, self.variables, self.at_ms = str(rest[0]), _variables(rest[1]), at_ms
        elif kind == "input":
            self.given.append(Given(line, _value(rest[1])))
        elif kind == "fired":
            self.fired.append(_fired(line, at_ms, rest, forced=_is_forced(entry.get("2"))))
        else:
            raise ValueError(f"no such event: {kind!r}")


def looks_like_hyperflow(first: bytes) -> bool:
    """Whether this is how HyperFlow begins a journal."""
    try:
        entry = json.loads(first)
        return isinstance(entry, dict) and isinstance(entry["1"], list) and entry["1"][0] == "info"
    except (ValueError, KeyError, IndexError, RecursionError):
        return False


def read_hyperflow_journal(lines: Iterable[bytes]) -> HyperflowJournal:
    """What a journal holds; an end that is not whole is dropped and told of.

    Raises:
        StoreError: a line before the last is not whole, or it is no journal of HyperFlow; it is named.
    """
    found = HyperflowJournal()
    for number, raw in enumerate(lines, start=1):
        if found.torn and raw.strip(b"\0 \r\n"):
            raise StoreError(f"damaged at {found.torn}; more follows, so that it is no torn end")
        if found.torn or not raw.strip(b"\0 \r\n"):
            found.torn = found.torn or f"line {number}: it is empty"
            continue
        try:
            entry = json.loads(raw)
        except (ValueError, RecursionError) as error:
            found.torn = f"line {number}: {error}"
            continue
        try:
            found.take(number, entry)
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            raise StoreError(
                f"line {number}: it is none of a HyperFlow journal: {type(error).__name__}: {error}"
            ) from error
    if not found.at_ms:
        raise StoreError("no whole line: it is no HyperFlow journal, or nothing of it was written")
    return found


def _time(given: object) -> int:
    moment = dt.datetime.fromisoformat(str(given))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(1, int(moment.timestamp() * 1000))


def _variables(given: object) -> dict[str, str]:
    """The template variables among the options, which are JSON text: `--var` is a list of `name=value`."""
    options = json.loads(given) if isinstance(given, str) else given
    listed = options.get("--var") if isinstance(options, Mapping) else None
    listed = [listed] if isinstance(listed, str) else listed
    pairs = (str(each).partition("=") for each in listed) if isinstance(listed, list) else ()
    return {name: value for name, sign, value in pairs if sign}


def _value(given: object) -> Value:
    if not isinstance(given, Mapping):
        raise TypeError("a signal is an object")
    data = given.get("data")
    return Value(str(given["name"]), data[0] if isinstance(data, list) and len(data) == 1 else data)


def _values(given: object) -> list[Value]:
    if not isinstance(given, list):
        raise TypeError("a list of signals is expected")
    return [_value(each) for each in given]


def _fired(line: int, at_ms: int, rest: list[object], *, forced: bool) -> Fired:
    _, position, number, outs, ins = rest
    if type(position) is not int or type(number) is not int:
        raise TypeError("a process and a firing are numbers")
    return Fired(
        line,
        at_ms,
        position,
        number,
        None if outs is None else _values(outs),
        _values(ins),
        forced,
    )


def _is_forced(flags: object) -> bool:
    if isinstance(flags, Mapping):
        return bool(flags.get("forceRecompute"))
    return isinstance(flags, list) and "forceRecompute" in flags
