"""A start that follows crashes: what killed process after process is set aside, and everything else runs.

It decides by what `last_touched` found; where one that is set aside is listed, and how it is let go on, is
`runtime/quarantine`.
"""

from __future__ import annotations

from asyncflow.model.quarantine import Quarantined
from asyncflow.model.state import ExecutionState
from asyncflow.runtime.last_touched import READING, Death, LastTouched
from asyncflow.store.journal import Quarantines

_INTERRUPTED = "INTERRUPTED"


class CrashGuard:
    """Looks at the deaths before this start, once before histories are read and once after."""

    def __init__(self, touched: LastTouched, store: Quarantines, limit: int, now_ms: int) -> None:
        """`limit` deaths in a row are one too many; with 0 nobody is set aside."""
        self._touched, self._store = touched, store
        self._limit, self._now_ms = limit, now_ms

    async def hold_unreadable(self) -> None:
        """Set aside whose history could not be read without dying. Raises as `Quarantines.hold`."""
        for stream, death in [*self._touched.deaths.items()]:
            if death.at == READING.decode() and self._is_deadly(death):
                await self._hold(stream, death)

    async def hold_deadly(self, states: dict[str, ExecutionState]) -> dict[str, Quarantined]:
        """Take out of the states those that processes died of in deciding or performing; which, and why.

        An execution that came further since the death before counts from one again. Raises as
        `Quarantines.hold`.

        Cost: in the tasks of the executions that the last process was at.
        """
        held: dict[str, Quarantined] = {}
        for stream, death in [*self._touched.deaths.items()]:
            state = states.get(stream)
            if state is None:
                continue
            now = _progress(state)
            counted = death._replace(times=death.times if death.progress in {-1, now} else 1, progress=now)
            self._touched.deaths[stream] = counted
            if self._is_deadly(counted):
                held[stream] = await self._hold(stream, counted)
                del states[stream]
        self._touched.remember()
        return held

    def _is_deadly(self, death: Death) -> bool:
        return 0 < self._limit <= death.times

    async def _hold(self, stream: str, death: Death) -> Quarantined:
        why = Quarantined("crash", death.told, self._now_ms)
        await self._store.hold(stream, why)
        del self._touched.deaths[stream]  # once it is released it counts from one again
        return why


def _progress(state: ExecutionState) -> int:
    """A number that only what a start does by itself leaves as it is: a task that ended, a reset."""
    ended = sum(task.is_ended and task.state != _INTERRUPTED for task in state.tasks.values())
    return (state.epoch << 32) + ended
