"""The engine's own coroutines, each owned and watched: one that ends by itself is a bug that is seen.

It knows nothing of what they do. What the engine cannot do without makes it stop; anything else is
begun again, later and later.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self

from asyncflow.runtime.clock import pause

log = logging.getLogger("asyncflow.engine")

_FIRST_S, _LAST_S = 0.1, 10.0


class Supervisor:
    """Owner of the engine's long-lived asyncio tasks; an async context manager, whose end cancels them.

    No task group of asyncio or anyio: those tie the context to the asyncio task that entered it, which
    fixtures and web servers do not keep, and cancel their host when a part fails; here a part that
    fails stops the engine, and whoever waits for it learns why.


    Attributes:
        faults: how often each coroutine ended by itself, by name; empty while all is well.
    """

    def __init__(self) -> None:
        """Own nothing yet."""
        self.faults: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Own what is started from here on."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel everything and wait until it has ended; any task may leave the context."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def start(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        *,
        fatal: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Run `work` until the end of the context.

        With `fatal`, which is told of the exception, it is not begun again after one, and may end.
        """
        guarded = self._again_and_again(name, work) if fatal is None else self._once(name, work, fatal)
        task = asyncio.create_task(guarded, name=f"asyncflow {name}")  # noqa: TID251 - owned, ended and seen here
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _once(
        self, name: str, work: Callable[[], Awaitable[object]], fatal: Callable[[BaseException], None]
    ) -> None:
        try:
            await work()
        except Exception as error:
            log.exception("stopped by a bug", extra={"part": name})
            self.faults[name] += 1
            fatal(error)

    async def _again_and_again(self, name: str, work: Callable[[], Awaitable[object]]) -> None:
        delay_s = _FIRST_S
        while True:
            try:
                await work()
                log.error("ended by itself, begins again", extra={"part": name})
            except Exception:
                log.exception("ended by a bug, begins again", extra={"part": name})
            self.faults[name] += 1
            await pause(delay_s)
            delay_s = min(_LAST_S, delay_s * 2)
