"""What a poll's answer says of each job that it was asked for.

What is not well formed says nothing; only a word for an end is one, and only silence that lasts is a loss.
Who is asked when is `polling`; what becomes of an end is `ends`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, get_args

from asyncflow.errors import AsyncflowError
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import JobStatus, JobWord
from asyncflow.runtime.jobs.ends import Ends, is_sound
from asyncflow.runtime.jobs.roles import Home
from asyncflow.runtime.jobs.schedule import Sweep
from asyncflow.runtime.jobs.table import Row, Stage, move

_WORDS = frozenset(get_args(JobWord))
_CONFIRMATIONS, _CONFIRMED_MS, _CONFIRM_MS = 3, 60_000, 30_000
_PROGRESS_MS = 60_000  # between two records of the progress of one job
_PROGRESS_BYTES = 4_096
_MOST_WORDS = 20  # that are noted; a service may put a percentage into each
_ENDS = _WORDS - {"running"}

PutBack = Callable[[Sweep, Row, int], None]
"""Has a job that was asked for wait for its next poll."""
PutAllBack = Callable[[Sweep, Sequence[Row], int], None]
"""The same for many, which all stand at the stage ASKED."""


class Hearing:
    """What was heard of the jobs of one resource."""

    def __init__(self, desk: Home, put_back: PutBack, put_all_back: PutAllBack) -> None:
        """Nothing was."""
        self._desk, self._put_back, self._put_all_back = desk, put_back, put_all_back
        self._missing: dict[Row, tuple[int, int]] = {}  # times, and since when
        self._silent: dict[Row, int] = {}  # since when nothing usable was heard
        self._words: set[str] = set()
        self._progress: dict[Row, tuple[int, JsonObject]] = {}
        self._ends = Ends(desk)

    def drop(self, row: Row) -> None:
        """Its end is recorded."""
        self._missing.pop(row, None)
        self._silent.pop(row, None)
        self._progress.pop(row, None)

    def progress(self, row: Row) -> JsonObject | None:
        """What the service last said of how far it is."""
        known = self._progress.get(row)
        return None if known is None else known[1]

    def silent_since(self, row: Row) -> int | None:
        """Since when nothing usable was heard of the job; None while all is well."""
        return self._silent.get(row)

    def unheard(self, row: Row, now_ms: int) -> None:
        """Nothing usable was said of a job; after very long a person is asked."""
        since_ms = self._silent.setdefault(row, now_ms)
        settings = self._desk.around.pool.settings_of(self._desk.name)
        if settings is not None and now_ms - since_ms >= settings.poll_blackout_s * 1000:
            self._silent.pop(row)
            self._desk.stuck(row, f"nothing usable was heard of it for {settings.poll_blackout_s:g} s")

    def take_in(self, sweep: Sweep, rows: Sequence[Row], answer: Any) -> None:
        """What the answer says of these; who runs is asked for again later."""
        now_ms = self._desk.around.now_ms()
        silent, missing = self._silent, self._missing
        running: list[Row] = []
        for row in rows:
            if row.stage is not Stage.ASKED:
                self._note_regression(row, answer.get(row.handle))
                continue
            status = answer.get(row.handle)
            if type(status) is JobStatus and status.word == "running" and status.progress is None:
                if silent:
                    silent.pop(row, None)
                if missing:
                    missing.pop(row, None)
                running.append(row)
            elif status is None:
                self._not_there(sweep, row, now_ms)
            else:
                self._said(sweep, row, status, now_ms)
        self._put_all_back(sweep, running, now_ms)

    def told_at_once(self, row: Row, status: object) -> bool:
        """Whether the service told of the end when it took the job; then it is reported, and not polled."""
        if not isinstance(status, JobStatus) or not is_sound(status) or status.word not in _ENDS:
            return False
        move(row, Stage.ASKED)
        self._ends.ended(row, status)
        return True

    def _note_regression(self, row: Row, status: object) -> None:
        """Whoever was over stays so."""
        if row.stage is Stage.OVER and isinstance(status, JobStatus) and status.word == "running":
            self._desk.note(row, "regression", "the service says that it runs, after its end")

    def _said(self, sweep: Sweep, row: Row, status: object, now_ms: int) -> None:
        """Something other than that it runs."""
        if not isinstance(status, JobStatus) or not is_sound(status) or status.word == "unheard":
            self._desk.connection.faults += 1
            self.unheard(row, now_ms)
            self._put_back(sweep, row, now_ms)
            return
        self._silent.pop(row, None)
        self._missing.pop(row, None)
        if status.word in _ENDS:
            self._ends.ended(row, status)
            return
        is_unknown = status.word not in _WORDS and status.word not in self._words
        if is_unknown and len(self._words) < _MOST_WORDS:
            self._words.add(status.word)
            self._desk.note(row, "unknown_word", f"{status.word!r} is taken for running"[:1_000])
        if status.progress is not None:
            self._moves(row, status.progress, now_ms)
        self._put_back(sweep, row, now_ms)

    def _moves(self, row: Row, progress: JsonObject, now_ms: int) -> None:
        """Keep how far it is; it is recorded now and then."""
        known = self._progress.get(row)
        subject = self._desk.subject(row)
        if (known is not None and known[1] == progress) or subject is None:
            return
        try:
            shown, size = self._desk.around.preparing.frozen(subject.job, progress)
        except AsyncflowError:
            return
        if size > _PROGRESS_BYTES:
            return
        due = known is None or now_ms - known[0] >= _PROGRESS_MS
        self._progress[row] = (now_ms if due or known is None else known[0], shown)
        if due:
            self._desk.note(row, "progress", "", shown)

    def _not_there(self, sweep: Sweep, row: Row, now_ms: int) -> None:
        """The service does not know the handle: believed when it says so often enough, and long enough."""
        desk = self._desk
        there, subject = desk.open(), desk.subject(row)
        if there is None or subject is None:
            self._put_back(sweep, row, now_ms)
            return
        self._silent.pop(row, None)
        if now_ms - subject.job.since_ms < there.manager.listing_lag * 1000:
            self._put_back(sweep, row, now_ms)
            return
        times, since_ms = self._missing.get(row, (0, now_ms))
        times += 1
        if times >= _CONFIRMATIONS and now_ms - since_ms >= _CONFIRMED_MS:
            self._lost(row, there.settings.on_lost)
            return
        self._missing[row] = times, since_ms
        if times == 1:
            desk.note(row, "gone_once", "the service does not know the job")
        move(row, Stage.WATCHED)
        sweep.schedule.put_at(row, now_ms + _CONFIRM_MS)

    def _lost(self, row: Row, on_lost: str) -> None:
        reason = "the service does not know the job any more"
        if row.is_cancelled:
            self._desk.ended(row, "cancelled", reason)
            return
        self._desk.tally.lost += 1
        self._desk.ended(row, "moved" if on_lost == "rerun" else "lost", reason)
