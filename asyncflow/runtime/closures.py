"""Answers held until all that a command set in motion at once is there to be read.

A command may have queued messages (the revival of a parent that had to be loaded), or asked
scripts that Conductor evaluates within the call. Its answer waits for those, and no longer.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass

from asyncflow.errors import AsyncflowError
from asyncflow.model.state import ExecutionState
from asyncflow.runtime.open_turn import Answer, refuse

_PATIENCE = 1_000  # looks: an endless loop of scripts answers its starter all the same


@dataclass(slots=True, eq=False)
class _Held:
    """One answer, the execution it gives, and the executions that have still something to do for it."""

    answer: Answer
    state: ExecutionState
    waits_for: set[str]
    patience: int = _PATIENCE


class Closures:
    """The answers that are held, by the executions they wait for."""

    def __init__(self, is_scripting: Callable[[str], bool], set_aside: Container[str]) -> None:
        """Hold nothing; `is_scripting` says whether an execution has a script under way.

        Messages for executions in `set_aside` wait for a person, and nobody's answer for them.
        """
        self._is_scripting, self._set_aside = is_scripting, set_aside
        self._by_stream: dict[str, list[_Held]] = {}

    def __contains__(self, stream: str) -> bool:
        """Whether an answer waits for this execution."""
        return stream in self._by_stream

    def is_complete(self, state: ExecutionState) -> bool:
        """Whether nothing of what the execution set in motion is outstanding."""
        if any(message.to not in self._set_aside for message in state.outbox):
            return False
        return not self._is_scripting(state.execution_id)

    def hold(self, answer: Answer, state: ExecutionState) -> None:
        """Keep an answer until the execution is complete."""
        held = _Held(answer, state, {state.execution_id})
        self._by_stream.setdefault(state.execution_id, []).append(held)

    def widen(self, source: ExecutionState, receiver: str, states: Mapping[str, ExecutionState]) -> None:
        """A message was delivered: who waits for its sender waits for its receiver as well."""
        state = states.get(receiver)
        if state is None or source.execution_id not in self._by_stream or self.is_complete(state):
            return
        for held in self._by_stream[source.execution_id]:
            if receiver not in held.waits_for:
                held.waits_for.add(receiver)
                self._by_stream.setdefault(receiver, []).append(held)

    def look(self, state: ExecutionState) -> list[tuple[Answer, ExecutionState]]:
        """The answers that may be given because of how this execution stands now."""
        stream = state.execution_id
        is_complete = self.is_complete(state)
        ready: list[tuple[Answer, ExecutionState]] = []
        left: list[_Held] = []
        for held in self._by_stream[stream]:
            held.patience -= 1
            if is_complete:
                held.waits_for.discard(stream)
            if not held.waits_for or held.patience <= 0 or held.answer.done():
                self._drop(held, stream)
                ready.append((held.answer, held.state))
            elif not is_complete:
                left.append(held)
        if left:
            self._by_stream[stream] = left
        else:
            del self._by_stream[stream]
        return ready

    def _drop(self, held: _Held, looked_at: str) -> None:
        """Nobody waits any more: take it out of the other lists it stands in."""
        for stream in held.waits_for - {looked_at}:
            rest = [each for each in self._by_stream.get(stream, ()) if each is not held]
            if rest:
                self._by_stream[stream] = rest
            else:
                self._by_stream.pop(stream, None)

    def give_up(self, stream: str, error: AsyncflowError) -> None:
        """The execution left: whoever waits for it learns why."""
        for held in self._by_stream.pop(stream, ()):
            self._drop(held, stream)
            refuse(held.answer, error)

    def refuse(self, error: AsyncflowError) -> None:
        """Nothing is answered any more."""
        for stream in [*self._by_stream]:
            self.give_up(stream, error)
