"""The engine's threads taken away: SQLite and scripts work on the loop, at moments that the dice choose.

What runs is the real store, and real SQLite on a real file; only who carries a call out is another. Thereby
a seed says in which order everything happens, and every call is a moment at which the process can die.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import selectors
import sqlite3
from collections import deque
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from unittest.mock import patch

from asyncflow.app import identities
from asyncflow.runtime import clock, deciding
from asyncflow.runtime.jobs import watching
from asyncflow.runtime.scripts import threads
from asyncflow.runtime.scripts.outcome import Outcome
from asyncflow.store import connection

_MOST_TURNS = 3


@dataclass(eq=False)
class Mortal:
    """A process that ends at a moment chosen before: from there on nothing of it has an effect.

    Attributes:
        moments: how many there were.
        dies_at: which is the last; 0 for none.
        on_death: called there.
    """

    moments: int = 0
    dies_at: int = 0
    is_dead: bool = False
    on_death: Callable[[], None] = field(default=lambda: None)

    def doom(self) -> None:
        """Die at the next moment, if it is to die at all."""
        if self.dies_at > self.moments:
            self.dies_at = self.moments + 1

    def reach(self) -> None:
        """Be at a moment between two effects.

        Raises:
            sqlite3.OperationalError: the process is dead; whoever asked learns nothing more.
        """
        self.moments += 1
        if self.moments == self.dies_at:
            self.is_dead = True
            self.on_death()
        if self.is_dead:
            raise sqlite3.OperationalError("killed")


class InlineConnection:
    """What stands where a connection of aiosqlite would: calls in order, one at a time, some turns later."""

    def __init__(
        self, open_it: Callable[[], sqlite3.Connection], dice: random.Random, mortal: Mortal
    ) -> None:
        self._open_it, self._dice, self._mortal = open_it, dice, mortal
        self._calls: deque[tuple[asyncio.Future[object], Callable[[], object]]] = deque()
        self._db: sqlite3.Connection | None = None

    def __await__(self) -> Generator[object, None, InlineConnection]:
        return self._opened().__await__()

    async def _opened(self) -> InlineConnection:
        self._db = self._open_it()
        await asyncio.sleep(0)
        return self

    async def execute_fetchall(self, sql: str, parameters: tuple[object, ...]) -> object:
        """As aiosqlite's."""
        done: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self._calls.append((done, lambda: self._perform(sql, parameters)))
        if len(self._calls) == 1:
            self._wait(self._dice.randint(0, _MOST_TURNS))
        return await done

    def _perform(self, sql: str, parameters: tuple[object, ...]) -> object:
        assert self._db is not None
        self._mortal.reach()
        found = self._db.execute(sql, parameters).fetchall()
        self._mortal.reach()
        return found

    def _wait(self, turns: int) -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(self._wait, turns - 1) if turns else loop.call_soon(self._work)

    def _work(self) -> None:
        done, call = self._calls[0]
        try:
            found = call()
        except BaseException as error:  # noqa: BLE001 - handed to who waits
            if not done.done():
                done.set_exception(error)
        else:
            if not done.done():
                done.set_result(found)
        self._calls.popleft()
        if self._calls:
            self._wait(self._dice.randint(0, _MOST_TURNS))

    async def close(self) -> None:
        """As aiosqlite's: what was asked is done first."""
        if self._calls:
            await asyncio.wait([done for done, _ in self._calls])
        if self._db is not None:
            self._db.close()
            self._db = None


class LeapingLoop(asyncio.SelectorEventLoop):
    """A loop whose time leaps to the next timer as soon as nothing else is to be done."""

    def __init__(self) -> None:
        self._now_s = 0.0
        super().__init__(_LeapingSelector(self))

    def time(self) -> float:
        """Seconds since it began."""
        return self._now_s

    def leap(self, seconds: float) -> None:
        """Be so much later."""
        self._now_s += seconds


class _LeapingSelector(selectors.DefaultSelector):
    def __init__(self, loop: LeapingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """What is ready now; with nothing but timers to wait for, their time has come."""
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing is due")
        found = super().select(0)
        if not found:
            self._loop.leap(timeout)
        return found


async def _run_inline(_pool: threads.ScriptThreads, work: Callable[[], Outcome]) -> Outcome:
    await asyncio.sleep(0)
    return work()


async def _no_thread(function: Callable[..., object], *given: object, **named: object) -> object:
    await asyncio.sleep(0)
    return function(*given, **named)


@contextlib.contextmanager
def one_thread(dice: random.Random, mortal: Mortal) -> Iterator[None]:
    """Have everything of the engine on the loop inside the block, and random ids from the dice."""

    def connect(target: str, **options: object) -> InlineConnection:
        return InlineConnection(lambda: sqlite3.connect(target, **options), dice, mortal)  # type: ignore[call-overload]  # as given

    loop = asyncio.get_running_loop()
    drawing = SimpleNamespace(Random=lambda: random.Random(dice.random()))
    identities._tails.clear()
    with (
        patch.object(clock, "time", SimpleNamespace(perf_counter=loop.time)),
        patch.object(asyncio, "to_thread", _no_thread),
        patch.object(watching, "random", drawing),
        patch.object(deciding, "random", drawing),
        patch.object(connection, "aiosqlite", SimpleNamespace(connect=connect)),
        patch.object(threads.ScriptThreads, "run", _run_inline),
        patch.object(identities, "os", SimpleNamespace(urandom=dice.randbytes)),
    ):
        yield
    identities._tails.clear()
