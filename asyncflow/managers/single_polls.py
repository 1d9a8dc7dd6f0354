"""Polls of services that are asked for one job at a time: a request each, a few of them at once.

It knows no service: what a request is, and what its answer means, is the manager's; see `http_service` and
`workflow_server`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from asyncflow.plugins.jobs import JobStatus


async def each_of(
    handles: Sequence[str], look: Callable[[str], Awaitable[JobStatus | None]], *, at_once: int
) -> Mapping[str, JobStatus]:
    """How the jobs of these handles stand, without those of which `look` says None.

    Raises:
        Exception: what the first `look` that failed raised.
    """
    limit = asyncio.Semaphore(at_once)

    async def limited(handle: str) -> tuple[str, JobStatus | None]:
        async with limit:
            return handle, await look(handle)

    told = await asyncio.gather(*(limited(handle) for handle in handles))
    return {handle: status for handle, status in told if status is not None}
