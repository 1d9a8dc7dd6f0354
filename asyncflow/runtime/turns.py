"""The turn: everything that arrived is decided, committed as one, and only then released.

One coroutine owns all live states. While a commit is under way what arrives is decided into the
next turn, so a batch adapts to the disk by itself and nothing lingers. How one input is decided is
`runtime/deciding`, how a turn becomes durable `runtime/commits`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.errors import AsyncflowError, NotCommitted, OutcomeUnknown, ShuttingDown, StoreError
from asyncflow.model.events import Event, WorkflowRegistered
from asyncflow.model.inputs import Input
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Moment, Turn
from asyncflow.runtime import points
from asyncflow.runtime.clock import Clock, breathe
from asyncflow.runtime.commits import Commits
from asyncflow.runtime.deciding import Carrier, Deciding, DecidingSettings, Waiting
from asyncflow.runtime.loading import Loading, LoadMany
from asyncflow.runtime.open_turn import Answer, OpenTurn, Watcher, refuse
from asyncflow.runtime.residents import Residents
from asyncflow.runtime.supervision import Supervisor
from asyncflow.store.journal import Journal

__all__ = ["Carrier", "Turns"]

T = TypeVar("T")


class Turns:
    """Owner of every live execution.

    `submit` and `report` put inputs in order; `run` decides them.

    Attributes:
        states: the executions in memory; for reading only, and through `settled` where somebody
            outside is shown what was read.
        watchers: by execution, who is told of its events once they are durable.
        under_way: whether anything is carried out; time does not jump then.
        committed: told of every turn once it is durable and everybody else was told.
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
        """Own nothing yet.

        Args:
            load: folds executions that are not in memory.
            keep_ended: ended executions kept in memory for those who ask right after.
        """
        self.catalog = catalog
        self.residents = Residents(keep_ended=keep_ended)
        self.states = self.residents.states
        self.quarantined = self.residents.quarantined
        self.commits = Commits(journal)
        self.loading = Loading(load, self.settled)
        self.watchers: dict[str, list[Watcher]] = {}
        self.under_way: Callable[[], bool] = lambda: False
        self.committed: Callable[[OpenTurn], None] = lambda _: None
        self._clock = clock
        self._deciding = Deciding(
            self.residents, self.loading, catalog, commits=self.commits, clock=clock, settings=settings
        )
        self._inbox = self._deciding.inbox
        self._wake = self._deciding.wake
        self._hopes: set[asyncio.Future[object]] = set()
        self._failed = asyncio.Event()
        self._closing = False
        self._to_decide = 0  # of the inbox, once closing
        self._at_rest = asyncio.Event()

    def attach(self, carrier: Carrier, *, under_way: Callable[[], bool]) -> None:
        """Say who carries out effects, and how to ask whether any is under way."""
        self._deciding.carrier = carrier
        self.under_way = under_way

    # --- the inbox ------------------------------------------------------------------------------

    async def submit(self, stream: str, given: Input, *, size: int = 0) -> ExecutionState:
        """Have an input decided, and wait until what it made is durable.

        Args:
            size: bytes of the payload in it, where they are known and many.

        Returns:
            The state of the execution, at least as new as the input made it.

        Raises:
            Refused, NotFound, InvalidInput: as `decide`; nothing changed.
            ShuttingDown: the engine takes nothing any more; nothing changed.
            StoreError: the commit failed; OutcomeUnknown if it may have happened.
        """
        self.check_open()
        answer: Answer = asyncio.get_running_loop().create_future()
        self._inbox.append(Waiting(stream, given, answer, size, graph=self._deciding.named(given)))
        self._wake.set()
        return await answer

    def report(self, stream: str, given: Input) -> None:
        """Have a report decided; nobody waits for it."""
        if self.failure is None:
            size = getattr(given, "output_bytes", 0)
            self._inbox.append(Waiting(stream, given, None, size, graph=self._deciding.named(given)))
            self._wake.set()

    def wake(self) -> None:
        """Look again: something outside of the inbox changed."""
        self._wake.set()

    def check_open(self) -> None:
        """Return if something new may be recorded.

        Raises:
            StoreError: the engine stopped, or there is no room.
            ShuttingDown: the engine is stopping.
        """
        self.check_running()
        if self.commits.trouble:
            raise NotCommitted(
                "the database takes no commit now; nothing new is taken until it does",
                code=self.commits.trouble,
            )

    def check_running(self) -> None:
        """Return if the engine goes on.

        Raises:
            StoreError: it stopped.
            ShuttingDown: it is stopping.
        """
        if self.failure is not None:
            raise StoreError(f"the engine stopped: {self.failure}") from self.failure
        if self._closing:
            raise ShuttingDown("the engine is stopping; nothing new is taken")

    async def settled(self, stream: str) -> None:
        """Wait until everything that the state of this execution shows now is durable.

        Raises:
            StoreError: the engine stopped first.
        """
        for turn in (self.commits.under_way, self._deciding.turn):
            if turn is not None and stream in turn.entries:
                await asyncio.shield(turn.done)

    def is_unsettled(self, stream: str) -> bool:
        """Whether the state of this execution shows something that is not durable yet."""
        turns = (self.commits.under_way, self._deciding.turn)
        return any(turn is not None and stream in turn.entries for turn in turns)

    async def unless_failed(self, wanted: asyncio.Future[T]) -> T:
        """Wait for a future that a later turn fulfils; it fails when the engine does, or closes."""
        self.check_running()
        hope: asyncio.Future[object] = wanted  # type: ignore[assignment]  # only errors are put in
        self._hopes.add(hope)
        try:
            return await wanted
        finally:
            self._hopes.discard(hope)

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
    def storage_full(self) -> bool:
        """Whether a turn waits for room in the database."""
        return bool(self.commits.trouble)

    @property
    def number(self) -> int:
        """The number of the newest turn."""
        return self.commits.number

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be decided, committed or loaded."""
        return not (self._inbox or self._deciding.turn.entries or self.commits.under_way or len(self.loading))

    # --- the loop -------------------------------------------------------------------------------

    def start(self, supervisor: Supervisor, *, next_due: Callable[[], int | None], on_time: OnTime) -> None:
        """Begin to decide, commit and load.

        `on_time` is told when `next_due` has come and puts what is due into the inbox.
        """
        supervisor.start("turns", lambda: self._run(next_due, on_time), fatal=self.fail)
        supervisor.start("commits", self._commit, fatal=self.fail)
        supervisor.start("loading", self.loading.run)

    async def _run(self, next_due: Callable[[], int | None], on_time: OnTime) -> None:
        deciding, commits = self._deciding, self.commits
        try:
            while self.failure is None:
                if not self._closing:
                    on_time(deciding.moment())
                self._decide()
                if deciding.turn.entries and commits.under_way is None:
                    self._begin_commit()
                if self._closing and self._is_at_rest:
                    break
                if self._inbox and not deciding.turn.is_full and not (self._closing and not self._to_decide):
                    await breathe()
                else:
                    await self._wait(next_due)
        finally:
            self._at_rest.set()  # also when the whole loop is being torn down around us

    def _decide(self) -> None:
        """Decide a slice of what is there; once closing, only what was there when it began."""
        if not self._closing:
            self._deciding.decide_slice()
        elif self._to_decide:
            self._to_decide -= min(self._to_decide, self._deciding.decide_slice(self._to_decide))

    @property
    def _is_at_rest(self) -> bool:
        return not (self._to_decide or self._deciding.turn.entries or self.commits.under_way)

    async def _wait(self, next_due: Callable[[], int | None]) -> None:
        """Until something arrives, a commit ends, or something is due.

        While a turn waits behind a commit its moment stands still, so that nothing new comes due in it.
        """
        due = None if self._deciding.turn.entries else next_due()
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
        return self._deciding.moment()

    # --- commit and release ---------------------------------------------------------------------

    def _begin_commit(self) -> None:
        points.reach(points.AFTER_DECIDE)
        turn, self._deciding.turn = self._deciding.turn, OpenTurn()
        self.commits.begin(turn)
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
        self.residents.ended(turn.ended)
        self.residents.let_go(self._deciding.turn.entries, self._deciding.left)
        self.committed(turn)
        self._wake.set()

    def record_catalog(self, events: list[Event], stream: str) -> asyncio.Future[None]:
        """Record events of the catalogue, applied to it already; done when they are durable.

        Call `check_open` before they are applied, without giving up the loop in between.
        """
        deciding = self._deciding
        deciding.moment()
        turn = deciding.turn
        turn.add(stream, self.catalog.seq - len(events) + 1, list(events))
        for event in events:
            if isinstance(event, WorkflowRegistered) and event.definition not in deciding.stored:
                deciding.stored.add(event.definition)
                turn.store(event.definition, self.catalog.workflows[event.name][event.version])
        self._wake.set()
        return turn.done

    @property
    def stored(self) -> set[str]:
        """The hashes of definitions that the journal has, or will have with the open turn."""
        return self._deciding.stored

    # --- the end ----------------------------------------------------------------------------------

    def fail(self, error: BaseException) -> None:
        """Stop everything: nobody who waits learns of success, nothing new is decided."""
        known = self.commits.fail(error)
        for turn in (self.commits.under_way, self._deciding.turn):
            if turn is not None:
                turn.refuse(known)
        self._refuse_waiting(known)
        self._failed.set()
        self._at_rest.set()
        self._wake.set()

    def _refuse_waiting(self, error: AsyncflowError) -> None:
        """Tell all who wait for something that will not come any more."""
        for item in self._inbox:
            refuse(item.answer, error)
        self._inbox.clear()
        self._deciding.closures.refuse(error)
        self.loading.refuse(error)
        for hope in self._hopes:
            if not hope.done():
                hope.set_exception(error)

    async def close(self) -> None:
        """Take nothing new, decide and commit what has arrived, answer everybody, then return.

        What was left for later turns (slices, timers, messages) goes on at the next start.
        """
        self._closing = True
        self._to_decide = len(self._inbox)
        self.commits.hurry()
        self._wake.set()
        await self._at_rest.wait()
        self._refuse_waiting(ShuttingDown("the engine is stopping"))


OnTime = Callable[[Moment], None]
