"""All that a server offers, one object per subject, opened together and closed in reverse.

Surfaces get one `Services` and reach everything by it. A part adds its field here and opens itself
in `open_services`; what the part does is in its own module.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from asyncflow.app.build import MEMORY, open_service
from asyncflow.app.callers import Authenticator
from asyncflow.app.options import Clock, EngineSettings, LocalFunction, StoreSettings
from asyncflow.app.service import Service


@dataclass(slots=True)
class Services:
    """The doors to one engine.

    Attributes:
        executions: definitions and executions.
        keys: who may call; None lets everybody in.
    """

    executions: Service
    keys: Authenticator | None = None


@asynccontextmanager
async def open_services(
    database: str | Path = MEMORY,
    *,
    functions: Mapping[str, LocalFunction] | None = None,
    settings: EngineSettings | None = None,
    store: StoreSettings | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Services]:
    """Everything on an engine that owns this database file, or one in memory.

    Raises:
        StoreLocked: another process has the file.
        StoreError: the file cannot be used as it is.
    """
    async with open_service(
        database, functions=functions, settings=settings, store=store, clock=clock
    ) as executions:
        yield Services(executions)
