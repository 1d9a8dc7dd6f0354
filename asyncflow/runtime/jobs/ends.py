"""What is made of the end of a job: a report, with an output that may be recorded.

What a service says of an end is taken as it is, but for secrets and size. Read `polling` for how it is
heard of, and `decide/jobs` for what follows from it.
"""

from __future__ import annotations

from asyncflow.errors import AsyncflowError, PayloadUnavailable
from asyncflow.model.job_inputs import JobOver
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import JobStatus
from asyncflow.runtime.attempt_results import failure_of
from asyncflow.runtime.jobs.roles import Home
from asyncflow.runtime.jobs.table import Row, Stage, move


class Ends:
    """Reports the ends of jobs of one resource."""

    def __init__(self, desk: Home) -> None:
        """None has ended."""
        self._desk = desk

    def ended(self, row: Row, status: JobStatus) -> None:
        """Report it, with its output as it may be recorded."""
        desk = self._desk
        subject = desk.subject(row)
        if subject is None:
            return
        preparing = desk.around.preparing
        try:
            output, size = preparing.frozen(subject.job, status.output)
        except AsyncflowError as error:
            self._unusable(row, status, error)
            return
        report = _over(row, status, preparing.redactor.text(status.reason))
        report = report._replace(output=output, output_bytes=size)
        if preparing.is_large(size):
            desk.around.spawn(self._store(row, report, size))
        else:
            desk.over(row, report)

    async def _store(self, row: Row, report: JobOver, size: int) -> None:
        """Report the end once what is too large of its output is stored."""
        try:
            output = await self._desk.around.preparing.stored(report.output, size)
        except PayloadUnavailable as error:  # there is no room now: the service is asked again
            self._desk.note(row, "output_not_stored", str(error)[:1_000])
            if row.stage is Stage.ASKED:
                move(row, Stage.WATCHED)
                self._desk.polling.soon(row)
            return
        except AsyncflowError as error:
            _, reason, _ = failure_of(error)
            self._desk.over(
                row, report._replace(word="failed", output={}, reason=reason or "", is_final=True)
            )
            return
        self._desk.over(row, report._replace(output=output))

    def _unusable(self, row: Row, status: JobStatus, error: AsyncflowError) -> None:
        """It ended, but what it gave cannot be recorded; asking again would give the same."""
        _, reason, _ = failure_of(error)
        report = _over(row, status, reason or "")
        is_success = status.word == "succeeded"
        word = "failed" if is_success else status.word
        self._desk.over(row, report._replace(word=word, is_final=is_success or status.is_final))


def is_sound(status: JobStatus) -> bool:
    """Whether its members are of the types that they should be."""
    texts: tuple[object, ...] = (status.word, status.reason)
    return (
        all(isinstance(text, str) for text in texts)
        and type(status.ended_ms) is int
        and type(status.is_final) is bool
    )


def _over(row: Row, status: JobStatus, reason: str) -> JobOver:
    """The report of an end, without an output."""
    counts = {
        name: value
        for name in ("rows_in", "rows_out", "bytes_in", "bytes_out")
        if isinstance(value := getattr(status, name), int) and value >= 0
    }
    known: JsonObject | None = {**counts} or None
    return JobOver(row.serial, status.word, {}, reason[:1_000], status.is_final, status.ended_ms, 2, known)
