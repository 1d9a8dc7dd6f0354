"""Executions decided in memory: no loop, no store, nothing performed, time that moves when told to.

It delivers messages as the turn does, and leaves to its user what tasks answer and when time passes.
`app/simulation` plays the tests of definitions in it, `testing/pure` those of the deciding core.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.decider import decide
from asyncflow.decide.evolve import new_state
from asyncflow.decide.step import Context
from asyncflow.model.effects import Admit, Proceed
from asyncflow.model.events import Event
from asyncflow.model.inputs import AttemptAdmitted, Continue, Message, StartExecution
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Moment


@dataclass
class Sandbox:
    """Executions and a clock. Everything is decided at once, in order; `slice_size` bounds one step.

    `gives_slots`: limits of executions hold nobody up.
    """

    limits: Limits = DEFAULT_LIMITS
    slice_size: int = 2_000
    now_ms: int = 1_000_000
    entropy: int = 1
    active_domains: dict[str, frozenset[str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    gives_slots: bool = True
    catalog: DefinitionCatalog = field(default_factory=DefinitionCatalog)
    states: dict[str, ExecutionState] = field(default_factory=dict)

    def settle(self, message: Message) -> None:
        """Decide an input and all that follows from it without time passing; scripts are not run."""
        for _ in self.steps(message):
            pass

    def steps(self, message: Message) -> Iterator[ExecutionState]:
        """The same, one bounded step at a time; gives the execution that each step changed."""
        waiting = deque([message])
        while waiting:
            state, messages = self.decide_one(waiting.popleft())
            waiting += messages
            yield state
            while (following := self._following()) is not None:
                state, messages = self.decide_one(following)
                waiting += messages
                yield state

    def _following(self) -> Message | None:
        """What an execution goes on with that left something for another step, or waits for a slot."""
        for name, state in self.states.items():
            effects = state.wanted.get(0, ())
            if Proceed() in effects:
                return Message(name, Continue())
            if self.gives_slots and Admit(0, 0) in effects:
                return Message(name, AttemptAdmitted(0))
        return None

    def decide_one(self, message: Message) -> tuple[ExecutionState, list[Message]]:
        """Decide one input and nothing of what it leaves for later; its messages are not delivered.

        Raises:
            AsyncflowError: as `decide`; nothing changed.
        """
        state = self.states.get(message.to)
        if state is None:
            assert isinstance(message.input, StartExecution), f"unknown execution: {message}"
            state = new_state(message.to, self.catalog.graphs, message.input.definition)
            self.states[message.to] = state
        step = decide(state, message.input, self.context())
        self.decided(state, step.events)
        return state, step.messages

    def decided(self, state: ExecutionState, events: list[Event]) -> None:
        """Told of what would be recorded; nothing here keeps it."""

    def context(self) -> Context:
        """What deciding knows now."""
        return Context(
            Moment(self.now_ms, self.now_ms),
            self.entropy,
            self.catalog,
            self.limits,
            slice_size=self.slice_size,
            active_domains=self.active_domains,
            environment=self.environment,
        )
