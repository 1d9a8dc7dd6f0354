"""The turn: everything that arrived is decided, committed as one, and only then released.

One coroutine owns all live states. While a commit is under way what arrives is decided into the
next turn, so a batch adapts to the disk by itself and nothing lingers. What arrives is in
`runtime/inbox`, how one input is decided in `runtime/deciding`, how a turn becomes durable in
`runtime/commits`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.errors import AsyncflowError, OutcomeUnknown, ShuttingDown, StoreError
from asyncflow.model.events import Event
from asyncflow.model.inputs import Input
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Moment, Turn
from asyncflow.runtime import points
from asyncflow.runtime.clock import Clock, breathe
from asyncflow.runtime.commits import Commits
from asyncflow.runtime.deciding import Carrier, Deciding, DecidingSettings
from asyncflow.runtime.inbox import Inbox, Then
from asyncflow.runtime.loading import Loading, LoadMany
from asyncflow.runtime.open_turn import Listener, OpenTurn, Watcher, tell_listeners
from asyncflow.runtime.recording import Recording
from asyncflow.runtime.residents import Residents
from asyncflow.runtime.supervision import Supervisor
from asyncflow.store.journal import Journal

__all__ = ["Carrier", "Turns"]

T = TypeVar("T")


class Turns:
    """Owner of every live execution: `submit` and `report` put inputs in order, which are decided in turn.

    Attributes:
        report: has a report decided; nobody waits for it.
        states: the executions in memory, for reading only; await `settled` before showing what was read.
        watchers: by execution, who is told of its events once they are durable.
        under_way: whether anything is carried out; time does not jump then.
        committed: told of every turn once it is durable and everybody else was told.
        listeners: told of a turn that is durable while all that ended in it is in memory, until they break.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        catalog: DefinitionCatalog,
        *,
        load: LoadMany,
        settings: DecidingSettings,
        keep_ended: int = 256,
    ) -> None:
        """Own nothing yet; `load` folds executions that are not in memory, `keep_ended` of the ended stay."""
        self.catalog = catalog
        self.residents = Residents(keep_ended=keep_ended, wall_ms=lambda: clock.now().wall_ms)
        self.states = self.residents.states
        self.quarantined = self.residents.quarantined
        self.commits = Commits(journal)
        self.inbox = Inbox(self.commits, catalog)
        self.report = self.inbox.report
        self._recording = Recording(self.commits, clock, catalog, settings.limits)
        self.loading = Loading(load, partial(self.settled, patient=True))
        self.watchers: dict[str, list[Watcher]] = {}
        self.under_way: Callable[[], bool] = lambda: False
        self.committed: Callable[[OpenTurn], None] = lambda _: None
        self.listeners: list[Listener] = []
        self._clock = clock
        self._deciding = Deciding(
            self.residents,
            self.loading,
            catalog,
            inbox=self.inbox,
            recording=self._recording,
            settings=settings,
        )
        self.commits.stuck = self._deciding.stuck
        self._wake = self.inbox.wake
        self._failed = asyncio.Event()
        self._to_decide = 0  # of the inbox, once closing
        self._at_rest = asyncio.Event()

    def attach(self, carrier: Carrier, *, under_way: Callable[[], bool]) -> None:
        """Say who carries out effects, and how to ask whether any is under way."""
        self._deciding.carrier = carrier
        self.under_way = under_way

    # --- what comes in ----------------------------------------------------------------------------

    async def submit(
        self, stream: str, given: Input, *, size: int = 0, then: Then | None = None
    ) -> ExecutionState:
        """Have an input decided, and wait until what it made is durable; see `Inbox.submit`."""
        return await self.inbox.submit(stream, given, size=size, then=then)

    def wake(self) -> None:
        """Look again: something outside of the inbox changed."""
        self._wake.set()

    def check_open(self) -> None:
        """Return if something new may be recorded; see `Inbox.check_open`."""
        self.inbox.check_open()

    def check_running(self) -> None:
        """Return if the engine goes on; see `Inbox.check_running`."""
        self.inbox.check_running()

    async def settled(self, stream: str, *, patient: bool = False) -> None:
        """Wait until everything that the state of this execution shows now is durable.

        Raises:
            StoreError: the engine stopped first; or, unless `patient`, nothing can be written for a while.
        """
        await self._recording.settled(stream, patient=patient)

    def is_unsettled(self, stream: str) -> bool:
        """Whether the state of this execution shows something that is not durable yet."""
        return self._recording.is_unsettled(stream)

    async def unless_failed(self, wanted: asyncio.Future[T], stream: str = "") -> T:
        """Wait for a future that a later turn fulfils; see `Inbox.unless_failed`."""
        return await self.inbox.unless_failed(wanted, stream)

    async def failed(self) -> StoreError:
        """Wait until the engine has stopped by itself, and say why; for ever, if all is well."""
        await self._failed.wait()
        assert self.failure is not None  # what the event says
        return self.failure

    @property
    def failure(self) -> StoreError | None:
        """Why the engine stopped, or None while it goes on."""
        return self.commits.failure

    @property
    def number(self) -> int:
        """The number of the newest turn."""
        return self.commits.number

    @property
    def is_durable(self) -> bool:
        """Whether everything that is decided is committed."""
        return not (self._recording.turn.entries or self.commits.under_way)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be decided, committed or loaded."""
        undecided = self.inbox.items or len(self.loading)
        return not (undecided or self._recording.turn.entries or self.commits.under_way)

    # --- the loop -------------------------------------------------------------------------------

    def start(self, supervisor: Supervisor, *, next_due: Callable[[], int | None], on_time: OnTime) -> None:
        """Begin to decide, commit and load.

        `on_time` is told when `next_due` has come and puts what is due into the inbox.
        """
        supervisor.start("turns", lambda: self._run(next_due, on_time), fatal=self.fail)
        supervisor.start("commits", self._commit, fatal=self.fail)
        supervisor.start("loading", self.loading.run)

    async def _run(self, next_due: Callable[[], int | None], on_time: OnTime) -> None:
        inbox, recording, commits = self.inbox, self._recording, self.commits
        try:
            while self.failure is None:
                if not inbox.is_closed:
                    on_time(recording.moment())
                self._decide()
                if recording.turn.entries and commits.under_way is None:
                    self._begin_commit()
                if inbox.is_closed and self._is_at_rest:
                    break
                is_over = inbox.is_closed and not self._to_decide
                if inbox.items and not recording.turn.is_full and not is_over:
                    await breathe()
                else:
                    await self._wait(next_due)
        finally:
            self._at_rest.set()  # also when the whole loop is being torn down around us

    def _decide(self) -> None:
        """Decide a slice of what is there; once closing, only what was there when it began."""
        if not self.inbox.is_closed:
            self._recording.turn.inputs += self._deciding.decide_slice()
        elif self._to_decide:
            self._to_decide -= min(self._to_decide, self._deciding.decide_slice(self._to_decide))

    @property
    def _is_at_rest(self) -> bool:
        return not (self._to_decide or self._recording.turn.entries or self.commits.under_way)

    async def _wait(self, next_due: Callable[[], int | None]) -> None:
        """Until something arrives, a commit ends, or something is due.

        While a turn waits behind a commit its moment stands still, so that nothing new comes due in it.
        """
        due = None if self._recording.turn.entries else next_due()
        if self.is_idle and not self.under_way() and self._clock.idle(due):
            return
        alarm = None if due is None else self._clock.alarm(due, self._wake)
        try:
            await self._wake.wait()
        finally:
            if alarm is not None:
                alarm.cancel()
        self._wake.clear()

    def moment(self) -> Moment:
        """The moment of the turn that is open, which is now if it holds nothing yet."""
        return self._recording.moment()

    # --- commit and release ---------------------------------------------------------------------

    def _begin_commit(self) -> None:
        points.reach(points.AFTER_DECIDE)
        self._recording.hand_over()
        self._deciding.carrier.close_turn()

    async def _commit(self) -> None:
        try:
            self.fail(await self.commits.run(self._release))
        except asyncio.CancelledError:
            if not self._at_rest.is_set():
                self.fail(OutcomeUnknown("the commit under way was cancelled"))
            raise

    def _release(self, turn: OpenTurn, record: Turn) -> None:
        """The turn is durable: start what it wants, answer, tell watchers."""
        self._deciding.carrier.committed()
        turn.release()
        if self.watchers:
            for entry in record.entries:
                for watcher in tuple(self.watchers.get(entry.stream, ())):
                    watcher(entry, record.moment)
        tell_listeners(self.listeners, turn, record)
        self.residents.ended(turn.ended)
        for stream in turn.removed:
            self.residents.remove(stream)
            self._deciding.left(stream)
        self.residents.let_go(self._recording.turn.entries, self._deciding.left)
        self.committed(turn)
        self._wake.set()

    def record_catalog(self, events: list[Event], stream: str, first_seq: int = 0) -> asyncio.Future[None]:
        """Record events of no execution, see `Recording.record_catalog`; done when they are durable.

        Call `check_open` before they are applied, without giving up the loop in between.
        """
        done = self._recording.record_catalog(events, stream, first_seq)
        self._wake.set()
        return done

    @property
    def stored(self) -> set[str]:
        """The hashes of definitions that the journal has, or will have with the open turn."""
        return self._recording.stored

    # --- the end ----------------------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """Stop everything: nobody who waits learns of success, nothing new is decided."""
        known = self.commits.fail(error)
        self._recording.refuse(known)
        self._refuse_waiting(known)
        self._failed.set()
        self._at_rest.set()
        self._wake.set()

    def _refuse_waiting(self, error: AsyncflowError) -> None:
        """Tell all who wait for something that will not come any more."""
        self.inbox.refuse(error)
        self._deciding.closures.refuse(error)
        self.loading.refuse(error)
        self.inbox.disappoint(error)

    async def close(self) -> None:
        """Take nothing new, decide and commit what has arrived, answer everybody, then return.

        What was left for later turns (slices, timers, messages) goes on at the next start.
        """
        self.inbox.is_closed = True
        self._to_decide = len(self.inbox.items)
        self.commits.hurry()
        self._wake.set()
        await self._at_rest.wait()
        self._refuse_waiting(ShuttingDown("the engine is stopping"))


OnTime = Callable[[Moment], None]
