"""The open jobs of this process as rows: a few hundred bytes each, whatever they wait for.

A row holds only what is asked for at every step; the rest is read from the job's state when it is
needed. What moves a row from stage to stage is in the modules beside this one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from enum import IntEnum
from typing import Protocol


class Stage(IntEnum):
    """Where a job stands, as this process knows it."""

    QUEUED = 0  # to be handed in
    SENDING = 1  # the call that hands it in is under way
    UNSURE = 2  # it may be there: it is looked for
    WATCHED = 3  # it is there, and waits for its next poll
    ASKED = 4  # a poll that asks for it is under way
    STUCK = 5  # a person has to say
    OVER = 6  # its end is reported, and not recorded yet
    GONE = 7  # its end is recorded


class Counts(Protocol):
    """What a row knows of the desk it is of; the desk itself is found by the name."""

    name: str
    stages: Counter[Stage]


class Row:
    """One open job.

    Attributes:
        stream, serial: which one.
        desk: where the jobs of its resource are kept and counted.
        instance: the name of its instance, "" without.
        handle: what the service calls it, "" while that is not known.
        stage: see `Stage`; changed by `Table.move` only.
        level: how often its interval has grown.
        due_ms: its next poll, while it is watched.
        is_cancelled: it is to be cancelled.
    """

    __slots__ = ("desk", "due_ms", "handle", "instance", "is_cancelled", "level", "serial", "stage", "stream")

    def __init__(self, stream: str, serial: int, desk: Counts, instance: str) -> None:
        """A job that is not handed in."""
        self.stream, self.serial, self.desk, self.instance = stream, serial, desk, instance
        self.handle = ""
        self.stage = Stage.QUEUED
        self.level = 0
        self.due_ms = 0
        self.is_cancelled = False

    def __lt__(self, other: Row) -> bool:
        """Any order: rows that are due at the same moment are asked in one call."""
        return self.serial < other.serial


class Table:
    """All rows, by execution and serial number."""

    def __init__(self) -> None:
        """No job is open."""
        self._rows: dict[str, dict[int, Row]] = {}
        self._count = 0

    def __len__(self) -> int:
        """How many there are."""
        return self._count

    def __iter__(self) -> Iterator[Row]:
        """All of them, as they are now."""
        return iter([row for rows in self._rows.values() for row in rows.values()])

    def get(self, stream: str, serial: int) -> Row | None:
        """The row of a job."""
        rows = self._rows.get(stream)
        return None if rows is None else rows.get(serial)

    def serials(self, stream: str) -> list[int]:
        """The serial numbers of an execution's jobs."""
        return [*self._rows.get(stream, ())]

    def add(self, row: Row) -> None:
        """A job is open from here on."""
        self._rows.setdefault(row.stream, {})[row.serial] = row
        self._count += 1
        row.desk.stages[row.stage] += 1

    def remove(self, stream: str, serial: int) -> Row | None:
        """Its end is recorded; the row it had."""
        rows = self._rows.get(stream)
        row = None if rows is None else rows.pop(serial, None)
        if row is None or rows is None:
            return None
        if not rows:
            del self._rows[stream]
        self._count -= 1
        row.desk.stages[row.stage] -= 1
        row.stage = Stage.GONE
        return row


def move_all(rows: Sequence[Row], before: Stage, stage: Stage) -> None:
    """The same for many of one desk that all stand at the stage before."""
    if rows:
        stages = rows[0].desk.stages
        stages[before] -= len(rows)
        stages[stage] += len(rows)
        for row in rows:
            row.stage = stage


def move(row: Row, stage: Stage) -> None:
    """Have a row stand elsewhere, and the counts with it."""
    if row.stage is Stage.GONE:
        return
    stages = row.desk.stages
    stages[row.stage] -= 1
    stages[stage] += 1
    row.stage = stage
