"""What the parts of a desk know of each other: who hands in, who finds out, who watches, who cancels.

Only types are here, so that each part stands by itself. The parts are `submitting`, `resolving`, `polling`
and `cancelling`; `desk` puts them together.
"""

from __future__ import annotations

from typing import Protocol

from asyncflow.model.job_inputs import JobOver, JobReport
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import JobStatus
from asyncflow.runtime.jobs.connection import Connection
from asyncflow.runtime.jobs.surroundings import Open, Subject, Surroundings
from asyncflow.runtime.jobs.table import Row
from asyncflow.runtime.jobs.tally import JobTally


class HandsIn(Protocol):
    """Who hands jobs in."""

    def add(self, row: Row, *, first: bool = False) -> None:
        """Have a job handed in, before the others or behind them."""


class FindsOut(Protocol):
    """Who finds out whether a job is there."""

    def sends(self, row: Row, now_ms: int) -> None:
        """It is handed in now."""

    def unsure(self, row: Row, sent_ms: int, reason: str) -> None:
        """Nobody knows whether it is there."""

    def known(self, row: Row, sent_ms: int) -> None:
        """It is there, under a handle that nobody was told."""

    def is_unsure(self, row: Row) -> bool:
        """Whether it may be there although nobody knows a handle."""

    def again(self, row: Row) -> None:
        """Try once more, later."""


class Watches(Protocol):
    """Who watches jobs that are there."""

    def wake(self, row: Row) -> None:
        """Poll it at once."""

    def soon(self, row: Row) -> None:
        """Poll it as soon as a new one."""


class Cancels(Protocol):
    """Who has jobs cancelled."""

    def stray(self, row: Row, handle: str) -> None:
        """Have a job cancelled that is one too many."""


class Home(Protocol):
    """What the parts of a desk share; see `desk.Desk`."""

    name: str
    around: Surroundings
    handles: dict[str, Row]
    tally: JobTally
    connection: Connection

    @property
    def submitting(self) -> HandsIn:
        """Who hands its jobs in."""

    @property
    def resolving(self) -> FindsOut:
        """Who finds out about them."""

    @property
    def polling(self) -> Watches:
        """Who watches them."""

    @property
    def cancelling(self) -> Cancels:
        """Who has them cancelled."""

    def open(self) -> Open | None:
        """The manager and its settings, while it can be asked."""

    def block(self, reason: str) -> None:
        """Nobody can be called for a while."""

    @property
    def is_urgent(self) -> bool:
        """Whether something is due that comes before more jobs are handed in."""

    def subject(self, row: Row) -> Subject | None:
        """The job of a row; None once its end is recorded."""

    def instance_of(self, row: Row) -> str | None:
        """What the service calls the row's instance: "" without one, None while that is not known."""

    def note(self, row: Row, kind: str, reason: str = "", data: JsonObject | None = None) -> None:
        """Report something worth knowing."""

    def say(self, row: Row, report: JobReport) -> None:
        """Report something of a job."""

    def stuck(self, row: Row, reason: str) -> None:
        """A person has to say."""

    def owns(self, row: Row, handle: object) -> str:
        """The handle, if a job may have it; else ""."""

    def accept(self, row: Row, handle: str, *, adopted: bool, status: JobStatus | None = None) -> None:
        """The job is there, and may be over already."""

    def over(self, row: Row, report: JobOver) -> None:
        """The job is over."""

    def ended(self, row: Row, word: str, reason: str = "", *, is_final: bool = False) -> None:
        """The job is over without an output."""

    def instance_gone(self, instance: str, reason: str) -> None:
        """A call said that an instance is gone."""

    def leave_instance(self, row: Row, reason: str) -> None:
        """The row's instance is gone, and the job with it."""
