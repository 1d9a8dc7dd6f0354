"""A process with an engine and workers that poll and update for ever, until it is killed.

Arguments: the database, a seed, how many executions to start. It writes a line once it works, and a line
for whatever may never be.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from pathlib import Path
from random import Random

from tests.integration.test_workers_stress import Bystander, definition, work
from tests.integration.worker_support import shop

PER_WORKER = 2


async def main(database: str, seed: int, executions: int) -> None:
    over = asyncio.Event()
    async with shop(Path(database), max_in_flight=PER_WORKER) as made:
        bystander = Bystander(made.engine, per_worker=PER_WORKER)
        body = definition()
        print("ids", *[await made.start(body) for _ in range(executions)], flush=True)  # noqa: T201
        workers = [
            asyncio.ensure_future(work(made, f"w{n}", Random(seed * 100 + n), over, Counter()))
            for n in range(8)
        ]
        while not bystander.faults:
            done, _ = await asyncio.wait(workers, timeout=0.05)
            for each in done:
                each.result()
        print("fault", *bystander.faults, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
