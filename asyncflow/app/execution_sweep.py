"""Executions removed that are kept no longer, a few at a time, after they were copied into an archive.

What is kept is said in `[retention]`; which executions are beyond it is found by `store/retention`. Each is
removed by the command that a person would give, which refuses what still goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from asyncflow.app.archiving import copy_executions
from asyncflow.errors import AsyncflowError, Conflict, NotFound, Refused, StoreError
from asyncflow.model.retention import FOR_EVER, ExecutionRetention
from asyncflow.runtime import removing
from asyncflow.runtime.clock import pause
from asyncflow.runtime.engine import Engine
from asyncflow.store.retention import Expired
from asyncflow.store.sqlite import SqliteStore

log = logging.getLogger("asyncflow.retention")

_EVERY_S = 60.0
_BETWEEN_S = 0.05  # two batches, so that others go first
_DAY_MS = 86_400_000
_REASON = "retention"


class ExecutionSweep:
    """Removes what an engine's settings do not keep.

    Attributes:
        removed: executions that were removed since the start.
    """

    def __init__(self, engine: Engine, store: SqliteStore, rules: ExecutionRetention) -> None:
        """Remove nothing yet."""
        self.removed = 0
        self._engine, self._store, self._rules = engine, store, rules

    async def run(self) -> None:
        """Sweep for ever; cancelled by the engine's end."""
        while True:
            try:
                await self.sweep()
            except AsyncflowError as error:
                log.warning("executions not swept", extra={"reason": str(error)})
            await pause(_EVERY_S)

    async def sweep(self) -> int:
        """Remove all that is kept no longer now, and say how many executions it was.

        Raises:
            StoreError: it cannot be read or written, or not be archived; what was removed stays so.
        """
        before = self.removed
        for name in await self._store.workflow_names():
            kept = self._rules.of(name)
            if kept != FOR_EVER:
                now_ms = self._engine.clock.now().wall_ms
                life_ms = round(self._engine.settings.idempotency_life_s * 1000)
                ended_ms = now_ms - round(kept.days * _DAY_MS) if kept.days else 0
                await self._sweep(Expired(name, ended_ms, kept.executions, now_ms - life_ms))
        if self.removed > before:
            log.info("executions swept", extra={"executions": self.removed - before})
        return self.removed - before

    async def _sweep(self, wanted: Expired) -> None:
        """One workflow, batch by batch; what is refused is passed over."""
        while found := await self._store.find_expired(wanted):
            # Together: they are loaded in one reading, and go in few turns.
            gone = sum(await asyncio.gather(*map(self._remove, await self._archived(found))))
            await self._engine.views_caught_up()
            self.removed += gone
            wanted = wanted._replace(passed=wanted.passed + len(found) - gone)
            await pause(_BETWEEN_S)

    async def _archived(self, found: list[str]) -> list[str]:
        """Those of them that may go: all, or those that were copied into the archive."""
        archive = self._rules.archive
        streams = [stream for stream in found if stream not in self._engine.turns.quarantined]
        if archive is None or not streams:
            return streams
        async with SqliteStore.open(archive) as target:
            try:
                await copy_executions(self._store, target, streams)
            except (StoreError, Conflict):
                return await self._one_by_one(target, streams)
        return streams

    async def _one_by_one(self, target: SqliteStore, streams: list[str]) -> list[str]:
        """One that cannot be read holds up no other; where none can be copied the archive is to blame."""
        copied: list[str] = []
        fault: StoreError | Conflict | None = None
        for stream in streams:
            try:
                await copy_executions(self._store, target, [stream])
            except (StoreError, Conflict) as error:
                fault = error
                log.warning("execution not archived", extra={"execution": stream, "reason": str(error)})
            else:
                copied.append(stream)
        if fault is not None and not copied:
            raise StoreError(f"nothing can be archived: {fault}") from fault
        return copied

    async def _remove(self, stream: str) -> bool:
        engine = self._engine
        try:
            await removing.delete(engine.reading, engine.turns, stream, reason=_REASON)
        except (NotFound, Refused) as refusal:
            log.debug("execution stays", extra={"execution": stream, "reason": str(refusal)})
            return False
        return True


@contextmanager
def sweeping_executions(engine: Engine, store: SqliteStore) -> Iterator[ExecutionSweep]:
    """Executions removed that are kept no longer, while the engine goes on; nothing where all are kept."""
    rules = engine.settings.retention
    sweep = ExecutionSweep(engine, store, rules)
    if rules.removes:
        engine.supervisor.start("retention", sweep.run)
    yield sweep
