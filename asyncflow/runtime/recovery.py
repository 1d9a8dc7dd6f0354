"""Start-up: every execution that goes on, folded from the journal; the same code loads one later.

There is no second path for crashes: a clean stop and a kill are read alike. What was in flight
is taken up by `runtime/carry`, attempts of this process are declared interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic_core import from_json

from asyncflow.decide.catalog import DefinitionCatalog, evolve_catalog
from asyncflow.decide.evolve import evolve, new_state
from asyncflow.errors import StoreError
from asyncflow.model import events as ev
from asyncflow.model.definition import parse_workflow
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Recorded
from asyncflow.store.journal import Journal
from asyncflow.store.records import Recovery

CATALOG_STREAM = "catalog"

_SLICE = 2_000  # events folded before others get the loop
_STREAMS = 500  # streams read in one call
_NAMING = (ev.ExecutionStarted, ev.ExecutionRestarted, ev.DefinitionMigrated, ev.WorkflowRegistered)


@dataclass(slots=True)
class Recovered:
    """What a start found: live executions, those whose rows in the views are behind, quarantined ones."""

    position: Recovery
    states: dict[str, ExecutionState] = field(default_factory=dict)
    behind: dict[str, ExecutionState] = field(default_factory=dict)
    quarantined: dict[str, str] = field(default_factory=dict)


async def recover(journal: Journal, catalog: DefinitionCatalog) -> Recovered:
    """Fold everything that goes on, and what the views have not seen.

    Raises:
        StoreError: the journal is damaged or of a newer version.

    Cost: linear in the events of open executions and of turns that no segment holds.
    """
    position = await journal.recover()
    found = Recovered(position)
    histories: dict[str, list[Recorded]] = {}
    behind: set[str] = set()
    async for batch in journal.read_turns(position.first_turn - 1):
        for turn in batch:
            for entry in turn.entries:
                at_ms = turn.moment.elapsed_ms
                history = histories.setdefault(entry.stream, [])
                history += [Recorded(entry.first_seq + i, at_ms, e) for i, e in enumerate(entry.events)]
                if turn.number > position.projected_turn:
                    behind.add(entry.stream)
    await _fold_catalog(journal, catalog, histories.pop(CATALOG_STREAM, []))
    behind.discard(CATALOG_STREAM)
    partial = [s for s, h in histories.items() if h[0].seq > 1]
    wanted = dict.fromkeys([*partial, *(s for s in position.open_streams if s != CATALOG_STREAM)])
    for chunk in _chunks(list(wanted)):
        for stream, older in (await _segments(journal, chunk, found)).items():
            histories[stream] = _joined(older, histories.get(stream, []))
    todo = {
        s: h
        for s, h in histories.items()
        if h and s not in found.quarantined and (s in behind or not _ended(h))
    }
    await _know_definitions(journal, catalog, todo.values())
    for stream, history in todo.items():
        try:
            state = await fold(stream, history, catalog)
        except Exception as fault:  # noqa: BLE001 - one damaged history must not keep all from starting
            found.quarantined[stream] = f"{type(fault).__name__}: {fault}"
            continue
        if not state.is_ended or state.wanted:
            found.states[stream] = state
        if stream in behind:
            found.behind[stream] = state
    return found


async def _segments(journal: Journal, streams: list[str], found: Recovered) -> dict[str, list[Recorded]]:
    """What segments hold of the streams; a damaged one is set aside and the others are read."""
    try:
        return await journal.read_streams(streams, segments_only=True)
    except StoreError:
        read: dict[str, list[Recorded]] = {}
        for stream in streams:
            try:
                read.update(await journal.read_streams([stream], segments_only=True))
            except StoreError as damage:
                found.quarantined[stream] = str(damage)
        return read


def _joined(older: list[Recorded], newer: list[Recorded]) -> list[Recorded]:
    """Segments, then what turns hold beyond them; the two may overlap."""
    last = older[-1].seq if older else 0
    return older + [recorded for recorded in newer if recorded.seq > last]


async def load(journal: Journal, catalog: DefinitionCatalog, stream: str) -> ExecutionState | None:
    """One execution from the journal, or None if nothing is recorded of it."""
    history = (await journal.read_streams([stream]))[stream]
    if not history or not isinstance(history[0].event, ev.ExecutionStarted):
        return None
    await _know_definitions(journal, catalog, [history])
    return await fold(stream, history, catalog)


async def fold(stream: str, history: Sequence[Recorded], catalog: DefinitionCatalog) -> ExecutionState:
    """The state that a whole history makes.

    Raises:
        StoreError: the history does not begin with its start.
    """
    first = history[0].event
    if not isinstance(first, ev.ExecutionStarted):
        raise StoreError(f"stream {stream} begins with {type(first).__name__}, not with ExecutionStarted")
    state = new_state(stream, catalog.graphs, first.definition)
    for count, recorded in enumerate(history):
        evolve(state, recorded.event, recorded.at_ms)
        if count % _SLICE == _SLICE - 1:
            await asyncio.sleep(0)
    state.dirty.clear()
    return state


async def _fold_catalog(journal: Journal, catalog: DefinitionCatalog, recent: list[Recorded]) -> None:
    history = recent
    if not recent or recent[0].seq > 1:
        history = (await journal.read_streams([CATALOG_STREAM]))[CATALOG_STREAM]
    hashes = [r.event.definition for r in history if isinstance(r.event, ev.WorkflowRegistered)]
    bodies = await journal.read_definitions(list(dict.fromkeys(hashes)))
    definitions = {name: parse_workflow(from_json(body)) for name, body in bodies.items()}
    for recorded in history:
        evolve_catalog(catalog, recorded.event, definitions)


async def _know_definitions(
    journal: Journal, catalog: DefinitionCatalog, histories: Iterable[Sequence[Recorded]]
) -> None:
    """Compile what the histories name by hash and the catalog does not hold yet."""
    named = {r.event.definition for h in histories for r in h if isinstance(r.event, _NAMING)}
    missing = [name for name in named if name not in catalog.graphs]
    for chunk in _chunks(missing):
        add_bodies(catalog, await journal.read_definitions(chunk))


def add_bodies(catalog: DefinitionCatalog, bodies: Mapping[str, str]) -> None:
    """Make stored definitions known under the hashes they are stored under."""
    for name, body in bodies.items():
        graph = catalog.add(parse_workflow(from_json(body)))
        catalog.graphs[name] = graph


def _ended(history: Sequence[Recorded]) -> bool:
    return isinstance(history[-1].event, ev.ExecutionEnded)


def _chunks(streams: list[str]) -> Iterable[list[str]]:
    for start in range(0, len(streams), _STREAMS):
        yield streams[start : start + _STREAMS]
