"""The losses of workers elsewhere, recorded as events: listeners are told of `worker.lost`.

It judges nothing: who counts as lost is said by `runtime/worker_watch`, and no task is changed. What is lost
while an engine is killed is found again after the next start.
"""

from __future__ import annotations

import asyncio

from asyncflow.app.identities import draw_execution_id
from asyncflow.ids import task_id
from asyncflow.model.worker_events import WorkerLost
from asyncflow.runtime import worker_roll
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.recovery import MESSAGES

MOST_NAMED = 100
"""Of so many tasks of a lost worker the ids are recorded."""


class WorkerLosses:
    """Records what the roll of workers tells."""

    def __init__(self, engine: Engine) -> None:
        """Record nothing yet."""
        self._engine = engine
        self._stream, self._seq = "", 0

    def open(self) -> None:
        """Begin."""
        self._stream = MESSAGES + draw_execution_id(self._engine.clock.now().wall_ms)
        self._engine.carry.hand_out.roll.listeners.append(self._lost)

    def _lost(self, notice: worker_roll.WorkerLost) -> None:
        turns = self._engine.turns
        if turns.failure is not None or turns.inbox.is_closed:
            return
        named = [str(task_id(*each)) for each in notice.tasks[:MOST_NAMED]]
        event = WorkerLost(notice.worker, notice.reason, len(notice.tasks), named, notice.last_seen_ms)
        self._seq += 1
        # Nobody waits for it: if it is not recorded, the engine stops anyway.
        turns.record_catalog([event], self._stream, self._seq).add_done_callback(_seen)


def _seen(done: asyncio.Future[None]) -> None:
    if not done.cancelled():
        done.exception()
