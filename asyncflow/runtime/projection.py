"""Views kept up with the journal: what changed, as rows, a fifth of a second behind at most.

Rows are made at the end of a turn, where the state is exactly what the turn makes true, and
written after its commit. Nothing waits for a view except those who ask SQL; see `caught_up`. The
rows themselves are in `runtime/rows`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from itertools import islice

from asyncflow.errors import StoreError
from asyncflow.ids import task_id
from asyncflow.model.state import ExecutionState
from asyncflow.runtime import points
from asyncflow.runtime.clock import comes_within
from asyncflow.runtime.rows import execution_row, task_row
from asyncflow.store.journal import Views
from asyncflow.store.records import ExecutionRow, TaskRow, ViewBatch

__all__ = ["Projection", "execution_row", "task_row"]

log = logging.getLogger("asyncflow.projection")

_EVERY_S = 0.1
_AGAIN_S = 1.0  # after the views could not be written
_ROWS = 2_000  # rows made at a time: some 10 ms of the loop
_WRITTEN = (
    200  # executions, or rows of tasks, written at a time: turns wait no longer than some 5 ms for them
)
_UNWRITTEN = 40  # batches; no rows are made for more


class Projection:
    """Changed executions on their way into the views.

    `touched` is called as executions change, `close_turn` at the end of each turn, `committed`
    after its commit. `run` writes. Rows are made in passes: what had changed when a pass began,
    then what did since. So the views' turn moves on though everything changes all the time.

    Attributes:
        turn: the number of the turn up to which the views show everything.
        trouble: why they cannot be written now, or empty.
        written: told whenever rows were written.
    """

    def __init__(self, views: Views, *, is_idle: Callable[[], bool]) -> None:
        """Nothing has changed yet; `is_idle` says that all that is decided is durable."""
        self.turn = 0
        self.trouble = ""
        self.written: Callable[[], None] = lambda: None
        self._views, self._is_idle = views, is_idle
        self._alarm: asyncio.Handle | None = None
        self._passing: dict[str, ExecutionState] = {}  # of what had changed when the pass began
        self._pass_turn = 0  # the turn at whose end it began
        self._changed: dict[str, ExecutionState] = {}  # since then
        self._anew: set[str] = set()  # executions whose rows may be of a state long gone
        self._closed: list[ViewBatch] = []
        self._ready: deque[ViewBatch] = deque()
        self._turn_open = 0  # the newest turn whose changes are all known here
        self._covered = 0  # the newest turn whose changes have all become rows
        self._next_s = 0.0
        self._force = False
        self._wake = asyncio.Event()
        self._moved = asyncio.Event()
        self._closing = asyncio.Event()

    def begin(self, projected: int, last: int) -> None:
        """Go on where the views are, in a journal that ends with this turn."""
        self.turn = self._covered = projected
        self._turn_open = last

    def touched(self, state: ExecutionState) -> None:
        """The execution changed in the turn that is open."""
        changes = self._passing if state.execution_id in self._passing else self._changed
        changes[state.execution_id] = state
        if self._alarm is None:
            # What changes first after a rest waits its time too: most short tasks end within it,
            # and their rows are then made and written once instead of twice.
            loop = asyncio.get_running_loop()
            self._next_s = loop.time() + _EVERY_S
            self._alarm = loop.call_later(_EVERY_S, self._look)

    def make_anew(self, state: ExecutionState) -> None:
        """All rows of this execution are to be made anew: what the views show of it may be anything."""
        state.changed.update(dict.fromkeys(state.tasks))
        self._anew.add(state.execution_id)
        self.touched(state)

    def drop(self, state: ExecutionState) -> None:
        """Make no rows of what this state shows: it is not what is recorded."""
        self._changed.pop(state.execution_id, None)
        self._passing.pop(state.execution_id, None)
        self._anew.discard(state.execution_id)

    def _look(self) -> None:
        """No turn may come by itself to take along what changed: do it now if all is durable."""
        self._alarm = None
        if not self._has_changes():
            return
        loop = asyncio.get_running_loop()
        if self._is_idle() and self._has_room:
            self._hand_over(self._batches(self._turn_open))
            if self._has_changes():
                self._alarm = loop.call_soon(self._look)
        else:
            self._alarm = loop.call_later(_EVERY_S, self._look)

    def close_turn(self, number: int) -> None:
        """Make rows of what changed, if it is time to."""
        self._turn_open = number
        if not self._has_changes() or not self._has_room:
            return
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._next_s or self._force:
            self._closed = self._batches(number)
            self._next_s = 0.0 if self._has_changes() else now_s + _EVERY_S

    def _has_changes(self) -> bool:
        """Whether there are rows to be made."""
        return bool(self._passing or self._changed)

    @property
    def _has_room(self) -> bool:
        """Whether more rows may be made: not many are waiting to be written."""
        return len(self._ready) < _UNWRITTEN

    def _batches(self, number: int) -> list[ViewBatch]:
        """Rows of what changed, up to the bound; only the last batch of a pass shows the turn it began at."""
        batches: list[ViewBatch] = []
        made = 0
        while not batches or (self._has_changes() and made < _ROWS):
            batch = self._batch(number)
            made += max(len(batch.executions), len(batch.tasks))
            batches.append(batch)
        return batches

    def _batch(self, number: int) -> ViewBatch:
        """Rows of the pass, up to the bound; the turn that it began at is covered if nothing is left over."""
        if not self._passing:
            self._passing, self._changed, self._pass_turn = self._changed, {}, number
        executions: list[ExecutionRow] = []
        tasks: list[TaskRow] = []
        removed: list[str] = []
        anew: list[str] = []
        # Not `next(iter(...))` with `del`: a dict passes over all its deleted entries each time.
        for stream in list(islice(self._passing, _WRITTEN)):
            if len(tasks) >= _WRITTEN:
                break
            state = self._passing[stream]
            if state.removed:
                self._anew.discard(stream)
                anew.append(stream)
                del self._passing[stream]
                continue
            executions.append(execution_row(state))
            if stream in self._anew:
                self._anew.discard(stream)
                anew.append(stream)
            changed = state.changed
            while changed and len(tasks) < _ROWS:
                task_number, _ = changed.popitem()
                task = state.tasks.get(task_number)
                if task is None:
                    removed.append(str(task_id(stream, task_number)))
                else:
                    tasks.append(task_row(state, task))
            if not changed:
                changed.clear()  # gives back the room of all that were in it
                del self._passing[stream]
        if not self._passing:
            self._covered = self._pass_turn
        return ViewBatch(self._covered, executions, tasks, removed, anew)

    def committed(self) -> None:
        """What the closed turn made true may be written now."""
        if self._closed:
            self._hand_over(self._closed)
            self._closed = []
        elif self._force:
            self._tell()

    def _hand_over(self, batches: list[ViewBatch]) -> None:
        self._ready += batches
        self._wake.set()

    def _tell(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    @property
    def is_behind(self) -> bool:
        """Whether something is changed, closed or being written."""
        return bool(self._has_changes() or self._closed or self._ready)

    async def caught_up(self, number: int, check: Callable[[], None]) -> None:
        """Wait until the views show everything up to this turn.

        Raises:
            StoreError: they cannot be written now.
            AsyncflowError: what `check` raises, who is asked every now and then whether turns go on.
        """
        while self.turn < number and self.is_behind:
            check()
            if self.trouble:
                raise StoreError(f"the views cannot be written now: {self.trouble}")
            self._force = True
            if self._has_changes() and self._is_idle() and self._has_room:
                self._hand_over(self._batches(self._turn_open))
            await comes_within(self._moved, _EVERY_S)
        self._force = False

    async def run(self) -> None:
        """Write batches as they come, for ever; cancelled by the engine's end."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._ready:
                    await self._write(self._ready[0])
        finally:
            self.trouble = self.trouble or "nobody writes them any more"
            self._tell()

    async def _write(self, batch: ViewBatch) -> None:
        points.reach(points.BEFORE_VIEWS)
        try:
            await self._views.write_views(batch)
        except StoreError as error:
            self.trouble = str(error)
            log.warning("views not written", extra={"turn": batch.turn_number, "reason": str(error)})
            if not await comes_within(self._closing, _AGAIN_S):
                return
            self._ready.clear()  # no time is left; the next start sees what they lack
        else:
            points.reach(points.AFTER_VIEWS)
            self.trouble = ""
            self._ready.popleft()
            self.turn = batch.turn_number
            self.written()
        self._tell()

    async def close(self, number: int) -> None:
        """Write what is left, which is durable up to this turn; what cannot be is left to the next start."""
        self._closing.set()
        if self._alarm is not None:
            self._alarm.cancel()
        while self.is_behind and not self.trouble:
            if self._has_changes() and self._has_room:
                self._hand_over(self._batches(number))
            await self._moved.wait()
