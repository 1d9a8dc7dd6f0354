"""Whether a task's data volume is unusual: looked at when it has completed, told as an event.

Off unless the configuration gives a factor, and then nothing waits for it: what ends faster than it is looked
at is passed over and counted. What an engine that was killed had not looked at yet is not looked at again.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from typing import NamedTuple

from asyncflow.app.identities import draw_execution_id
from asyncflow.app.volumes import Volumes, unusual, usual
from asyncflow.errors import AsyncflowError, ShuttingDown
from asyncflow.ids import task_id
from asyncflow.model.events import IoUnusual, TaskEnded
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.turn import Turn
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.open_turn import OpenTurn
from asyncflow.runtime.recovery import MESSAGES
from asyncflow.runtime.rows import io_bytes

log = logging.getLogger("asyncflow.volumes")

_MOST_WAITING = 10_000
_MOST_TASKS = 2_000  # whose last runs are in memory
_AT_ONCE = 200
_MEASURES = {
    "inputBytes": ("in", "bytes"),
    "outputBytes": ("out", "bytes"),
    "bytesIn": ("in", "told_bytes"),
    "bytesOut": ("out", "told_bytes"),
    "rowsIn": ("in", "rows"),
    "rowsOut": ("out", "rows"),
}


class _Ended(NamedTuple):
    """A task that completed: where, and the sizes of its input and output."""

    workflow: str
    ref: str
    execution_id: str
    number: int
    measured: dict[str, int]

    @property
    def task_id(self) -> str:
        return task_id(self.execution_id, self.number)


class VolumeWatch:
    """Looks at every task that completes, if the engine's settings say so.

    Attributes:
        unusual: by workflow, how often something was.
        passed_over: tasks that were not looked at, as too many ended at once.
    """

    def __init__(self, engine: Engine, volumes: Volumes) -> None:
        """Look at nothing yet."""
        self.unusual: Counter[str] = Counter()
        self.passed_over = 0
        self._engine, self._volumes = engine, volumes
        self._rule = engine.settings.io
        self._ended: deque[_Ended] = deque()
        self._last: OrderedDict[tuple[str, str], deque[Mapping[str, int]]] = OrderedDict()
        self._wake = asyncio.Event()
        self._stream, self._seq = "", 0

    def open(self) -> None:
        """Begin."""
        if self._rule.factor <= 0:
            return
        self._stream = MESSAGES + draw_execution_id(self._engine.clock.now().wall_ms)
        self._engine.turns.listeners.append(self._turn)
        self._engine.supervisor.start("volumes", self._run)

    def _turn(self, _turn: OpenTurn, record: Turn) -> None:
        """A turn is durable."""
        states = self._engine.turns.states
        for stream, _, events in record.entries:
            state = states.get(stream)
            if state is None:
                continue
            for event in events:
                if type(event) is not TaskEnded or event.status != COMPLETED:
                    continue
                task = state.tasks.get(event.number)
                if task is None or not task.starts:
                    continue  # an operator, or gone already
                if len(self._ended) >= _MOST_WAITING:
                    self.passed_over += 1
                    continue
                given, made = io_bytes(task)
                ref = task.ref.removesuffix(task.suffix)
                sizes = {"inputBytes": given, "outputBytes": made}
                self._ended.append(_Ended(state.name, ref, stream, event.number, sizes))
                self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ended:
                batch = [self._ended.popleft() for _ in range(min(_AT_ONCE, len(self._ended)))]
                try:
                    await self._look_at(batch)
                except ShuttingDown:
                    return await asyncio.Event().wait()  # type: ignore[return-value]  # the engine's end cancels it
                except AsyncflowError as error:  # the store, or too many queries
                    self.passed_over += len(batch)
                    log.warning("volumes not looked at", extra={"reason": str(error)})

    async def _look_at(self, batch: list[_Ended]) -> None:
        told = await self._volumes.told([each.task_id for each in batch])
        new = {each.task_id for each in batch}
        for each in batch:
            measured = {**each.measured, **told.get(each.task_id, {})}
            last = await self._last_runs(each, new)
            if len(last) >= self._rule.least_runs:
                self._compare(each, measured, usual(last))
            last.append(measured)

    async def _last_runs(self, ended: _Ended, new: set[str]) -> deque[Mapping[str, int]]:
        key = ended.workflow, ended.ref
        known = self._last.get(key)
        if known is None:
            known = deque(maxlen=self._rule.runs)
            runs = await self._volumes.runs(*key, count=self._rule.runs + len(new) + len(self._ended))
            waiting = new | {each.task_id for each in self._ended}
            earlier = [
                run.measured
                for run in runs
                if run.task_id not in waiting and run.facts["status"] == COMPLETED
            ]
            known += reversed(earlier[: self._rule.runs])
            self._last[key] = known
            if len(self._last) > _MOST_TASKS:
                self._last.popitem(last=False)
        self._last.move_to_end(key)
        return known

    def _compare(self, ended: _Ended, measured: Mapping[str, int], before: Mapping[str, int]) -> None:
        factor = self._rule.factor
        for name in unusual(measured, before, factor):
            self._engine.turns.check_open()
            direction, measure = _MEASURES[name]
            value, known = measured[name], before[name]
            event = IoUnusual(
                ended.execution_id, ended.number, direction, measure, value, known, float(factor)
            )
            self._seq += 1
            self.unusual[ended.workflow] += 1
            # Nobody waits for it: if it is not recorded, the engine stops anyway.
            self._engine.turns.record_catalog([event], self._stream, self._seq).add_done_callback(_seen)


def _seen(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()
