"""What every script of a peer shares: how it is run, and how it tells of steps and seconds.

The standard library is enough; uvloop is taken where the environment has it, as asyncflow takes it.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

try:
    import uvloop as loops
except ImportError:
    loops = asyncio  # type: ignore[misc]  # it makes loops in the same words

STEPS = 5
AT_ONCE = 100
NAP_S = 0.010


@dataclass
class Result:
    """A measurement; `seconds` are there once the work is done."""

    steps: int
    seconds: float = 0.0

    def line(self) -> str:
        """As JSON."""
        return json.dumps({"steps": self.steps, "seconds": self.seconds})


@contextmanager
def report(steps: int) -> Iterator[Result]:
    """Time the block, which does so many steps."""
    result = Result(steps)
    began = time.perf_counter()
    yield result
    result.seconds = time.perf_counter() - began


def run(measurement: Coroutine[object, object, Result]) -> Result:
    """A measurement on a loop of its own."""
    with asyncio.Runner(loop_factory=loops.new_event_loop) as runner:
        return runner.run(measurement)


def clean_up_when_told() -> None:
    """Let SIGTERM raise: whoever takes too long still stops the servers that it started."""

    def stop(*_: object) -> None:
        sys.exit(143)

    signal.signal(signal.SIGTERM, stop)
