"""An engine put together: the one place that names concrete classes.

Surfaces ask for a service on a database file and get it, open; leaving the context closes all
in reverse order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

from asyncflow.app.execution_sweep import sweeping_executions
from asyncflow.app.journaling import journal_files
from asyncflow.app.listeners import Listeners, listening
from asyncflow.app.logbook import Logbook
from asyncflow.app.logbook_sweep import sweeping
from asyncflow.app.service import Service
from asyncflow.errors import StoreError
from asyncflow.runtime.attempts import LocalFunction
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.engine import Engine, EngineSettings
from asyncflow.store.records import StoreSettings
from asyncflow.store.sqlite import SqliteReader, SqliteStore

MEMORY = ":memory:"


@asynccontextmanager
async def open_engine(
    database: str | Path = MEMORY,
    *,
    functions: Mapping[str, LocalFunction] | None = None,
    settings: EngineSettings | None = None,
    store: StoreSettings | None = None,
    clock: Clock | None = None,
    prepare: Callable[[Engine, SqliteStore], None] = lambda _engine, _store: None,
) -> AsyncIterator[tuple[Engine, SqliteStore]]:
    """An engine that owns this database file, or one in memory, and its open store.

    Args:
        prepare: called before anything happens in the engine.

    Raises:
        StoreLocked: another process has the file.
        StoreError: the file cannot be used as it is.

    Durability: that of the store's settings, "full" unless told otherwise.
    """
    async with _opened(database, store or StoreSettings()) as opened:
        facts = await opened.facts()
        chosen = settings or EngineSettings()
        if not chosen.installation:
            drawn = facts.installation
            chosen = replace(chosen, installation=drawn.id, installation_since_ms=drawn.since_ms)
        if chosen.resource_folder is None and database != MEMORY:
            chosen = replace(chosen, resource_folder=_resource_folder(database))
        if database != MEMORY:
            chosen = replace(chosen, touched_file=_touched_file(database))
        engine = Engine(opened, functions=functions, settings=chosen, clock=clock)
        prepare(engine, opened)
        async with engine:
            with sweeping(engine, opened), sweeping_executions(engine, opened):
                yield engine, opened


def _resource_folder(database: str | Path) -> Path:
    """The folder beside a database file that each of its resources has one in."""
    return Path(f"{Path(database).absolute()}.resources")


def _touched_file(database: str | Path) -> Path:
    """The file beside a database file that says what a process was at that died."""
    return Path(f"{Path(database).absolute()}.touched")


@asynccontextmanager
async def open_service(
    database: str | Path = MEMORY,
    *,
    functions: Mapping[str, LocalFunction] | None = None,
    settings: EngineSettings | None = None,
    store: StoreSettings | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Service]:
    """A service on an engine of its own, its listeners at work; the errors are those of `open_engine`."""
    async with (
        journal_files(store) as files,
        open_engine(
            database, functions=functions, settings=settings, store=store, clock=clock, prepare=files.attach
        ) as found,
        listening(Listeners(*found, Logbook(*found))),
        files.kept_up(),
    ):
        found[0].compaction.release()
        yield Service(found[0])


def open_reader(database: str | Path) -> SqliteReader:
    """The views of a database file, for reading while an engine runs on it or is down."""
    return SqliteReader.open(database)


@asynccontextmanager
async def _opened(database: str | Path, settings: StoreSettings) -> AsyncIterator[SqliteStore]:
    """The store; which file it is is said also where only the operating system or SQLite knows the fault."""
    async with AsyncExitStack() as stack:
        try:
            opened = await stack.enter_async_context(SqliteStore.open(database, settings=settings))
        except OSError as error:
            raise StoreError(f"{database}: {error.strerror or error}") from error
        except StoreError as error:
            if type(error) is not StoreError or str(database) in str(error):
                raise
            raise StoreError(f"{database}: {error}") from error
        yield opened
