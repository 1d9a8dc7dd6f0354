"""An engine put together: the one place that names concrete classes.

Surfaces ask for a service on a database file and get it, open; leaving the context closes all
in reverse order.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from asyncflow.app.service import Service
from asyncflow.runtime.attempts import LocalFunction
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.engine import Engine, EngineSettings
from asyncflow.store.records import StoreSettings
from asyncflow.store.sqlite import SqliteReader, SqliteStore

MEMORY = ":memory:"


@asynccontextmanager
async def open_service(
    database: str | Path = MEMORY,
    *,
    functions: Mapping[str, LocalFunction] | None = None,
    settings: EngineSettings | None = None,
    store: StoreSettings | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Service]:
    """A service on an engine that owns this database file, or one in memory.

    Raises:
        StoreLocked: another process has the file.
        StoreError: the file cannot be used as it is.

    Durability: that of the store's settings, "full" unless told otherwise.
    """
    async with SqliteStore.open(database, settings=store or StoreSettings()) as opened:
        facts = await opened.facts()
        chosen = settings or EngineSettings()
        if not chosen.installation:
            chosen = replace(chosen, installation=facts.installation_id)
        async with Engine(opened, functions=functions, settings=chosen, clock=clock) as engine:
            yield Service(engine)


def open_reader(database: str | Path) -> SqliteReader:
    """The views of a database file, for reading while an engine runs on it or is down."""
    return SqliteReader.open(database)
