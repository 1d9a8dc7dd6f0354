"""Connections to the mail server, kept for the next mail; one mail at a time on each.

It makes and keeps them; what is said on them is in `manager`. A connection on which anything went wrong, or
whose user was cancelled, is closed and never lent again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiosmtplib import SMTP
from aiosmtplib.errors import SMTPException

_FRESH_MS = 30_000


class Connections:
    """Idle connections, the last used first; as many as are used at once are open."""

    def __init__(self, make: Callable[[], SMTP], now_ms: Callable[[], int]) -> None:
        """`make` gives a client that is not connected yet."""
        self._make, self._now_ms = make, now_ms
        self._idle: list[tuple[SMTP, int]] = []
        self.opened = 0

    @asynccontextmanager
    async def lent(self) -> AsyncIterator[SMTP]:
        """A connection that has just answered."""
        client = await self._one()
        try:
            yield client
        except BaseException:
            client.close()
            raise
        self._idle.append((client, self._now_ms()))

    async def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop()[0].close()

    async def _one(self) -> SMTP:
        while self._idle:
            client, since_ms = self._idle.pop()
            if await _answers(client, ask=self._now_ms() - since_ms > _FRESH_MS):
                return client
            client.close()
        client = self._make()
        try:
            await client.connect()
        except BaseException:
            client.close()
            raise
        self.opened += 1
        return client


async def _answers(client: SMTP, *, ask: bool) -> bool:
    """Whether a kept connection still stands; the server is asked if it was idle for long."""
    if not client.is_connected:
        return False
    if not ask:
        return True
    try:
        await client.noop()
    except (SMTPException, OSError):
        return False
    return True
