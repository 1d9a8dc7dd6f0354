"""The execution that an input is for: here, begun with it, loaded for it, or why there is none.

It decides nothing and never waits: an input whose execution is absent comes back to the inbox once
that is loaded, see `runtime/loading`. Who is in memory, and who was set aside, is in `runtime/residents`.
"""

from __future__ import annotations

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.evolve import new_state
from asyncflow.errors import ShuttingDown, StoreError
from asyncflow.model.inputs import StartExecution
from asyncflow.model.state import ExecutionState
from asyncflow.runtime.inbox import Inbox, Waiting
from asyncflow.runtime.loading import Loaded, Loading
from asyncflow.runtime.open_turn import refuse
from asyncflow.runtime.residents import Residents


class Finding:
    """Finds the states of absent executions; those in memory are looked up without it."""

    def __init__(
        self, residents: Residents, loading: Loading, catalog: DefinitionCatalog, *, inbox: Inbox
    ) -> None:
        """Nothing is looked for yet."""
        self._residents, self._loading = residents, loading
        self._catalog, self._inbox = catalog, inbox

    def find(self, waiting: Waiting) -> ExecutionState | None:
        """The state that the input begins with; None if it is refused, or has to wait for its loading."""
        stream = waiting.stream
        if stream in self._residents.quarantined:
            refuse(waiting.answer, self.quarantine_error(stream))
        elif isinstance(waiting.given, StartExecution):
            return self.new(stream, waiting.given)
        elif (state := self._residents.was_read(stream)) is not None:
            self._residents.add(state)
            self._residents.ended({stream: state})
            return state
        else:
            self._loading.ask(stream, lambda loaded: self._loaded(waiting, loaded))
        return None

    def new(self, stream: str, given: StartExecution) -> ExecutionState:
        """The state of an execution before its first event; it is in memory from now on."""
        state = new_state(stream, self._catalog.graphs, given.definition)
        self._residents.add(state)
        return state

    def quarantine_error(self, stream: str) -> StoreError:
        """What is told to whoever asks for an execution that was set aside."""
        return StoreError(f"execution {stream} is quarantined: {self._residents.quarantined[stream].reason}")

    def _loaded(self, waiting: Waiting, loaded: Loaded) -> None:
        """The execution an input is for is here, or cannot be."""
        stream, residents = waiting.stream, self._residents
        if isinstance(loaded, ExecutionState):
            if stream not in residents.states:
                residents.add(loaded)
            residents.ended({stream: residents.states[stream]})
            residents.pin(stream)
            self._inbox.put(waiting._replace(is_pinned=True))
        else:
            if isinstance(loaded, StoreError) and not isinstance(loaded, ShuttingDown):
                residents.quarantine(stream, str(loaded))
            refuse(waiting.answer, loaded)
