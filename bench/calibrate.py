"""What machine this is: how long its disk takes to keep a promise, how fast one core runs Python.

A durable number means nothing without the first, two machines cannot be compared without the second.
It measures no code of ours; the workloads are beside it, `bench/run.py` prints all together.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path

BLOCK = b"\0" * 4096
_sync = getattr(os, "fdatasync", os.fsync)  # macOS has only the latter


def sync_ms(folder: Path, *, writes: int = 500) -> tuple[float, float]:
    """Median and 90th percentile, in milliseconds, of appending 4 KiB and making it durable."""
    taken: list[float] = []
    file = folder / "calibrate.bin"
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        for _ in range(writes):
            began = time.perf_counter()
            os.write(descriptor, BLOCK)
            _sync(descriptor)
            taken.append((time.perf_counter() - began) * 1e3)
    finally:
        os.close(descriptor)
        file.unlink()
    return statistics.median(taken), statistics.quantiles(taken, n=10)[-1]


def core_score(*, rounds: int = 7) -> float:
    """Thousands of small units of everyday Python (call, dict, list, JSON) per second, best of several.

    The best, because other work on the machine can only slow a round down.
    """
    return max(_units_per_second() for _ in range(rounds)) / 1e3


def _units_per_second(units: int = 10_000) -> float:
    began = time.perf_counter()
    kept: dict[int, list[str]] = {}
    for number in range(units):
        kept.setdefault(number % 97, []).append(_unit(number))
    return units / (time.perf_counter() - began)


def _unit(number: int) -> str:
    record = {"id": number, "name": f"task_{number}", "output": {"size": number * 2, "tags": ["a", "b"]}}
    return json.dumps(record)


def calibrate(folder: Path) -> dict[str, object]:
    """Everything a reader needs beside a table: disk, core, interpreter, SQLite."""
    middle, slow = sync_ms(folder)
    return {
        "fdatasync_p50_ms": round(middle, 4),
        "fdatasync_p90_ms": round(slow, 4),
        "core_score": round(core_score(), 1),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": f"{platform.system()} {platform.machine()}",
    }


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as here:
        print(json.dumps(calibrate(Path(here)), indent=2))
