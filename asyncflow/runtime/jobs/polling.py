"""Jobs that are watched: asked for in batches, with the time between two polls of a job growing.

A failed poll is never a failed job: what a service says is believed only where it is well formed, and
only its word for an end is one. When who is polled is `schedule`; nothing here decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, get_args

from asyncflow.errors import AsyncflowError
from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import CredentialsRefused, InstanceGone, Throttled
from asyncflow.plugins.jobs import JobStatus, JobWord
from asyncflow.runtime import points
from asyncflow.runtime.clock import breathe
from asyncflow.runtime.jobs.ends import Ends, is_sound
from asyncflow.runtime.jobs.schedule import Schedule
from asyncflow.runtime.jobs.table import Row, Stage, move

if TYPE_CHECKING:
    from asyncflow.runtime.jobs.desk import Desk, Open

_WORDS = frozenset(get_args(JobWord))
_SPACING = 0.8  # of the shortest interval, between two sweeps of an instance
_WOKEN_MS = 200  # between two sweeps, where somebody said that there is something to see
_CONFIRMATIONS, _CONFIRMED_MS, _CONFIRM_MS = 3, 60_000, 30_000
_SLICE = 1_000  # answers taken in before others get the loop
_PROGRESS_MS = 60_000  # between two records of the progress of one job
_PROGRESS_BYTES = 4_096
_ENDS = _WORDS - {"running"}
_MOST_LEVEL = 60


class _Sweep:
    """The polls of one instance."""

    __slots__ = ("instance", "is_woken", "not_before_ms", "schedule")

    def __init__(self, instance: str, schedule: Schedule) -> None:
        self.instance, self.schedule = instance, schedule
        self.not_before_ms, self.is_woken = 0, False

    def next_due(self) -> int | None:
        due = self.schedule.next_due()
        return due if due is None or self.is_woken else max(due, self.not_before_ms)


class Polling:
    """The jobs of one resource that are known to be there."""

    def __init__(self, desk: Desk) -> None:
        """There is none."""
        self._desk = desk
        self._sweeps: dict[str, _Sweep] = {}
        self._again: set[Row] = set()
        self._missing: dict[Row, tuple[int, int]] = {}  # times, and since when
        self._silent: dict[Row, int] = {}  # since when nothing usable was heard
        self._words: set[str] = set()
        self._progress: dict[Row, tuple[int, JsonObject]] = {}
        self._ends = Ends(desk)

    # --- who waits for a poll ---------------------------------------------------------------------

    def watch(self, row: Row) -> None:
        """Watch a job from now on."""
        row.level = 0
        move(row, Stage.WATCHED)
        if row in self._again:
            self._again.discard(row)
            self.wake(row)
        else:
            self._sweep(row).schedule.put(row, self._desk.around.now_ms())

    def take_up(self, row: Row) -> None:
        """Watch a job of an earlier process: first polls are spread over an interval."""
        schedule = self._sweep(row).schedule
        move(row, Stage.WATCHED)
        wait_ms = int(self._desk.around.rng.uniform(0, schedule.first_ms))
        schedule.put_at(row, self._desk.around.now_ms() + wait_ms)

    def wake(self, row: Row) -> None:
        """Poll a job at once: something was heard of it."""
        if row.stage is Stage.ASKED:
            self._again.add(row)
        elif row.stage is Stage.WATCHED:
            sweep = self._sweep(row)
            now_ms = self._desk.around.now_ms()
            due_ms = max(now_ms, sweep.not_before_ms if sweep.is_woken else now_ms)
            sweep.is_woken = True
            sweep.schedule.put_at(row, due_ms)

    def called(self, row: Row) -> None:
        """The service called: poll now, or as soon as the handle is known."""
        if row.stage < Stage.WATCHED:
            self._again.add(row)
        else:
            self.wake(row)

    def soon(self, row: Row) -> None:
        """Poll a job as soon as a new one: its end is likely."""
        row.level = 0
        if row.stage is Stage.WATCHED:
            sweep = self._sweep(row)
            sweep.schedule.put(row, self._desk.around.now_ms())

    def drop(self, row: Row) -> None:
        """Its end is recorded."""
        self._again.discard(row)
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

    def _sweep(self, row: Row) -> _Sweep:
        sweep = self._sweeps.get(row.instance)
        if sweep is None:
            schedule = Schedule(*self._intervals(), self._desk.around.rng)
            sweep = self._sweeps[row.instance] = _Sweep(row.instance, schedule)
        return sweep

    def _intervals(self) -> tuple[int, int]:
        settings = self._desk.around.pool.settings_of(self._desk.name)
        if settings is None:
            return 5_000, 60_000
        return int(settings.poll_first_s * 1000), int(settings.poll_max_s * 1000)

    # --- asking -----------------------------------------------------------------------------------

    def next_due(self) -> int | None:
        """When the next sweep begins."""
        dues = [due for sweep in self._sweeps.values() if (due := sweep.next_due()) is not None]
        return min(dues, default=None)

    def pump(self, there: Open, now_ms: int) -> None:
        """Ask for all that are due, as many at once as the service takes and there is room for."""
        for sweep in [*self._sweeps.values()]:
            self._go_round(sweep, there, now_ms)

    def _go_round(self, sweep: _Sweep, there: Open, now_ms: int) -> None:
        """One round of an instance; where there is no room for all of it, it goes on with the next answer."""
        connection, most = self._desk.connection, there.settings.connections
        is_asked = False
        due = sweep.next_due()
        while due is not None and due <= now_ms:
            if not connection.has_room(most, poll=True):
                return
            rows = sweep.schedule.take(now_ms, there.poll_batch)
            if not rows:
                break
            self._desk.tally.poll_lag.observe((now_ms - due) / 1000)
            sweep.not_before_ms, is_asked = 0, True
            self._ask(sweep, rows, there)
            due = sweep.schedule.next_due()
        if is_asked:
            wait_ms = _WOKEN_MS if sweep.is_woken else int(sweep.schedule.first_ms * _SPACING)
            sweep.not_before_ms, sweep.is_woken = now_ms + wait_ms, False
            sweep.schedule.set_intervals(*self._intervals())

    def _ask(self, sweep: _Sweep, rows: list[Row], there: Open) -> None:
        desk = self._desk
        instance = desk.instance_of(rows[0])
        if instance is None:
            for row in rows:
                sweep.schedule.put(row, desk.around.now_ms())
            return
        for row in rows:
            move(row, Stage.ASKED)
        desk.tally.poll_calls += 1
        desk.tally.polls += len(rows)
        handles = [row.handle for row in rows]
        desk.begin(
            "poll",
            self._call(there, instance, handles),
            there.manager.poll_timeout,
            settle=lambda answer, error: self._settle(sweep, rows, answer, error),
            poll=True,
        )

    @staticmethod
    async def _call(there: Open, instance: str, handles: Sequence[str]) -> object:
        answer: object = await there.manager.poll(instance, handles)
        points.reach(points.AFTER_POLL)
        return answer

    # --- what is said -----------------------------------------------------------------------------

    def _settle(self, sweep: _Sweep, rows: list[Row], answer: object, error: Exception | None) -> None:
        desk = self._desk
        if error is None and not isinstance(answer, Mapping):
            desk.connection.faults += 1
            error = ValueError("the poll gave no mapping")
        if isinstance(error, InstanceGone):
            self._wait_again(sweep, rows, is_fault=False)
            desk.instance_gone(sweep.instance, desk.connection.text(error))
        elif isinstance(error, Throttled | CredentialsRefused):
            desk.tally.throttled += isinstance(error, Throttled)
            self._wait_again(sweep, rows, is_fault=False)
        elif error is not None:
            self._wait_again(sweep, rows, is_fault=True)
        elif len(rows) <= _SLICE:
            self._take_in(sweep, rows, answer)
        else:
            desk.around.spawn(self._take_in_slices(sweep, rows, answer))

    def _wait_again(self, sweep: _Sweep, rows: Sequence[Row], *, is_fault: bool) -> None:
        """Nothing was heard: the jobs keep their state, and are asked for again later."""
        now_ms = self._desk.around.now_ms()
        for row in rows:
            if row.stage is Stage.ASKED:
                if is_fault:
                    self._unheard(row, now_ms)
                self._put_back(sweep, row, now_ms)

    def _put_back(self, sweep: _Sweep, row: Row, now_ms: int) -> None:
        if row.stage is not Stage.ASKED:
            return  # its end was reported, or a person is asked
        move(row, Stage.WATCHED)
        if row in self._again:
            self._again.discard(row)
            sweep.is_woken = True
            sweep.schedule.put_at(row, now_ms)
            return
        row.level += row.level < _MOST_LEVEL
        sweep.schedule.put(row, now_ms)

    def _unheard(self, row: Row, now_ms: int) -> None:
        """Nothing usable was said of a job; after very long a person is asked."""
        since_ms = self._silent.setdefault(row, now_ms)
        settings = self._desk.around.pool.settings_of(self._desk.name)
        if settings is not None and now_ms - since_ms >= settings.poll_blackout_s * 1000:
            self._silent.pop(row)
            self._desk.stuck(row, f"nothing usable was heard of it for {settings.poll_blackout_s:g} s")

    async def _take_in_slices(self, sweep: _Sweep, rows: list[Row], answer: Any) -> None:
        for start in range(0, len(rows), _SLICE):
            self._take_in(sweep, rows[start : start + _SLICE], answer)
            await breathe()

    def _take_in(self, sweep: _Sweep, rows: Sequence[Row], answer: Any) -> None:
        now_ms = self._desk.around.now_ms()
        silent, missing = self._silent, self._missing
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
                self._put_back(sweep, row, now_ms)
            elif status is None:
                self._not_there(sweep, row, now_ms)
            else:
                self._said(sweep, row, status, now_ms)

    def _note_regression(self, row: Row, status: object) -> None:
        """Whoever was over stays so."""
        if row.stage is Stage.OVER and isinstance(status, JobStatus) and status.word == "running":
            self._desk.note(row, "regression", "the service says that it runs, after its end")

    def _said(self, sweep: _Sweep, row: Row, status: object, now_ms: int) -> None:
        """Something other than that it runs."""
        if not isinstance(status, JobStatus) or not is_sound(status):
            self._desk.connection.faults += 1
            self._unheard(row, now_ms)
            self._put_back(sweep, row, now_ms)
            return
        self._silent.pop(row, None)
        self._missing.pop(row, None)
        if status.word in _ENDS:
            self._ends.ended(row, status)
            return
        if status.word not in _WORDS and status.word not in self._words:
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

    def _not_there(self, sweep: _Sweep, row: Row, now_ms: int) -> None:
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
