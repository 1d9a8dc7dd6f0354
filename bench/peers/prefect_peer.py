"""Prefect: a flow is an async function, a task another; a server beside it keeps them in SQLite."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from clocked import Result, report


async def measured(workload: str, count: int) -> Result:
    """So many flows of five tasks in a row, or one with so many side by side."""
    from prefect import flow, task  # noqa: PLC0415 - after the settings are made

    @task
    async def nothing(number: int) -> int:
        return number

    @task
    async def padded(number: int) -> str:
        return f"{number:0200d}"

    @flow
    async def chain() -> None:
        for number in range(5):
            await nothing(number)

    @flow
    async def fan_out() -> int:
        futures = padded.map(range(count))
        return len(futures.result())

    if workload == "fan":
        with report(count) as result:
            assert await fan_out() == count
        return result
    left = iter(range(count))

    async def keep_going() -> None:
        for _ in left:
            await chain()

    with report(count * 5) as result:
        await asyncio.gather(*(keep_going() for _ in range(min(count, 20))))
    return result


def main(folder: Path, workload: str, count: int) -> None:
    """One measurement, told as a line of JSON."""
    os.environ["PREFECT_HOME"] = str(folder)
    os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "60"
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415 - see above

    with prefect_test_harness(server_startup_timeout=60):
        print(asyncio.run(measured(workload, count)).line())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
