"""Who is in memory: live executions, and for a while those that have ended.

An execution that ended leaves once others have ended after it, unless somebody still needs it
here. Absent ones are loaded by `runtime/loading`; nothing here reads or decides.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from asyncflow.model.quarantine import Quarantined, QuarantineKind
from asyncflow.model.state import ExecutionState

_MOST_READ = 20_000  # records of executions that were loaded to be looked at


class Residents:
    """The states in memory, by execution.

    Attributes:
        states: all of them; changed only here.
        quarantined: executions that were set aside, and why; none of them is in `states`.
    """

    def __init__(self, *, keep_ended: int, wall_ms: Callable[[], int]) -> None:
        """Nobody is here; `keep_ended` executions stay after their end for those who ask right after."""
        self.states: dict[str, ExecutionState] = {}
        self.quarantined: dict[str, Quarantined] = {}
        self._wall_ms = wall_ms
        self._ended: dict[str, ExecutionState] = {}
        self._read: dict[str, ExecutionState] = {}
        self._pins: dict[str, int] = {}
        self._keep_ended = keep_ended

    def add(self, state: ExecutionState) -> None:
        """An execution was started or loaded."""
        self._read.pop(state.execution_id, None)
        self.states[state.execution_id] = state

    def keep_read(self, state: ExecutionState) -> None:
        """An ended execution was loaded for somebody who looks, and may look again, or have it changed.

        It is as it is recorded until it is brought into memory to be changed, which `add` tells.
        """
        self._read[state.execution_id] = state
        while len(self._read) > self._keep_ended or (
            len(self._read) > 1 and sum(len(each.tasks) for each in self._read.values()) > _MOST_READ
        ):
            del self._read[next(iter(self._read))]

    def was_read(self, stream: str) -> ExecutionState | None:
        """The same, if it was one of the last."""
        return self._read.get(stream)

    def ended(self, states: dict[str, ExecutionState]) -> None:
        """These have ended, durably; they may leave some time."""
        for stream, state in states.items():
            if state.is_ended:
                self._ended.pop(stream, None)  # the newest end stands last
                self._ended[stream] = state

    def pin(self, stream: str) -> None:
        """Keep this execution here, if it is, until as many `unpin`."""
        self._pins[stream] = self._pins.get(stream, 0) + 1

    def unpin(self, stream: str) -> None:
        """One who needed it here needs it no more."""
        left = self._pins.pop(stream, 1) - 1
        if left:
            self._pins[stream] = left

    def let_go(self, unsettled: Container[str], left: Callable[[str], None]) -> None:
        """Forget those that ended a while ago and that nobody needs; `left` is told of each.

        `unsettled` are streams with events that are not durable yet: what is read of them from
        the journal would be too old.
        """
        surplus = len(self._ended) - self._keep_ended
        if surplus <= 0:
            return
        for stream in [*self._ended][:surplus]:
            state = self._ended[stream]
            if stream in self._pins or stream in unsettled:
                continue
            del self._ended[stream]
            if state.is_ended and not state.outbox and not state.jobs and self.states.get(stream) is state:
                del self.states[stream]
                left(stream)

    def remove(self, stream: str) -> None:
        """An execution was deleted, durably."""
        self._read.pop(stream, None)
        self.states.pop(stream, None)
        self._ended.pop(stream, None)

    def quarantine(self, stream: str, reason: str, *, kind: QuarantineKind = "unreadable") -> None:
        """Set an execution aside; see `runtime/quarantine` for the way back."""
        known = self.quarantined.get(stream)
        since_ms = self._wall_ms() if known is None else known.since_ms
        self.quarantined[stream] = Quarantined(kind, reason, since_ms)
        self._read.pop(stream, None)
        self.states.pop(stream, None)
        self._ended.pop(stream, None)
