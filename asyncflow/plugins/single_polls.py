"""Polls of services that are asked for one job at a time: a request each, a few of them at once.

It knows no service: what a request is, and what its answer means, is the manager's; see
`managers/http_service` and `managers/workflow_server`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence

from asyncflow.plugins.errors import CredentialsRefused, InstanceGone, ServiceError, Throttled
from asyncflow.plugins.jobs import JobStatus

_OF_ALL = (Throttled, CredentialsRefused, InstanceGone)
"""What is said of one is true of all; nothing more is asked then."""


async def each_of(
    handles: Sequence[str], look: Callable[[str], Awaitable[JobStatus | None]], *, at_once: int
) -> Mapping[str, JobStatus]:
    """How the jobs of these handles stand, without those of which `look` says None.

    One that cannot be looked at is `unheard`, and hides none of the others.

    Raises:
        ServiceError: too many calls, or who we are was not accepted, or none of them could be looked at.
    """
    limit = asyncio.Semaphore(at_once)
    told: dict[str, JobStatus] = {}
    failed: dict[str, ServiceError] = {}
    of_all: list[ServiceError] = []

    async def limited(handle: str) -> None:
        async with limit:
            if of_all:
                return
            try:
                status = await look(handle)
            except _OF_ALL as error:
                of_all.append(error)
            except ServiceError as error:
                failed[handle] = error
            else:
                if status is not None:
                    told[handle] = status

    async with asyncio.TaskGroup() as looks:
        for handle in handles:
            looks.create_task(limited(handle))
    if of_all:
        raise of_all[0]
    if len(failed) == len(handles):
        raise next(iter(failed.values()))
    return told | {handle: JobStatus("unheard", reason=error.reason) for handle, error in failed.items()}
