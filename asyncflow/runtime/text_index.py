"""The full-text index kept up with the views, less than a second behind, in steps that nobody notices.

It only says when; what is indexed is the store's affair. A search of words asks it to catch up first.
"""

from __future__ import annotations

import asyncio
import logging

from asyncflow.errors import StoreError
from asyncflow.runtime.clock import breathe, pause
from asyncflow.store.journal import Views

log = logging.getLogger("asyncflow.texts")

_LATER_S = 0.5  # most executions change their texts twice, at start and end: then it is done once
_AGAIN_S = 5.0  # after the index could not be written


class TextIndex:
    """The pass over texts that changed.

    Attributes:
        passes: steps made so far.
    """

    def __init__(self, views: Views) -> None:
        """Index nothing yet; the first pass looks for what an earlier engine left."""
        self.passes = 0
        self._views = views
        self._wake = asyncio.Event()
        self._wake.set()

    def stir(self) -> None:
        """Rows were written, perhaps with new texts."""
        self._wake.set()

    async def run(self) -> None:
        """Index whenever there is something, for ever; cancelled by the engine's end."""
        while True:
            await self._wake.wait()
            await pause(_LATER_S)
            self._wake.clear()
            try:
                while await self._step():
                    await breathe()
            except StoreError as error:
                log.warning("texts not indexed", extra={"reason": str(error)})
                await pause(_AGAIN_S)
                self._wake.set()

    async def _step(self) -> int:
        reached = await self._views.index_texts()
        self.passes += 1 if reached else 0
        return reached

    async def caught_up(self) -> None:
        """Return when the index has all that the views show now.

        Raises:
            StoreError: it cannot be written.
        """
        newest = await self._views.newest_pending_text()
        while newest:
            reached = await self._step()
            if not reached or reached >= newest:
                return
