"""What an attempt may tell the engine while it runs, and who is told.

Records are facts without judgement; whether they are kept, and for how long, is their taker's affair. Read
`context` for who makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from asyncflow.model.values import JsonObject

Direction = Literal["in", "out"]


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line an author logged; `fields` are plain JSON."""

    message: str
    fields: JsonObject


@dataclass(frozen=True, slots=True)
class IoRecorded:
    """Data an attempt read (`in`) or wrote (`out`), in addition to what it told before."""

    direction: Direction
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class ProgressMade:
    """How much of the attempt is done, from 0 to 1, and what it is at."""

    fraction: float
    note: str


@dataclass(frozen=True, slots=True)
class MetricObserved:
    """A value of an author's own metric."""

    name: str
    value: float
    labels: dict[str, str]


AttemptRecord = IoRecorded | ProgressMade | MetricObserved


class AttemptSink(Protocol):
    """Who takes what attempts tell; called on the loop only, must not block, must not raise."""

    def report_heartbeat(self, execution_id: str, number: int) -> None:
        """The attempt of this task record is alive."""

    def write_log(self, execution_id: str, number: int, line: LogLine) -> None:
        """The attempt logged a line; it may come after the attempt's end."""

    def record(self, execution_id: str, number: int, record: AttemptRecord) -> None:
        """The attempt told of data, progress or a metric; it may come after the attempt's end."""
