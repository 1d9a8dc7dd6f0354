"""Five workers of five free slots each and five tasks, a hundred times over: one each?

python -m tests.sdk_conformance.fair_share [sdk] [held] [limit] [--rounds N]

`sdk` are five processes of the unmodified Python SDK, `held` five long polls by bare HTTP, `limit` a
hundred of these under a limit of seven. Ends with 1 unless 99 of 100 rounds gave one each and the limit held.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
from asyncio.subprocess import DEVNULL, Process
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from tests.http.fair_pollers import (
    FIVE,
    Api,
    Limited,
    api_of,
    by_fork,
    by_starts,
    held_pollers,
    limited,
    shares,
)
from tests.sdk_conformance.environments import Environment, present
from tests.sdk_conformance.serving import CHECKOUT, serving

SDK = "python 2.0.0"
EVEN = (1,) * FIVE
_KINDS = {"one fork": by_fork, "five starts": by_starts}
_PAUSE_MS = (
    2_500  # at most, between two rounds: in one second the SDK comes to its longest pause between polls
)
_SEEN_WITHIN_S = 60
_TASKS, _POLLERS, _LIMIT = 500, 100, 7

Table = Mapping[str, Counter[tuple[int, ...]]]


def sdk() -> Environment | None:
    """The Python SDK, where it is installed."""
    return next((each for each in present() if each.name == SDK), None)


async def rounds(api: Api, name: str, times: int) -> Table:
    """How often the tasks of a round were dealt in which shares; the rounds come at any moment."""
    table: dict[str, Counter[tuple[int, ...]]] = {kind: Counter() for kind in _KINDS}
    chance = random.Random(1)
    for number in range(times):
        await api.let_pass(chance.randint(1, _PAUSE_MS))
        kind = [*_KINDS][number % len(_KINDS)]
        table[kind][shares(await _KINDS[kind](api, name))] += 1
    return table


async def by_sdk(environment: Environment, url: str, times: int) -> Table:
    """Rounds for five processes of the SDK."""
    async with api_of(url) as api:
        await api.register("share")
        async with sdk_workers(environment, url):
            async with asyncio.timeout(_SEEN_WITHIN_S):
                while await api.seen("share") < {f"w{number}" for number in range(FIVE)}:
                    await api.let_pass(50)
            return await rounds(api, "share", times)


@asynccontextmanager
async def sdk_workers(environment: Environment, url: str) -> AsyncIterator[None]:
    """Five workers of the SDK, each with its processes, until the block ends."""
    processes = [await _worker(environment, url, f"w{number}") for number in range(FIVE)]
    try:
        yield
        assert all(process.returncode is None for process in processes), "a worker has ended"
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def _worker(environment: Environment, url: str, name: str) -> Process:
    return await asyncio.create_subprocess_exec(
        *environment.command("fair_worker"),
        cwd=CHECKOUT,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(Path.home()),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CONDUCTOR_SERVER_URL": f"{url}/api",
            "CONDUCTOR_WORKER_WORKER_ID": name,
            "CONDUCTOR_WORKER_THREAD_COUNT": str(FIVE),
        },
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=DEVNULL,
        start_new_session=True,
    )


async def by_held_polls(url: str, times: int) -> Table:
    """Rounds for five long polls by bare HTTP."""
    async with api_of(url) as api:
        await api.register("held")
        async with held_pollers(api, "held"):
            while len(await api.seen("held")) < FIVE:
                await api.let_pass(1)
            return await rounds(api, "held", times)


def uneven(table: Table) -> int:
    """How many rounds were not one each."""
    return sum(count for column in table.values() for share, count in column.items() if share != EVEN)


def told(title: str, table: Table) -> str:
    """Shares down, kinds of rounds across."""
    lines = [f"{title:22}" + "".join(f"{kind:>13}" for kind in table)]
    for share in sorted({EVEN, *(share for column in table.values() for share in column)}):
        counts = "".join(f"{column[share]:>13}" for column in table.values())
        lines.append(f"  {' '.join(map(str, share)):20}" + counts)
    return "\n".join(lines)


def told_limit(seen: Limited) -> str:
    """What came of the limit."""
    return (
        f"{_POLLERS} long polls, limit {_LIMIT}: {seen.done} of {_TASKS} tasks done by "
        f"{len(seen.workers)} workers, at most {seen.most} at once"
    )


async def measured(what: Sequence[str], times: int) -> bool:
    """Print what came of each, on one server; whether all is as it should be."""
    good = True
    with tempfile.TemporaryDirectory(prefix="asyncflow-fair-") as folder:
        async with serving(Path(folder)) as url:
            if "sdk" in what:
                environment = sdk()
                assert environment is not None, f"{SDK}: python -m tests.sdk_conformance.run installs it"
                table = await by_sdk(environment, url, times)
                good &= uneven(table) * 100 <= times
                print(told("5 processes of the SDK", table), flush=True)
            if "held" in what:
                table = await by_held_polls(url, times)
                good &= uneven(table) * 100 <= times
                print(told("5 long polls", table), flush=True)
            if "limit" in what:
                async with api_of(url) as api:
                    seen = await limited(api, tasks=_TASKS, pollers=_POLLERS, limit=_LIMIT)
                good &= seen.done == _TASKS and seen.most <= _LIMIT
                print(told_limit(seen), flush=True)
    return good


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; see above."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="*", choices=["sdk", "held", "limit", []], metavar="sdk | held | limit")
    parser.add_argument("--rounds", type=int, default=100)
    given = parser.parse_args(arguments)
    return 0 if asyncio.run(measured(given.what or ["sdk", "held", "limit"], given.rounds)) else 1


if __name__ == "__main__":
    sys.exit(main())
