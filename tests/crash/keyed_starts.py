"""Starts with idempotency keys until all are acknowledged, or the process is killed; run as a program.

Arguments: database, how many keys, the point to die at (`never` to live) and the so-manieth time there.
Prints a line `key id` for every start that was acknowledged.
"""

from __future__ import annotations

import asyncio
import sys

from asyncflow.app.service import StartRequest
from asyncflow.app.services import Services, open_services
from asyncflow.model.definition import parse_workflow
from tests.crash.killing import Death, die_at

WORKFLOW = {
    "name": "keyed",
    "version": 1,
    "tasks": [{"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}],
}
AT_ONCE = 4


async def start(services: Services, number: int) -> None:
    """Start the execution of a key, as a client that asks again after every fault."""
    key = f"k{number}"
    request = StartRequest(
        definition=parse_workflow(WORKFLOW), idempotency_key=key, request_hash=f"hash of {key}"
    )
    found = await services.executing.start(request, "RETURN_EXISTING")
    sys.stdout.write(f"{key} {found}\n")
    sys.stdout.flush()


async def run(database: str, keys: int) -> None:
    """Start them all, a few at a time, each twice at once."""
    async with open_services(database) as services:
        for first in range(0, keys, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, keys))
            await asyncio.gather(*(start(services, number) for number in [*numbers, *numbers]))


if __name__ == "__main__":
    place, how_many, where, nth = sys.argv[1:]
    die_at(Death(where, int(nth)))
    asyncio.run(run(place, int(how_many)))
