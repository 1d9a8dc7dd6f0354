"""Where the time of a step goes: `python -m bench.profile w1` prints a table by part and by function.

A thread looks a thousand times a second at what the loop's thread is at, while the work is done again and
again; a profiler that is told of every call would make calls the dearest thing there is. The thread is let
in between two calls, so a function may be taken for the one it just called. Shares are of the CPU time of the
loop's thread by step. What the work is stands in `w1.py` and `w2.py`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from rich.console import Console
from rich.table import Table

from asyncflow.app.process import tune_process
from bench.floors import on_uvloop
from bench.w1 import STEPS, run_many
from bench.w2 import fan_out

WORKFLOWS, WIDTH = 2_000, 10_000
EVERY_S = 0.001
IDLE = "nothing: the loop waits"
MADE = "records and events made"

PARTS: Mapping[str, str] = {
    "asyncflow/runtime/inbox": "inbox",
    "asyncflow/runtime/turns": "turn: loop, release",
    "asyncflow/runtime/deciding": "turn: one input after another",
    "asyncflow/runtime/recording": "turn: events kept",
    "asyncflow/runtime/open_turn": "turn: events kept",
    "asyncflow/decide/evolve": "evolve: events made true",
    "asyncflow/decide/wanted": "wanted effects",
    "asyncflow/decide/counters": "evolve: events made true",
    "asyncflow/decide": "decide: what follows",
    "asyncflow/runtime/carry": "effects compared",
    "asyncflow/runtime/single_effects": "effects compared",
    "asyncflow/runtime/admitting": "effects compared",
    "asyncflow/runtime/starting": "attempt begun",
    "asyncflow/runtime/attempts": "attempt begun",
    "asyncflow/runtime/first_steps": "attempt begun",
    "asyncflow/runtime/performing": "attempt performed, its end told",
    "asyncflow/runtime/binding": "attempt performed, its end told",
    "asyncflow/runtime/attempt_results": "attempt performed, its end told",
    "asyncflow/runtime/last_touched": "execution at hand noted",
    "asyncflow/runtime/projection": "rows of views made",
    "asyncflow/runtime/rows": "rows of views made",
    "asyncflow/runtime/commits": "commit, seen from the loop",
    "asyncflow/runtime": "rest of runtime",
    "asyncflow/model": MADE,
    "asyncflow/store": "turn encoded and handed to the writer",
    "asyncflow/app": "start and result (app, sdk)",
    "asyncflow/sdk": "start and result (app, sdk)",
    "asyncflow": "rest of asyncflow",
    "uvloop": IDLE,
    "asyncio/runners": IDLE,
    "bench": "the benchmark and its function",
    "asyncio": "asyncio",
    "aiosqlite": "turn encoded and handed to the writer",
}
"""By the beginning of a module's path, the longest first."""

_ORDER = sorted(PARTS, key=len, reverse=True)


def part_of(file: str) -> str | None:
    """The part that a file belongs to; None for one of nobody, whose caller counts."""
    if file == "<string>":  # what dataclasses and named tuples are made by
        return MADE
    for beginning in _ORDER:
        if any(f"/{beginning}{end}" in file for end in ("/", ".", "_")):
            return PARTS[beginning]
    return None


class Samples:
    """What the loop's thread was at; a context manager around the work.

    Attributes:
        parts: how often it was at each part.
        functions: how often it was at each function of ours, and what it calls of nobody's.
    """

    def __init__(self) -> None:
        """Nothing was seen; the thread that makes it is the one that is looked at."""
        self.parts: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()
        self._thread = threading.get_ident()
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        """Begin to look."""
        self._looking.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look no more."""
        self._over.set()
        self._looking.join()

    def _look(self) -> None:
        while not self._over.wait(EVERY_S):
            frame = sys._current_frames().get(self._thread)  # noqa: SLF001 - what it is there for
            if frame is not None:
                self._seen(frame)

    def _seen(self, innermost: FrameType) -> None:
        frame: FrameType | None = innermost
        while frame is not None:
            code = frame.f_code
            part = part_of(code.co_filename)
            if part is not None:
                self.parts[part] += 1
                if part != IDLE:
                    self.functions[
                        f"{Path(code.co_filename).name}:{code.co_firstlineno} {code.co_qualname}"
                    ] += 1
                return
            frame = frame.f_back
        self.parts["the rest"] += 1


async def _w1(folder: Path) -> int:
    await run_many(folder, workflows=WORKFLOWS, outstanding=100)
    return WORKFLOWS * STEPS


async def _w2(folder: Path) -> int:
    await fan_out(folder, WIDTH)
    return WIDTH


WORK: Mapping[str, Callable[[Path], Awaitable[int]]] = {"w1": _w1, "w2": _w2}


async def sampled(work: Callable[[Path], Awaitable[int]], folder: Path, rounds: int) -> tuple[Samples, float]:
    """What the loop's thread was at while the work was done so often, and its CPU time by step in µs."""
    steps, cpu_s, samples = 0, 0.0, Samples()
    await work(_made(folder / "warm"))
    with samples:
        for each in range(rounds):
            began = time.thread_time()
            steps += await work(_made(folder / str(each)))
            cpu_s += time.thread_time() - began
    return samples, cpu_s / steps * 1e6


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _print(title: str, seen: Counter[str], us: float, most: int) -> None:
    total = sum(seen.values())
    table = Table(title=title, title_justify="left")
    table.add_column("where")
    table.add_column("µs a step", justify="right")
    table.add_column("share", justify="right")
    for name, times in seen.most_common(most):
        table.add_row(name, f"{us * times / total:.2f}", f"{times / total:.1%}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(prog="python -m bench.profile", description=__doc__)
    parser.add_argument("workload", choices=sorted(WORK))
    parser.add_argument("--rounds", type=int, default=12, help="how often the work is done")
    parser.add_argument("--functions", type=int, default=30, help="how many functions are shown")
    chosen = parser.parse_args()
    tune_process()
    with tempfile.TemporaryDirectory() as folder:
        samples, us = on_uvloop(lambda: sampled(WORK[chosen.workload], Path(folder), chosen.rounds))
    idle = samples.parts.pop(IDLE, 0)
    title = f"{chosen.workload}: the loop's thread takes {us:.1f} µs a step; it waited in {idle} samples"
    _print(title, samples.parts, us, len(samples.parts))
    _print("by function, with what it calls of others", samples.functions, us, chosen.functions)


if __name__ == "__main__":
    main()
