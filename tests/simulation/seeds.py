"""One seed from its first engine to its audit, in a folder of its own."""

from __future__ import annotations

import asyncio
import logging
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.simulation.audit import audit
from tests.simulation.inline import LeapingLoop, one_thread
from tests.simulation.world import World, run_world


@dataclass
class Seen:
    """What came of a seed.

    Attributes:
        wrong: what must not have been; empty if all is well.
        digest: of every event and every deed of the services.
    """

    seed: int
    wrong: list[str]
    counts: Counter[str]
    digest: str


def run_seed(seed: int) -> Seen:
    """Run it; what breaks the run itself is something wrong, too."""
    logger = logging.getLogger("asyncflow")
    with tempfile.TemporaryDirectory() as folder:
        world = World(seed, Path(folder))
        complaints = Complaints(world)
        logger.addHandler(complaints)
        was, logger.propagate = logger.propagate, False
        try:
            with asyncio.Runner(loop_factory=LeapingLoop) as runner:
                digest = runner.run(_simulated(world))
        finally:
            logger.removeHandler(complaints)
            logger.propagate = was
    return Seen(seed, world.wrong, world.counts, digest)


def run_seed_of_pool(work: tuple[int, bool]) -> Seen:
    """A seed, and whether it is to be run again and compared."""
    seed, twice = work
    seen = run_seed(seed)
    if twice and run_seed(seed).digest != seen.digest:
        seen.wrong.append("the second run went another way")
    return seen


class Complaints(logging.Handler):
    """Errors that the engine logs although nobody killed it are wrong."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        """Take it up."""
        if not self._world.mortal.is_dead:
            self._world.wrong.append(f"logged: {record.getMessage()} {record.exc_info}")


async def _simulated(world: World) -> str:
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: world.wrong.append(
            f"unhandled: {context.get('message')} {context.get('exception')!r}"
        )
    )
    with one_thread(world.dice, world.mortal):
        try:
            await run_world(world)
            world.mortal.dies_at, world.mortal.is_dead = 0, False
            return await audit(world)
        except Exception as error:  # noqa: BLE001 - told with the seed
            world.wrong.append(f"broke off: {error!r}")
            return ""
