"""What every script of a peer tells: how many steps, in how many seconds. Only the standard library."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


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
