"""What is recorded and not durable yet: the turn that is open, and the one that is being committed.

It judges nothing and commits nothing itself; `runtime/deciding` says what happened, `runtime/turns`
when the turn is handed to `runtime/commits`.
"""

from __future__ import annotations

import asyncio
import logging

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.errors import AsyncflowError, NotCommitted
from asyncflow.model.events import Event, ExecutionRemoved, WorkflowRegistered
from asyncflow.model.graph import Graph
from asyncflow.model.limits import Limits
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import EXECUTION_ENDED
from asyncflow.model.turn import Moment
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.commits import Commits
from asyncflow.runtime.open_turn import Answer, OpenTurn, refuse

log = logging.getLogger("asyncflow.turns")

STORED_KEPT = 20_000
"""Hashes remembered; one that was forgotten is stored once more, which changes nothing."""


class Recording:
    """The open turn, and what becomes of it until it is durable.

    Attributes:
        turn: the turn that is open.
        stored: hashes of definitions that need not be stored with the turn; a bounded number.
    """

    def __init__(self, commits: Commits, clock: Clock, catalog: DefinitionCatalog, limits: Limits) -> None:
        """Nothing is recorded."""
        self.turn = OpenTurn()
        self.stored: set[str] = set()
        self._commits, self._clock, self._catalog = commits, clock, catalog
        self._tenth = limits.history_events // 10
        self._stuck: asyncio.Future[NotCommitted] = asyncio.get_running_loop().create_future()

    def moment(self) -> Moment:
        """The moment of the turn that is open, which is now if it holds nothing yet."""
        if self.turn.moment is None or not self.turn.entries:
            self.turn.moment = self._clock.now()
        return self.turn.moment

    # --- into the open turn -----------------------------------------------------------------------

    def record(self, state: ExecutionState, events: list[Event]) -> None:
        """Record events that the state shows already, and its definition before its first."""
        turn, stream, before = self.turn, state.execution_id, state.seq - len(events)
        turn.add(stream, before + 1, events)
        if state.removed:
            turn.removed.append(stream)
        elif state.status in EXECUTION_ENDED:
            turn.ended[stream] = state
        if state.graph.hash not in self.stored:
            self.store(state.graph)
        if before < self._tenth <= state.seq:
            log.warning("a tenth of its history is used up", extra={"execution": state.execution_id})

    def store(self, graph: Graph) -> None:
        """Have a definition stored with the turn, unless it is."""
        if self._is_new(graph.hash):
            self.turn.store(graph.hash, graph.definition)

    def _is_new(self, name: str) -> bool:
        """Whether a definition may not be stored yet; from now on it is taken for stored."""
        if name in self.stored:
            return False
        if len(self.stored) >= STORED_KEPT:
            self.stored.clear()
        self.stored.add(name)
        return True

    def record_catalog(self, events: list[Event], stream: str, first_seq: int = 0) -> asyncio.Future[None]:
        """Record events of the catalogue, applied to it already; done when they are durable.

        With `first_seq` they are of another stream that has no state, and stand there from that place on; the
        removal of an execution of which no state can be made is such an event.
        """
        self.moment()
        turn, catalog = self.turn, self._catalog
        turn.add(stream, first_seq or catalog.seq - len(events) + 1, list(events))
        for event in events:
            if isinstance(event, ExecutionRemoved):
                turn.removed.append(stream)
            elif isinstance(event, WorkflowRegistered) and self._is_new(event.definition):
                turn.store(event.definition, catalog.workflows[event.name][event.version])
        return turn.done

    def answer(self, answer: Answer, state: ExecutionState) -> None:
        """Answer with the newest turn that is not durable yet, whatever it is about."""
        if self.turn.entries:
            self.turn.answers.append((answer, state))
        elif self._commits.under_way is not None:
            self._commits.under_way.answers.append((answer, state))
        elif not answer.done():
            answer.set_result(state)

    # --- until it is durable ----------------------------------------------------------------------

    async def settled(self, stream: str, *, patient: bool = False) -> None:
        """Wait until everything that the state of this execution shows now is durable.

        Raises:
            StoreError: the engine stopped first; or, unless `patient`, nothing can be written for a while.
        """
        for turn in self._turns():
            if stream not in turn.entries:
                continue
            if not patient:
                stuck = self._stuck
                await asyncio.wait((turn.done, stuck), return_when=asyncio.FIRST_COMPLETED)
                if not turn.done.done():
                    raise stuck.result()
            await asyncio.shield(turn.done)

    def is_unsettled(self, stream: str) -> bool:
        """Whether the state of this execution shows something that is not durable yet."""
        return any(stream in turn.entries for turn in self._turns())

    def hand_over(self) -> None:
        """Have the open turn committed, and open the next; none may be under way."""
        turn, self.turn = self.turn, OpenTurn()
        self._commits.begin(turn)

    def refuse(self, error: AsyncflowError) -> None:
        """None of it becomes durable, or nobody knows."""
        for turn in self._turns():
            turn.refuse(error)

    def disappoint(self, refusal: NotCommitted) -> None:
        """There is no room for it, and nobody knows until when: who waits is told, and it is tried on."""
        for turn in self._turns():
            for answer, _ in turn.answers:
                refuse(answer, refusal)
            turn.answers.clear()
        stuck, self._stuck = self._stuck, asyncio.get_running_loop().create_future()
        stuck.set_result(refusal)

    def _turns(self) -> tuple[OpenTurn, ...]:
        """The older first."""
        under_way = self._commits.under_way
        return (self.turn,) if under_way is None else (under_way, self.turn)
