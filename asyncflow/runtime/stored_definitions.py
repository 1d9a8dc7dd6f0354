"""Definitions as the journal has them: the catalogue folded, and what histories name by hash made ready.

One that is damaged keeps nobody else from starting: who names it cannot be folded and says so. It folds no
executions, see `runtime/recovery`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pydantic_core import from_json

from asyncflow.decide.catalog import DefinitionCatalog, evolve_catalog
from asyncflow.errors import AsyncflowError, StoreError
from asyncflow.model import events as ev
from asyncflow.model.definition import WorkflowDefinition, parse_workflow
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import StartExecution
from asyncflow.model.turn import Recorded
from asyncflow.store.journal import Journal

log = logging.getLogger("asyncflow.recovery")

_READ_TOGETHER = 500  # streams or definitions read in one call
_NAMING = (ev.ExecutionStarted, ev.ExecutionRestarted, ev.DefinitionMigrated, ev.WorkflowRegistered)
_LOOKED_AT = frozenset({*_NAMING, ev.MessageQueued, ev.MessageDelivered})


class Known(NamedTuple):
    """The definitions that histories name, held until these are folded: the catalog keeps none alive."""

    catalog: DefinitionCatalog
    graphs: dict[str, Graph]


async def fold_catalog(journal: Journal, catalog: DefinitionCatalog, history: Sequence[Recorded]) -> None:
    """Fold the catalogue; registered definitions that cannot be read are left out, and named in it."""
    hashes = [r.event.definition for r in history if isinstance(r.event, ev.WorkflowRegistered)]
    names = list(dict.fromkeys(hashes))
    definitions: dict[str, WorkflowDefinition] = {}
    faults: dict[str, str] = {}
    for chunk in chunks(names):
        for name, body in (await _bodies(journal, chunk)).items():
            try:
                definitions[name] = parse_workflow(from_json(body))
            except (AsyncflowError, ValueError) as fault:
                faults[name] = f"{type(fault).__name__}: {fault}"
    for recorded in history:
        event = recorded.event
        if isinstance(event, ev.WorkflowRegistered):
            place = f"{event.name} version {event.version}"
            catalog.unreadable.pop(place, None)
            if event.definition not in definitions:
                catalog.unreadable[place] = faults.get(event.definition, "missing or damaged")
                event = ev.WorkflowUnregistered(event.name, event.version)
        elif isinstance(event, ev.WorkflowUnregistered):
            catalog.unreadable.pop(f"{event.name} version {event.version}", None)
        evolve_catalog(catalog, event, definitions, recorded.at_ms)
    for place, why in catalog.unreadable.items():
        log.error("definition cannot be read", extra={"definition": place, "reason": why})


async def _bodies(journal: Journal, names: list[str]) -> Mapping[str, str]:
    """The stored definitions under these hashes, without those that are damaged."""
    try:
        return await journal.read_definitions(names)
    except StoreError:
        read: dict[str, str] = {}
        for name in names:
            try:
                read.update(await journal.read_definitions([name]))
            except StoreError as error:
                _left_out(name, error)
        return read


def _left_out(name: str, error: Exception) -> None:
    """Tell the log; whoever needs the definition says only that it is missing or damaged."""
    log.error("stored definition left out", extra={"definition": name, "reason": str(error)})


async def know_definitions(
    journal: Journal, catalog: DefinitionCatalog, histories: Iterable[Sequence[Recorded]]
) -> Known:
    """What the histories name by hash, compiled where it is not in memory; a damaged one is left out."""
    named = dict.fromkeys(name for history in histories for name in _named(history))
    present = {name: catalog.graphs.get(name) for name in named}
    known = Known(catalog, {name: graph for name, graph in present.items() if graph is not None})
    for chunk in chunks([name for name, graph in present.items() if graph is None]):
        _add_bodies(known, await _bodies(journal, chunk))
    return known


def named_definitions(events: Iterable[Recorded]) -> Iterator[str]:
    """The hashes that some events of an execution name, those of starts among them; also more than once."""
    for _, _, event in events:
        if isinstance(event, _NAMING):
            yield event.definition
        elif isinstance(event, ev.MessageQueued) and event.kind == StartExecution.__name__:
            yield str(event.fields[0])


def _named(history: Sequence[Recorded]) -> Iterator[str]:
    """The hashes that folding a history needs: of its own definitions, and of starts still queued."""
    queued: deque[ev.MessageQueued] = deque()
    for _, _, event in history:
        if type(event) not in _LOOKED_AT:
            continue
        if isinstance(event, _NAMING):
            yield event.definition
        elif isinstance(event, ev.MessageQueued):
            queued.append(event)
        elif isinstance(event, ev.MessageDelivered) and queued:
            queued.popleft()
    for message in queued:
        if message.kind == StartExecution.__name__:
            yield str(message.fields[0])


def _add_bodies(known: Known, bodies: Mapping[str, str]) -> None:
    """Make stored definitions known under their hashes; who names one that is no definition says so."""
    for name, body in bodies.items():
        try:
            graph = known.catalog.add(parse_workflow(from_json(body)))
        except (AsyncflowError, ValueError) as error:
            _left_out(name, error)
        else:
            known.catalog.graphs[name] = known.graphs[name] = graph


def chunks(names: list[str]) -> Iterator[list[str]]:
    """Names by as many as are read in one call."""
    for start in range(0, len(names), _READ_TOGETHER):
        yield names[start : start + _READ_TOGETHER]
