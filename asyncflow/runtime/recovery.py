"""Start-up: every execution that goes on, folded from the journal; the same code loads one later.

There is no second path for crashes: a clean stop and a kill are read alike. What was in flight
is taken up by `runtime/engine`, attempts of this process are declared interrupted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.evolve import evolve, new_state
from asyncflow.errors import AsyncflowError, NotFound, StoreError
from asyncflow.model import events as ev
from asyncflow.model.inputs import StartExecution
from asyncflow.model.resource_events import RESOURCE_STREAMS
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Recorded, Turn, recorded
from asyncflow.runtime.clock import breathe
from asyncflow.runtime.last_touched import NOWHERE, READING, LastTouched
from asyncflow.runtime.loading import Loaded
from asyncflow.runtime.stored_definitions import Known, chunks, fold_catalog, know_definitions
from asyncflow.store.journal import Journal
from asyncflow.store.records import Recovery

CATALOG_STREAM = "catalog"
MESSAGES = "messages:"
"""What the name of a stream begins with that has messages from outside, and no state."""

_SLICE = 1_000  # events folded before others get the loop

History = list[Recorded]


@dataclass(slots=True)
class Recovered:
    """What a start found.

    `states` go on; `behind` are those whose rows in the views are behind; `quarantined` could not
    be read or folded. `removed` were deleted and may have rows in the views still. `starts` are the
    times at which attempts took something of a resource, as far back as turns are held, oldest first.
    `resources` are the whole histories of resources, by stream.
    """

    position: Recovery
    states: dict[str, ExecutionState] = field(default_factory=dict)
    behind: dict[str, ExecutionState] = field(default_factory=dict)
    removed: list[str] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)
    starts: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    resources: dict[str, History] = field(default_factory=dict)


class _Gathered:
    """Histories read from the turns, without those that nobody needs: ended, and shown by the views."""

    def __init__(self, found: Recovered, held: Container[str]) -> None:
        self.histories: dict[str, History] = {}
        self.behind: set[str] = set()
        self.incomplete: set[str] = set()
        self.over: set[str] = set()  # passed over; an open segment of theirs is older than their end
        self._found, self._held = found, held

    def add(self, turn: Turn) -> None:
        at_ms = turn.moment.elapsed_ms
        is_shown = turn.number <= self._found.position.projected_turn
        for stream, first_seq, events in turn.entries:
            if stream.startswith(MESSAGES):
                continue
            if stream in self._held:
                self.over.add(stream)
                continue
            if type(events[-1]) is ev.ExecutionRemoved:
                self._pass_over(stream, is_shown=is_shown)
                continue
            if not is_shown and not stream.startswith(RESOURCE_STREAMS):
                self.behind.add(stream)
            history = self.histories.get(stream)
            if history is None:
                history = self.histories[stream] = []
                if first_seq > 1:
                    self.incomplete.add(stream)
            self._count(events, at_ms)
            history.extend(recorded(first_seq, at_ms, events))
            if is_shown and _closes(events[-1]):
                del self.histories[stream]
                self.over.add(stream)

    def _pass_over(self, stream: str, *, is_shown: bool) -> None:
        """The execution was deleted: whatever older turns say of it concerns nobody."""
        self.histories.pop(stream, None)
        self.behind.discard(stream)
        self.over.add(stream)
        if not is_shown:
            self._found.removed.append(stream)

    def _count(self, events: Sequence[ev.Event], at_ms: int) -> None:
        for event in events:
            if type(event) is ev.AttemptStarted and event.grants:
                for grant in event.grants:
                    self._found.starts[str(grant[0])].append(at_ms)


class _Slices:
    """Says after so many events, whatever they belong to, that others should have the loop."""

    def __init__(self) -> None:
        self._left = _SLICE

    def over_with(self, events: int) -> bool:
        self._left -= events
        if self._left > 0:
            return False
        self._left = _SLICE
        return True


async def recover(
    journal: Journal,
    catalog: DefinitionCatalog,
    held: Container[str] = (),
    *,
    touched: LastTouched = NOWHERE,
) -> Recovered:
    """Fold everything that goes on, and what the views have not seen; nothing of what is held.

    Args:
        touched: is told whose history is folded.

    Raises:
        StoreError: the journal is damaged or of a newer version.

    Cost: linear in the events of open executions and of turns that no segment holds.
    """
    position = await journal.recover()
    found = Recovered(position)
    gathered = _Gathered(found, held)
    slices = _Slices()
    async for batch in journal.read_turns(position.first_turn - 1):
        for turn in batch:
            gathered.add(turn)
            if slices.over_with(sum(len(entry.events) for entry in turn.entries) // 4):
                await breathe()
    gathered.behind.discard(CATALOG_STREAM)
    gathered.incomplete.discard(CATALOG_STREAM)
    histories = gathered.histories
    recent = histories.pop(CATALOG_STREAM, [])
    if not recent or recent[0].seq > 1:
        recent = (await journal.read_streams([CATALOG_STREAM]))[CATALOG_STREAM]
    await fold_catalog(journal, catalog, recent)
    torn = [s for s in gathered.incomplete if s in histories]
    is_over = {CATALOG_STREAM, *(s for s in gathered.over if s not in histories)}
    still_open = [s for s in position.open_streams if s not in is_over and s not in held]
    wanted = dict.fromkeys([*torn, *still_open])
    for chunk in chunks(list(wanted)):
        for stream, older in (await _read(journal, chunk, found, segments_only=True)).items():
            histories[stream] = _joined(older, histories.get(stream, []))
    await _complete(journal, histories, found)
    for stream in [name for name in histories if name.startswith(RESOURCE_STREAMS)]:
        found.resources[stream] = histories.pop(stream)
    known = await know_definitions(journal, catalog, histories.values())
    behind, quarantined = gathered.behind, found.quarantined
    for stream, history in histories.items():
        if not history or stream in quarantined or (stream not in behind and _ended(history)):
            continue
        try:
            state = await fold(stream, history, known, touched=touched)
        except Exception as fault:  # noqa: BLE001 - whatever is wrong with it is wrong with it alone
            quarantined[stream] = f"{type(fault).__name__}: {fault}"
        else:
            _sort_in(found, state, is_behind=stream in behind)
        if slices.over_with(len(history) + 10):
            await breathe()
        history.clear()
    return found


def _sort_in(found: Recovered, state: ExecutionState, *, is_behind: bool) -> None:
    stream = state.execution_id
    if not state.is_ended or state.wanted or state.jobs:
        found.states[stream] = state
    if is_behind:
        found.behind[stream] = state
    else:
        state.changed.clear()


async def _complete(journal: Journal, histories: dict[str, History], found: Recovered) -> None:
    """Read whole the histories whose beginning was passed over: they ended, and were opened again."""
    torn = [s for s, h in histories.items() if h and h[0].seq > 1 and s not in found.quarantined]
    for chunk in chunks(torn):
        histories.update(await _read(journal, chunk, found, segments_only=False))


async def _read(
    journal: Journal, streams: list[str], found: Recovered, *, segments_only: bool
) -> dict[str, History]:
    """What is recorded of the streams; a damaged one is set aside and the others are read."""
    try:
        return await journal.read_streams(streams, segments_only=segments_only)
    except StoreError:
        read: dict[str, History] = {}
        for stream in streams:
            try:
                read.update(await journal.read_streams([stream], segments_only=segments_only))
            except StoreError as damage:
                found.quarantined[stream] = str(damage)
        return read


def _joined(older: History, newer: History) -> History:
    """Segments, then what turns hold beyond them; the two may overlap."""
    last = older[-1].seq if older else 0
    if newer and newer[0].seq > last + 1:
        return newer  # there is more between the two, see `_complete`
    return older + [each for each in newer if each.seq > last]


async def load(journal: Journal, catalog: DefinitionCatalog, stream: str) -> ExecutionState | None:
    """One execution from the journal, or None if nothing is recorded of it.

    Raises:
        StoreError: its history cannot be read.
    """
    found = (await load_many(journal, catalog, [stream]))[stream]
    if isinstance(found, ExecutionState):
        return found
    if isinstance(found, NotFound):
        return None
    raise found


async def load_many(
    journal: Journal, catalog: DefinitionCatalog, streams: Sequence[str], *, touched: LastTouched = NOWHERE
) -> dict[str, Loaded]:
    """Executions from the journal; for one that is not there, or cannot be read, the error.

    Cost: as `Journal.read_streams`, once for all of them.
    """
    try:
        histories = await journal.read_streams(streams)
        known = await know_definitions(journal, catalog, histories.values())
    except StoreError as error:
        if len(streams) == 1:
            return {streams[0]: error}
        one_by_one = [await load_many(journal, catalog, [stream], touched=touched) for stream in streams]
        return {stream: loaded for found in one_by_one for stream, loaded in found.items()}
    found: dict[str, Loaded] = {}
    for stream, history in histories.items():
        if not history or not isinstance(history[0].event, ev.ExecutionStarted):
            found[stream] = NotFound("execution", stream)
            continue
        try:
            state = found[stream] = await fold(stream, history, known, touched=touched)
        except AsyncflowError as error:
            found[stream] = error
        except Exception as fault:  # noqa: BLE001 - as at the start: it concerns this one alone
            found[stream] = StoreError(
                f"execution {stream} cannot be folded: {type(fault).__name__}: {fault}"
            )
        else:
            state.changed.clear()
    return found


async def fold(
    stream: str, history: Sequence[Recorded], known: Known, *, touched: LastTouched = NOWHERE
) -> ExecutionState:
    """The state that a whole history makes; `touched` is told that it is being read.

    Raises:
        StoreError: the history does not begin with its start, or a definition that it needs is not stored.
    """
    first = history[0].event
    if not isinstance(first, ev.ExecutionStarted) or history[0].seq != 1:
        raise StoreError(f"stream {stream} begins with {type(first).__name__} at {history[0].seq}")
    if first.definition not in known.graphs:
        raise StoreError(f"stream {stream}: its definition {first.definition} is missing or damaged")
    state = new_state(stream, known.catalog.graphs, first.definition)
    touched.at(READING, stream)
    for count, (_, at_ms, event) in enumerate(history):
        evolve(state, event, at_ms)
        if count % _SLICE == _SLICE - 1:
            touched.left()
            await breathe()
            touched.at(READING, stream)
    touched.left()
    if state.seq != history[-1].seq:
        raise StoreError(f"stream {stream}: {len(history)} events up to {history[-1].seq}, some are missing")
    for message in state.outbox:
        if isinstance(message.input, StartExecution) and message.graph is None:
            name = message.input.definition
            raise StoreError(
                f"stream {stream}: it starts {message.to}, whose definition {name} is missing or damaged"
            )
    state.dirty.clear()
    return state


def _ended(history: Sequence[Recorded]) -> bool:
    return _closes(history[-1].event)


def _closes(event: ev.Event) -> bool:
    """Whether an execution has ended with this, and nothing that it started outside is left."""
    if type(event) is ev.ExecutionEnded:
        return not event.open_jobs
    return type(event) is ev.JobEnded and event.is_last
