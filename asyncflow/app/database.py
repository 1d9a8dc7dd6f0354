"""What the surfaces do with a database file that no engine of theirs has open.

Reading works beside a running engine; what writes takes the file's lock. Nothing here starts or
changes an execution. Read `store/maintenance` for the promises of each copy and check.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from asyncflow.app.build import open_reader
from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.render import render_execution
from asyncflow.errors import NotFound, StoreError
from asyncflow.model.values import JsonObject
from asyncflow.runtime import recovery
from asyncflow.runtime.rebuild import Rebuilt, rebuild_views
from asyncflow.store import maintenance
from asyncflow.store.maintenance import backup, migrate, vacuum
from asyncflow.store.records import Condition, ExecutionRow, Page, StoreFacts, TaskRow
from asyncflow.store.sqlite import SqliteReader, SqliteStore

__all__ = [
    "ExecutionFilter",
    "backup",
    "check",
    "facts",
    "list_executions",
    "list_tasks",
    "migrate",
    "read_execution",
    "reading",
    "rebuild",
    "vacuum",
]


class ExecutionFilter(NamedTuple):
    """Which executions are listed; empty means any. Those of sub-workflows only `with_children`."""

    name: str = ""
    statuses: tuple[str, ...] = ()
    correlation_id: str = ""
    with_children: bool = False

    def conditions(self) -> list[Condition]:
        """The same as conditions on the view."""
        found: list[Condition] = []
        if self.name:
            found.append(Condition("name", "=", (self.name,)))
        if self.statuses:
            found.append(Condition("status", "in", self.statuses))
        if self.correlation_id:
            found.append(Condition("correlation_id", "=", (self.correlation_id,)))
        if not self.with_children:
            found.append(Condition("parent_id", "=", ("",)))
        return found


async def list_executions(
    path: str | Path, chosen: ExecutionFilter, *, limit: int, offset: int = 0
) -> tuple[list[ExecutionRow], int]:
    """Executions, newest start first, and how many there are in all.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    conditions = chosen.conditions()
    async with reading(path) as reader:
        rows = await reader.list_executions(conditions, Page(limit, offset))
        return rows, await reader.count_executions(conditions)


async def list_tasks(path: str | Path, execution_id: str) -> list[TaskRow]:
    """The task records of an execution in the order users see.

    Raises:
        NotFound: there is no such execution.
        StoreError: there is no such file, or it cannot be read.
    """
    async with reading(path) as reader:
        if await reader.execution_row(execution_id) is None:
            raise NotFound("execution", execution_id)
        rows = await reader.task_rows(execution_id)
    return sorted(rows, key=lambda row: (row.seq, row.number))


async def read_execution(path: str | Path, execution_id: str) -> JsonObject:
    """An execution in Conductor's Workflow shape, folded from the journal itself.

    Raises:
        NotFound: there is no such execution.
        StoreError: there is no such file, or it cannot be read.
    """
    async with reading(path) as reader:
        state = await recovery.load(reader, DefinitionCatalog(), execution_id)  # type: ignore[arg-type]  # it only reads
    if state is None:
        raise NotFound("execution", execution_id)
    return render_execution(state, include_definition=True)


async def facts(path: str | Path) -> StoreFacts:
    """What there is to know of a file without reading its content.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    async with reading(path) as reader:
        return await reader.facts()


async def check(path: str | Path) -> list[str]:
    """Everything that is wrong with a file, worst first; empty if it is sound.

    Raises:
        StoreError: there is no such file, or it cannot even be opened.
    """
    async with reading(path) as reader:
        return await reader.find_faults()


def reading(path: str | Path) -> SqliteReader:
    """A reader of a file that is there: SQLite's own words for one that is not name nothing."""
    if not Path(path).is_file():
        raise StoreError(f"there is no database {path}")
    return open_reader(path)


async def rebuild(path: str | Path) -> Rebuilt:
    """Make the views anew from the journal and give their numbers of executions and tasks.

    Raises:
        StoreLocked: an engine holds the file.
        StoreError: the journal is damaged; the views are then incomplete, and an engine's start or
            another rebuild is needed.

    Cost: as `rebuild_views`.
    """
    await maintenance.migrate(path)  # refuses a file that does not exist, which opening would make
    async with SqliteStore.open(path) as store:
        return await rebuild_views(store)
