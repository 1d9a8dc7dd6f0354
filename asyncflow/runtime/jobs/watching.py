"""The jobs of an engine: what is wanted of each, told apart by resource.

It is told of effects after their commit and at recovery, and of time; it never waits. What is done for
the jobs of one resource is in `desk`, what becomes of a report is decided in `decide/jobs`.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from typing import Any

from asyncflow.model.jobs import JobState
from asyncflow.model.state import ExecutionState
from asyncflow.runtime.clock import Clock, comes_within
from asyncflow.runtime.jobs import standing
from asyncflow.runtime.jobs.desk import Desk
from asyncflow.runtime.jobs.preparing import Preparing
from asyncflow.runtime.jobs.reporting import Reporting
from asyncflow.runtime.jobs.seams import Report, ResourcePool, StateOf
from asyncflow.runtime.jobs.surroundings import Surroundings
from asyncflow.runtime.jobs.table import Row, Stage, Table
from asyncflow.runtime.jobs.tally import JobTally
from asyncflow.runtime.jobs.telling import tell
from asyncflow.store.records import Restored

log = logging.getLogger("asyncflow.jobs")


class Jobs:
    """Every open job of this engine, by execution and serial number.

    Attributes:
        desks: by resource.
    """

    def __init__(  # noqa: PLR0913 - put together in one place
        self,
        pool: ResourcePool,
        *,
        clock: Clock,
        report: Report,
        state_of: StateOf,
        preparing: Preparing,
        woken: Callable[[], None],
        is_stopped: Callable[[], bool] = lambda: False,
        rng: random.Random | None = None,
    ) -> None:
        """Watch nothing yet.

        Args:
            woken: tells the turn loop to look at `next_due` again.
            is_stopped: whether the engine stopped by itself.
        """
        self.desks: dict[str, Desk] = {}
        self._table = Table()
        self._by_token: dict[str, Row] = {}
        self._tokens: dict[Row, str] = {}
        self._works: set[asyncio.Task[None]] = set()
        self._rested = asyncio.Event()
        self._around = Surroundings(
            pool,
            preparing,
            Reporting(report),
            state_of,
            lambda: clock.now().elapsed_ms,
            rng or random.Random(),  # noqa: S311 - spreads calls, guards nothing
            is_stopped,
            self._woken,
            self._spawn,
            started_ms=clock.now().elapsed_ms,
        )
        self._tell_woken = woken

    def begin(self, restored: Restored) -> None:
        """The process begins here: what an earlier one sent was sent before now.

        Args:
            restored: between which times one may have gone on of which the journal knows nothing.
        """
        self._around.started_ms, self._around.restored = self._around.now_ms(), restored

    def taken_up(self, took_ms: int) -> None:
        """Every job of an earlier process is known, which took so long: it is no time in which to poll."""
        if took_ms > 0:
            for desk in self.desks.values():
                desk.polling.delay(took_ms)

    # --- what is wanted ---------------------------------------------------------------------------

    def start(self, state: ExecutionState, job: JobState, *, is_recovered: bool = False) -> None:
        """Have a job handed in and watched, after the commit of its intent; or go on with it.

        Told again of a job that it knows, it follows what was decided about it.

        Args:
            is_recovered: an earlier process may have handed it in.
        """
        row = self._table.get(state.execution_id, job.serial)
        if row is not None:
            standing.follow(self._desk_of(row), row, job)
        elif not job.cancel or job.phase != "intent" or is_recovered:
            desk, row = self._add(state, job)
            may_be_there = self._around.may_have_gone_on(state)
            standing.take_up(desk, row, job, is_recovered=is_recovered, may_be_there=may_be_there)

    def cancel(self, state: ExecutionState, job: JobState, *, is_recovered: bool = False) -> None:
        """Have a job found, cancelled and watched until its end."""
        row = self._table.get(state.execution_id, job.serial)
        if row is None:
            desk, row = self._add(state, job)
            standing.unwanted(desk, row)
            if job.phase == "intent" and not is_recovered:
                desk.ended(row, "absent", "it was never handed in")
            else:
                standing.take_up(desk, row, job, is_recovered=is_recovered)
            return
        desk = self._desk_of(row)
        if row.is_cancelled:
            standing.follow(desk, row, job)
            return
        standing.unwanted(desk, row)
        standing.follow(desk, row, job)
        standing.give_up(desk, row)

    def _desk_of(self, row: Row) -> Desk:
        return self.desks[row.desk.name]

    def forget(self, stream: str, serial: int) -> None:
        """The job's end is recorded."""
        row = self._table.remove(stream, serial)
        if row is not None:
            self._desk_of(row).forget(row)
            if self._tokens:
                self._by_token.pop(self._tokens.pop(row, ""), None)

    def forget_all(self, stream: str) -> None:
        """The execution left memory, with all its jobs."""
        for serial in self._table.serials(stream):
            self.forget(stream, serial)

    def instance_lost(self, resource: str, instance: str, reason: str) -> None:
        """An instance is gone: its jobs are, too, and go on as other attempts.

        Cost: in the jobs of the resource.
        """
        desk = self.desks.get(resource)
        if desk is not None:
            for row in [*desk.rows_on(instance)]:
                desk.leave_instance(row, reason)

    def wake(self, resource: str) -> None:
        """Something of a resource changed: its manager is open, or its settings are others."""
        desk = self.desks.get(resource)
        if desk is not None:
            desk.blocked = ""
            desk.stir()

    def _add(self, state: ExecutionState, job: JobState) -> tuple[Desk, Row]:
        desk = self.desks.get(job.resource)
        if desk is None:
            desk = self.desks[job.resource] = Desk(job.resource, self._around)
        row = Row(state.execution_id, job.serial, desk, job.instance)
        self._table.add(row)
        if self._around.preparing.callbacks.is_on and desk.may_call:
            token = self._tokens[row] = self._around.preparing.token(row.stream, job)
            self._by_token[token] = row
        return desk, row

    # --- time -------------------------------------------------------------------------------------

    @property
    def calls(self) -> int:
        """Calls to services and other work under way."""
        desks = self.desks.values()
        return (
            sum(desk.connection.unended + desk.is_stirred for desk in desks)
            + len(self._works)
            + len(self._around.reporting)
        )

    def next_due(self) -> int | None:
        """When `on_time` has something to do."""
        dues = [due for desk in self.desks.values() if (due := desk.next_due()) is not None]
        return min(dues, default=None)

    def on_time(self, now_ms: int) -> None:
        """Time has passed: what is due is called, what takes too long is given up."""
        for desk in self.desks.values():
            desk.on_time(now_ms)

    def _woken(self) -> None:
        if not self._rested.is_set() and not self._sending:
            self._rested.set()
        self._tell_woken()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)  # noqa: TID251 - owned here, and closed with the engine
        self._works.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._works.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("work on jobs broke", exc_info=task.exception())
        self._woken()

    # --- what others ask --------------------------------------------------------------------------

    def callback(self, token: str, proof: str, body: bytes = b"") -> bool:
        """A service says that something happened to a job: it is polled at once; whether it was genuine.

        What the body says is not believed. A call that comes before the answer to our submit counts, too:
        the job is polled as soon as its handle is known.
        """
        del body
        if not self._around.preparing.callbacks.is_genuine(token, proof):
            return False
        row = self._by_token.get(token)
        if row is not None:
            desk = self._desk_of(row)
            desk.polling.called(row)
            desk.pump()
            self._woken()
        return True

    def why(self, stream: str, serial: int) -> dict[str, object] | None:
        """What a job waits for; None if it is not open here."""
        row = self._table.get(stream, serial)
        return None if row is None else tell(self._desk_of(row), row, self._around.now_ms())

    def counts(self) -> dict[str, dict[str, int]]:
        """Per resource, how many jobs stand where; those that are being cancelled stand somewhere, too."""
        return {
            name: {
                "intent": sum(desk.stages[s] for s in (Stage.QUEUED, Stage.SENDING, Stage.UNSURE)),
                "submitted": desk.stages[Stage.WATCHED] + desk.stages[Stage.ASKED],
                "undecided": desk.stages[Stage.STUCK],
                "cancelling": desk.cancelled,
            }
            for name, desk in self.desks.items()
        }

    @property
    def is_watching(self) -> bool:
        """Whether any job is open of which more can be learnt without a person."""
        return any(desk.stages.total() > desk.stages[Stage.STUCK] for desk in self.desks.values())

    def tallies(self) -> dict[str, JobTally]:
        """Per resource, what was counted since the process began."""
        return {name: desk.tally for name, desk in self.desks.items()}

    # --- the end ----------------------------------------------------------------------------------

    @property
    def _sending(self) -> int:
        return sum(desk.submitting.sending for desk in self.desks.values())

    async def drain(self, timeout_s: float) -> bool:
        """Hand nothing in any more and wait, in real time, for the handles of what is; whether all came."""
        self._around.is_draining = True
        self._rested.clear()
        all_came = not self._sending or await comes_within(self._rested, timeout_s)
        self._around.reporting.flush()
        return all_came

    async def close(self) -> None:
        """Break all calls off; the next start goes on with every job, and knows all that was said of it."""
        self._around.reporting.flush()
        for desk in self.desks.values():
            await desk.close()
        works = [*self._works]
        for work in works:
            work.cancel()
        if works:
            await asyncio.wait(works)
