"""Jobs that are watched: asked for in batches, with the time between two polls of a job growing.

A failed poll is never a failed job. When who is polled is `schedule`, what an answer says is `hearing`;
nothing here decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from asyncflow.plugins.errors import CredentialsRefused, InstanceGone, Throttled
from asyncflow.runtime import points
from asyncflow.runtime.clock import breathe
from asyncflow.runtime.jobs.connection import Work
from asyncflow.runtime.jobs.hearing import Hearing
from asyncflow.runtime.jobs.roles import Home
from asyncflow.runtime.jobs.schedule import Schedule, Sweep
from asyncflow.runtime.jobs.surroundings import Open
from asyncflow.runtime.jobs.table import Row, Stage, move, move_all

_SPACING = 0.8  # of the shortest interval, between two sweeps of an instance
_WOKEN_MS = 200  # between two sweeps, where somebody said that there is something to see
_SLICE = 250  # answers taken in before others get the loop: at most some 6 ms, where all have ended
_MOST_LEVEL = 60


class Polling:
    """The jobs of one resource that are known to be there."""

    def __init__(self, desk: Home) -> None:
        """There is none; `hearing` is what was heard of them."""
        self._desk = desk
        self._sweeps: dict[str, Sweep] = {}
        self._again: set[Row] = set()
        self.hearing = Hearing(desk, self._put_back, self._put_all_back)

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

    def take_up(self, row: Row, *, since_ms: int | None) -> None:
        """Watch a job that was watched since then; None for one that was not.

        It goes on with the interval that it had come to, and first polls are spread over that: a start asks
        for no more at once than went on before it.
        """
        now_ms = self._desk.around.now_ms()
        age_ms = 0 if since_ms is None or row.is_cancelled else now_ms - since_ms
        schedule = self._sweep(row).schedule
        move(row, Stage.WATCHED)
        row.level = schedule.level_at(age_ms)
        wait_ms = int(self._desk.around.rng.uniform(0, schedule.interval_ms(row.level)))
        schedule.put_at(row, now_ms + wait_ms)

    def delay(self, by_ms: int) -> None:
        """Taking jobs up took so long: their first polls are spread over the time from now on."""
        for sweep in self._sweeps.values():
            sweep.schedule.delay(by_ms)

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
        self.hearing.drop(row)

    def _sweep(self, row: Row) -> Sweep:
        sweep = self._sweeps.get(row.instance)
        if sweep is None:
            self._forget_idle()
            schedule = Schedule(*self._intervals(), self._desk.around.rng)
            sweep = self._sweeps[row.instance] = Sweep(row.instance, schedule)
        return sweep

    def _forget_idle(self) -> None:
        """Instances come and go: of those for which nobody waits now nothing is kept."""
        known = self._sweeps.items()
        self._sweeps = {name: each for name, each in known if each.polls or each.next_due() is not None}

    def _intervals(self) -> tuple[int, int]:
        settings = self._desk.around.pool.settings_of(self._desk.name)
        if settings is None:
            return 5_000, 60_000
        return int(settings.poll_first_s * 1000), int(settings.poll_max_s * 1000)

    @property
    def instances(self) -> list[str]:
        """The instances of which anything is kept; "" is that of a resource without any."""
        return list(self._sweeps)

    # --- asking -----------------------------------------------------------------------------------

    def next_due(self) -> int | None:
        """When the next sweep begins."""
        dues = [due for sweep in self._sweeps.values() if (due := sweep.next_due()) is not None]
        return min(dues, default=None)

    def pump(self, there: Open, now_ms: int) -> None:
        """Ask for all that are due, as many at once as the service takes and there is room for."""
        for sweep in [*self._sweeps.values()]:
            self._go_round(sweep, there, now_ms)

    def _go_round(self, sweep: Sweep, there: Open, now_ms: int) -> None:
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

    def _ask(self, sweep: Sweep, rows: list[Row], there: Open) -> None:
        desk = self._desk
        instance = desk.instance_of(rows[0])
        if instance is None:
            for row in rows:
                sweep.schedule.put(row, desk.around.now_ms())
            return
        move_all(rows, Stage.WATCHED, Stage.ASKED)
        sweep.polls += 1
        desk.tally.poll_calls += 1
        desk.tally.polls += len(rows)
        handles = [row.handle for row in rows]
        work = Work(
            "poll",
            self._call(there, instance, handles),
            there.manager.poll_timeout,
            lambda answer, error: self._settle(sweep, rows, answer, error),
        )
        desk.connection.begin(work, poll=True)

    @staticmethod
    async def _call(there: Open, instance: str, handles: Sequence[str]) -> object:
        answer: object = await there.manager.poll(instance, handles)
        points.reach(points.AFTER_POLL)
        return answer

    # --- what is said -----------------------------------------------------------------------------

    def _settle(self, sweep: Sweep, rows: list[Row], answer: object, error: Exception | None) -> None:
        desk = self._desk
        if error is None and not isinstance(answer, Mapping):
            desk.connection.faults += 1
            error = ValueError("the poll gave no mapping")
        if error is None and len(rows) > _SLICE:
            desk.around.spawn(self._take_in_slices(sweep, rows, answer))
            return
        sweep.polls -= 1
        if isinstance(error, InstanceGone):
            self._wait_again(sweep, rows, is_fault=False)
            desk.instance_gone(sweep.instance, desk.connection.text(error))
        elif isinstance(error, Throttled | CredentialsRefused):
            desk.tally.throttled += isinstance(error, Throttled)
            self._wait_again(sweep, rows, is_fault=False)
        elif error is not None:
            self._wait_again(sweep, rows, is_fault=True)
        else:
            self.hearing.take_in(sweep, rows, answer)

    def _wait_again(self, sweep: Sweep, rows: Sequence[Row], *, is_fault: bool) -> None:
        """Nothing was heard: the jobs keep their state, and are asked for again later."""
        now_ms = self._desk.around.now_ms()
        for row in rows:
            if row.stage is Stage.ASKED:
                if is_fault:
                    self.hearing.unheard(row, now_ms)
                self._put_back(sweep, row, now_ms)

    def _put_back(self, sweep: Sweep, row: Row, now_ms: int) -> None:
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

    def _put_all_back(self, sweep: Sweep, rows: Sequence[Row], now_ms: int) -> None:
        """They run, and each is asked for again after a longer time."""
        if self._again:
            for row in rows:
                self._put_back(sweep, row, now_ms)
            return
        move_all(rows, Stage.ASKED, Stage.WATCHED)
        for row in rows:
            row.level += row.level < _MOST_LEVEL
        sweep.schedule.put_all(rows, now_ms)

    async def _take_in_slices(self, sweep: Sweep, rows: list[Row], answer: Any) -> None:
        for start in range(0, len(rows), _SLICE):
            self.hearing.take_in(sweep, rows[start : start + _SLICE], answer)
            await breathe()
        sweep.polls -= 1
