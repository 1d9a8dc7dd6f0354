"""A service that takes jobs, as a process of its own; run as a program. It outlives the engines that use it.

Arguments: the truth log, when its quick clock began, milliseconds. It prints its port, and serves until it
is terminated. Each request is a POST with a JSON body, over a connection of its own; half of one is none.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from pydantic_core import from_json, to_json

from asyncflow.plugins.jobs import Job, Tier
from asyncflow.runtime.clock import pause
from asyncflow.testing.services import JobService
from tests.crash.cluster_service import Clusters
from tests.crash.quick_clock import SPEED, QuickClock

HALF_S = 0.002  # before and after a job is made
LISTING_LAG_S = 2.0
DURATION_S = 3.0


class QuickTime:
    """The time of the service, as quick as that of its engines."""

    def call_at(self, at_ms: int, call: Callable[[], None]) -> object:
        raise NotImplementedError("nothing of this service arrives late by itself")

    async def sleep(self, seconds: float) -> None:
        await pause(seconds / SPEED)


class Front:
    """Takes requests, one per connection."""

    def __init__(self, service: JobService, clusters: Clusters) -> None:
        self._service, self._clusters = service, clusters
        self._open = 0
        self._quiet = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open += 1
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
            given = from_json(await reader.readexactly(length))
            answer = to_json(await self._answer(head.split()[1].decode()[1:], given))
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(answer), answer))
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # whoever asked is gone
        finally:
            writer.close()
            self._open -= 1
            async with self._quiet:
                self._quiet.notify_all()

    async def _answer(self, what: str, given: dict[str, object]) -> object:
        service = self._service
        match what:
            case "submit":
                return await self._submit(Job(**given["job"]), given["tier"])  # type: ignore[arg-type]
            case "find":
                found = await service.find(Job(**given["job"]), given["since_ms"])  # type: ignore[arg-type]
                return [asdict(each) for each in found]
            case "poll":
                statuses = await service.poll(given["handles"])  # type: ignore[arg-type]
                assert isinstance(statuses, dict)
                return {handle: asdict(status) for handle, status in statuses.items()}
            case "cancel":
                await service.cancel(str(given["handle"]))
                return None
            case "look":
                return await self._look(str(given["token"]))
            case _:
                return self._clusters.answer(what, given)

    async def _submit(self, job: Job, tier: Tier) -> object:
        await pause(HALF_S)
        if job.instance and not self._clusters.is_ready(job.instance):
            return None
        handle = await self._service.submit(job, tier=tier)
        if job.instance:
            self._clusters.place(str(handle), job.instance)
        if job.input["name"] == "flaky" and job.attempt == 1:
            self._service.end_job(str(handle), "failed")
        await pause(HALF_S)
        return handle

    async def _look(self, token: str) -> list[str]:
        """The jobs of a token, once nothing that was sent before can still arrive."""
        async with self._quiet:
            await self._quiet.wait_for(lambda: self._open == 1)
        return [made.handle for made in self._service.made.values() if made.token == token]


async def main(log: str, began_ms: str) -> None:
    """Serve until terminated."""
    clock = QuickClock(int(began_ms))
    service = JobService(QuickTime(), lambda: clock.now().elapsed_ms, duration_s=DURATION_S, path=Path(log))
    service.listing_lag_s = LISTING_LAG_S
    clusters = Clusters(Path(log), lambda: clock.now().elapsed_ms)
    server = await asyncio.start_server(Front(service, clusters).serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
