"""The audit and the firings of schedules kept within their bounds: trimmed now and then, in small parts.

It deletes nothing of executions: logs of tasks go with those, and lines of no task after a day. What is kept
is said in `[logbook]` of the configuration, how it is deleted in `store/logbook_trim`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from asyncflow.errors import ShuttingDown, StoreError
from asyncflow.runtime.clock import pause
from asyncflow.runtime.engine import Engine
from asyncflow.store.log_records import Logs

log = logging.getLogger("asyncflow.logs")

_EVERY_S = 600.0
_BETWEEN_S = 0.02  # two parts, so that turns go first


class LogbookSweep:
    """Trims what an engine's settings do not keep.

    Attributes:
        removed: entries and firings that were deleted since the start.
    """

    def __init__(self, engine: Engine, logs: Logs) -> None:
        """Delete nothing yet."""
        self.removed = 0
        self._engine, self._logs = engine, logs

    async def run(self) -> None:
        """Sweep for ever; cancelled by the engine's end."""
        while True:
            try:
                await self.sweep()
            except (StoreError, ShuttingDown) as error:
                log.warning("logbook not swept", extra={"reason": str(error)})
            await pause(_EVERY_S)

    async def sweep(self) -> int:
        """Delete all that is beyond what is kept now, and say how much it was.

        Raises:
            StoreError: it cannot be read or written; what was deleted stays so.
        """
        now_ms = self._engine.clock.now().wall_ms
        before = self.removed
        for surplus in await self._logs.find_surplus(self._engine.settings.logbook, now_ms):
            while gone := await self._logs.trim(surplus):
                self.removed += gone if surplus.of != "late" else 0
                await pause(_BETWEEN_S)
        if self.removed > before:
            log.info("logbook swept", extra={"rows": self.removed - before})
        return self.removed - before


@contextmanager
def sweeping(engine: Engine, logs: Logs) -> Iterator[LogbookSweep]:
    """The logbook of an engine kept within its bounds, while the engine goes on."""
    sweep = LogbookSweep(engine, logs)
    engine.supervisor.start("logbook", sweep.run)
    yield sweep
