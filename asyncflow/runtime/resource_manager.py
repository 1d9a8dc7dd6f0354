"""The manager of one resource: made of its settings, opened, tried again while that fails, closed.

It knows nothing of instances or jobs. Who asks what of a manager is `runtime/resource_keeper` and
`runtime/jobs`; while there is none, `trouble` says why.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

from asyncflow.model.resource_settings import LIMIT, ResourceSettings
from asyncflow.plugins.resources import ResourceContext, ResourceManager
from asyncflow.plugins.settings import read_config
from asyncflow.runtime.resource_calls import readable

log = logging.getLogger("asyncflow.resources")

OPEN_TIMEOUT_S = 30.0
_FIRST_MS, _LAST_MS = 1_000, 60_000
_DIGITS = 32

Kinds = Mapping[str, type[ResourceManager]]


def folder_of(root: Path | None, name: str) -> Path | None:
    """The folder of a resource: of digits, so that no name of a user's is ever a path."""
    return None if root is None else root / hashlib.sha256(name.encode()).hexdigest()[:_DIGITS]


def _make(folder: Path) -> None:
    """Make it for this user alone, and the one that all are in."""
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)


class ManagerHolder:
    """One manager, or why there is none.

    Attributes:
        manager: open, or None.
        trouble: why there is none; "" where there is one, or none is needed.
        retry_ms: when it is to be opened again; 0 while it is open, or is being opened.
        is_opening: whether it is being opened.
        is_closed: nobody wants it any more; one that is open by then is closed at once.
    """

    def __init__(self, context: ResourceContext, settings: ResourceSettings, kinds: Kinds) -> None:
        """Open nothing yet."""
        self.kind = kinds.get(settings.type)
        self.manager: ResourceManager | None = None
        self.is_opening = self.is_closed = False
        self.retry_ms = 0
        self.tries = 0
        self._made: ResourceManager | None = None  # from its making on, as one may be half open
        self._context, self._settings = context, settings
        self.trouble = self._before()

    def _before(self) -> str:
        if self.kind is not None:
            return "it is being opened"
        return "" if self._settings.type == LIMIT else f"no plugin brings the type {self._settings.type}"

    @property
    def is_ready(self) -> bool:
        """Whether what is needed is there; a limit needs nothing."""
        return self.manager is not None or (self.kind is None and not self.trouble)

    @property
    def is_broken(self) -> bool:
        """Whether no plugin brings it, or it could not be opened when that was last tried."""
        return not self.is_ready and (self.kind is None or self.tries > 0)

    async def open(self, secrets: Mapping[str, str], now_ms: int) -> None:
        """Make and open it; where that fails, say when to try again."""
        if self.kind is None or self.manager is not None or self.is_opening:
            return
        self.is_opening = True
        try:
            place = f"resources.{self._context.name}"
            config = read_config(self.kind.Config, self._settings.config, place=place, secrets=secrets)
            if self._context.folder is not None:
                await asyncio.to_thread(_make, self._context.folder)
            self._made = made = self.kind(config, self._context)
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await made.open()
        except Exception as error:  # noqa: BLE001 - of a plugin; the resource is shut and tried again
            self.trouble = f"it cannot be opened: {readable(error)}"
            self.tries += 1
            self.retry_ms = now_ms + min(_LAST_MS, _FIRST_MS << min(self.tries - 1, 6))
            log.warning("resource not opened", extra={"resource": self._context.name, "reason": self.trouble})
            await self._end()
        else:
            self.manager, self.trouble, self.retry_ms, self.tries = made, "", 0, 0
        finally:
            self.is_opening = False
        if self.is_closed:
            await self.close()

    async def close(self) -> None:
        """Close it, also where opening it was broken off; what runs outside goes on.

        One that is just being opened is closed when it is.
        """
        self.is_closed, self.manager = True, None
        if not self.is_opening:
            await self._end()

    async def _end(self) -> None:
        manager, self._made = self._made, None
        if manager is None:
            return
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await manager.close()
        except Exception as error:  # noqa: BLE001 - of a plugin; there is nothing more to be done with it
            log.warning(
                "resource not closed", extra={"resource": self._context.name, "reason": readable(error)}
            )
