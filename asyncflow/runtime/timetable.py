"""Everything that waits for a point in time, on both clocks.

Durations lie on the elapsed clock; a calendar time is set there too, by the offset of the two
clocks, and set anew when somebody moved the wall clock. The wheel itself is `runtime/timers`.
"""

from __future__ import annotations

from asyncflow.model.turn import Moment
from asyncflow.runtime.timers import TimerKey, Wheel

_CLOCK_JUMP_MS = 500


class Timetable:
    """Due times by key; a key that comes due is gone."""

    def __init__(self) -> None:
        """Nothing waits."""
        self._wheel = Wheel()
        self._calendar: dict[TimerKey, int] = {}
        self._offset_ms: int | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._wheel)

    def set(self, key: TimerKey, due_ms: int) -> None:
        """Wait for a moment of the elapsed clock."""
        self._wheel.set(key, due_ms)

    def set_calendar(self, key: TimerKey, due_ms: int, now: Moment) -> None:
        """Wait for a moment of the wall clock."""
        self._calendar[key] = due_ms
        self._wheel.set(key, due_ms - (now.wall_ms - now.elapsed_ms))

    def cancel(self, key: TimerKey) -> None:
        """Wait no more."""
        self._wheel.cancel(key)
        if self._calendar:
            self._calendar.pop(key, None)

    def next_due(self) -> int | None:
        """When to look again, on the elapsed clock; None if nothing waits."""
        return self._wheel.next_due()

    def due(self, now: Moment) -> list[TimerKey]:
        """Everything that has come due, earliest first."""
        if self._calendar:
            self._follow(now)
        found = self._wheel.due(now.elapsed_ms)
        if not self._calendar:
            return found
        return [key for key in found if self._has_come(key, now)]

    def _follow(self, now: Moment) -> None:
        """Set calendar times anew after the wall clock was moved against the elapsed one."""
        offset = now.wall_ms - now.elapsed_ms
        if self._offset_ms is None or abs(offset - self._offset_ms) > _CLOCK_JUMP_MS:
            self._offset_ms = offset
            for key, due_ms in self._calendar.items():
                self._wheel.set(key, due_ms - offset)

    def _has_come(self, key: TimerKey, now: Moment) -> bool:
        """Whether the wall clock agrees; where it is behind by a little, the key waits on."""
        due_ms = self._calendar.get(key)
        if due_ms is None:
            return True
        if now.wall_ms < due_ms:
            self._wheel.set(key, now.elapsed_ms + due_ms - now.wall_ms)
            return False
        del self._calendar[key]
        return True
