"""Attempts begun one after the other in one asyncio task; the first that has to wait keeps the task.

Most steps end without waiting, and an asyncio task for each would cost more than all else that performing
them takes. Nothing is shared between them but the task: each has a context of its own, and one that leaves
the task cancelled is its last. What an attempt does is no concern of this; see `runtime/attempts`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from types import coroutine
from typing import Any

from asyncflow.runtime.last_touched import PERFORMING, LastTouched
from asyncflow.runtime.performing import Begun

Work = Coroutine[Any, Any, None]  # what it waits for is between its awaits and asyncio


class FirstSteps:
    """What is to be begun, in order, and the asyncio task that begins it while there is anything."""

    def __init__(self, perform: Callable[[Begun], Work], touched: LastTouched) -> None:
        """Nothing is to be begun; `touched` is told of whom the loop is at while an attempt is stepped."""
        self._perform, self._touched = perform, touched
        self._waiting: deque[Begun] = deque()
        self._going: asyncio.Task[None] | None = None

    def add(self, begun: Begun) -> None:
        """Begin it soon, behind those that were added before; not if it was called off until then."""
        self._waiting.append(begun)
        if self._going is None:
            self._go_on()

    def _go_on(self) -> None:
        self._going = asyncio.create_task(self._begin_all())

    async def _begin_all(self) -> None:
        """Begin one after the other; with the first that has to wait, be the task of that one alone."""
        rest: _Rest | None = None
        mine = asyncio.current_task()
        assert mine is not None  # it was made to be one
        try:
            while self._waiting and rest is None and not mine.cancelling():
                begun = self._waiting.popleft()
                if not begun.is_off:
                    begun.work = mine
                    rest = self._first_step(begun)
        finally:
            self._touched.left()
            self._going = None
            if self._waiting:
                self._go_on()
        if rest is not None:
            await self._steps(*rest)

    def _first_step(self, begun: Begun) -> _Rest | None:
        """Step it once; what is left of it, or None."""
        context, work = copy_context(), self._perform(begun)
        self._touched.at(PERFORMING, begun.stream)
        try:
            return begun.stream, context, work, context.run(work.send, None)
        except StopIteration:
            return None

    @coroutine
    def _steps(
        self, stream: str, context: Context, work: Work, waits_for: object
    ) -> Generator[Any, Any, None]:
        """All further steps, as asyncio takes those of the task: in the context of the first one."""
        touched = self._touched
        while True:
            step: Callable[[Any], object] = work.send
            given: Any
            try:
                given = yield waits_for
            except GeneratorExit:
                work.close()
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it is, it is for the attempt
                step, given = work.throw, error
            touched.at(PERFORMING, stream)
            try:
                waits_for = context.run(step, given)
            except StopIteration:
                return
            finally:
                touched.left()


_Rest = tuple[str, Context, Work, object]
