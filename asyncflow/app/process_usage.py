"""What this process uses of the machine: time, memory, files; as far as the system tells.

It reads and changes nothing. Shown by `meters`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc/self")


class ProcessUsage(NamedTuple):
    """CPU seconds, resident bytes, open files (None where the system does not tell)."""

    cpu_s: float
    resident_bytes: int | None
    open_files: int | None


def process_usage() -> ProcessUsage:
    """What is used now."""
    return ProcessUsage(time.process_time(), _resident_bytes(), _open_files())


def _resident_bytes() -> int | None:
    try:
        pages = int((_PROC / "statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")


def _open_files() -> int | None:
    try:
        return sum(1 for _ in (_PROC / "fd").iterdir())
    except OSError:
        return None
