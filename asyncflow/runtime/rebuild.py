"""The views made anew from the journal, as if they had never been written.

For `asyncflow db rebuild`, beside no engine: who calls it owns the store. What rows look like is
`runtime/rows`; an engine keeps them up with `runtime/projection`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import NamedTuple, Protocol

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.errors import NotFound
from asyncflow.model.state import ExecutionState
from asyncflow.runtime import recovery
from asyncflow.runtime.rows import execution_row, task_row
from asyncflow.store.journal import Journal, Views
from asyncflow.store.records import ViewBatch

_ROWS = 5_000
_TOGETHER = 100  # streams read at once: the turn log is decoded once for them
_FORGET = 1_000  # definitions kept compiled


class RebuildStore(Journal, Views, Protocol):
    """A store whose streams can be listed."""

    async def segmented_streams(self, after: str = "", *, limit: int = 10_000) -> list[str]:
        """Names of streams that have segments, in order, those above `after`."""


class Rebuilt(NamedTuple):
    """How many rows the views have now."""

    executions: int
    tasks: int


async def rebuild_views(store: RebuildStore) -> Rebuilt:
    """Empty the views and fill them from the journal.

    Raises:
        StoreError: the journal is damaged; the views are then incomplete, and say that they are: an
            engine's start or another rebuild goes on from there.

    Cost: linear in all events; the memory of a hundred executions at a time.
    """
    position = await store.recover()
    await store.clear_views()
    catalog = DefinitionCatalog()
    executions = tasks = 0
    async for names in _streams(store):
        if len(catalog.graphs) > _FORGET:
            catalog = DefinitionCatalog()
        for state in (await recovery.load_many(store, catalog, names)).values():
            if not isinstance(state, ExecutionState):
                if not isinstance(state, NotFound):
                    raise state
                continue
            executions, tasks = executions + 1, tasks + len(state.tasks)
            for batch in row_batches(state):
                await store.write_views(batch)
    await store.write_views(ViewBatch(position.last_turn, [], [], [], []))
    while await store.index_texts():
        pass
    return Rebuilt(executions, tasks)


async def _streams(store: RebuildStore) -> AsyncIterator[list[str]]:
    """Every stream once, some at a time: those that have segments, and those that only turns hold."""
    seen: set[str] = {recovery.CATALOG_STREAM}
    after = ""
    while names := await store.segmented_streams(after):
        after = names[-1]
        seen.update(names)
        for part in _parts([name for name in names if name != recovery.CATALOG_STREAM]):
            yield part
    async for turns in store.read_turns(0):
        found = dict.fromkeys(entry.stream for turn in turns for entry in turn.entries)
        fresh = [name for name in found if name not in seen]
        seen.update(fresh)
        for part in _parts(fresh):
            yield part


def _parts(names: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(names), _TOGETHER):
        yield names[start : start + _TOGETHER]


def row_batches(state: ExecutionState) -> Iterator[ViewBatch]:
    """The rows of an execution, its tasks first; of turn 0 until all are there."""
    tasks = list(state.tasks.values())
    for start in range(0, len(tasks), _ROWS):
        yield ViewBatch(0, [], [task_row(state, task) for task in tasks[start : start + _ROWS]], [], [])
    yield ViewBatch(0, [execution_row(state)], [], [], [])
