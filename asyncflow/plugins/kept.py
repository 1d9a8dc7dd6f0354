"""Connections that are kept for the next call; one call at a time on each.

It makes and keeps them; what is said on them is its user's. A connection on which anything went wrong, or
whose user was cancelled, is closed and never lent again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Generic, Protocol, TypeVar


class Closable(Protocol):
    """A connection."""

    def close(self) -> object:
        """End it now, without waiting."""


C = TypeVar("C", bound=Closable)


class KeptConnections(Generic[C]):
    """Idle connections, the last used first; as many as are used at once are open.

    Attributes:
        opened: how many were ever made.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[C]],
        answers: Callable[[C], Awaitable[bool]],
        *,
        now_ms: Callable[[], int],
        fresh_ms: int = 30_000,
    ) -> None:
        """Make none yet.

        Args:
            connect: a connection that is ready; it closes what it could not make ready.
            answers: whether one still stands; asked of one that was idle for `fresh_ms`.
        """
        self._connect, self._answers = connect, answers
        self._now_ms, self._fresh_ms = now_ms, fresh_ms
        self._idle: list[tuple[C, int]] = []
        self._is_closed = False
        self.opened = 0

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[C]:
        """A connection, and nobody else's meanwhile; what is raised closes it."""
        connection = await self._one()
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._is_closed:
            connection.close()
        else:
            self._idle.append((connection, self._now_ms()))

    def close(self) -> None:
        """Close what is idle, and what is lent as soon as it comes back."""
        self._is_closed = True
        while self._idle:
            self._idle.pop()[0].close()

    async def _one(self) -> C:
        while self._idle:
            connection, since_ms = self._idle.pop()
            if self._now_ms() - since_ms <= self._fresh_ms or await self._stands(connection):
                return connection
            connection.close()
        made = await self._connect()
        self.opened += 1
        return made

    async def _stands(self, connection: C) -> bool:
        try:
            return await self._answers(connection)
        except BaseException:
            connection.close()
            raise
