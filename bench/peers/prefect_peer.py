"""Prefect: a flow is an async function, a task another; a server beside it keeps them in SQLite.

Tasks have no cache to look into, results stay in memory, and nothing is logged. A limit is the number of
threads of the task runner, by which tasks of a flow are mapped as its documentation does.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from pathlib import Path

from clocked import AT_ONCE, NAP_S, STEPS, Result, clean_up_when_told, report


async def measured(workload: str, count: int) -> Result:
    """So many flows of five tasks in a row, or one with so many side by side."""
    from prefect import flow, task  # noqa: PLC0415 - after the settings are made
    from prefect.cache_policies import NO_CACHE  # noqa: PLC0415 - the same
    from prefect.task_runners import ThreadPoolTaskRunner  # noqa: PLC0415 - the same

    @task(cache_policy=NO_CACHE)
    async def nothing(number: int) -> int:
        return number

    @task(cache_policy=NO_CACHE)
    def padded(number: int) -> str:
        return f"{number:0200d}"

    @task(cache_policy=NO_CACHE)
    def nap(number: int) -> int:
        time.sleep(NAP_S)
        return number

    @flow
    async def chain() -> None:
        for number in range(STEPS):
            await nothing(number)

    @flow(task_runner=ThreadPoolTaskRunner(max_workers=AT_ONCE))
    def fan_out() -> int:
        mapped = nap if workload == "limit" else padded
        return len(mapped.map(range(count)).result())

    if workload != "chains":
        with report(count) as result:
            assert await asyncio.to_thread(fan_out) == count
        return result
    left = iter(range(count))

    async def keep_going() -> None:
        for _ in left:
            await chain()

    with report(count * STEPS) as result:
        await asyncio.gather(*(keep_going() for _ in range(min(count, 20))))
    return result


def main(folder: Path, workload: str, count: int) -> None:
    """One measurement, told as a line of JSON."""
    clean_up_when_told()
    os.environ["PREFECT_HOME"] = str(folder)
    os.environ["PREFECT_LOGGING_LEVEL"] = "ERROR"
    os.environ["PREFECT_LOGGING_TO_API_ENABLED"] = "false"
    os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] = "false"
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] = "60"
    from prefect.testing.utilities import prefect_test_harness  # noqa: PLC0415 - see above

    with prefect_test_harness(server_startup_timeout=60):
        print(asyncio.run(measured(workload, count)).line())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
