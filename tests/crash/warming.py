"""What an engine imports as late as it can, imported now: no forked process then imports it for itself.

It leaves nothing behind but modules. The processes are made in `killing`.
"""

from __future__ import annotations

import asyncio

from asyncflow.app.services import open_services


def warm_up() -> None:
    """Open an engine in memory and close it."""

    async def open_and_close() -> None:
        async with open_services():
            pass

    asyncio.run(open_and_close())
