"""Waiting for what other threads and processes do, by looking; bounded, so that a failure is no hang."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 60


async def until(holds: Callable[[], object]) -> None:
    """Return once it holds; the loop goes on meanwhile."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not holds():
            turn = asyncio.Event()
            loop.call_later(0.002, turn.set)
            await turn.wait()


async def next_turn() -> None:
    """Let the loop go round once: what was started has come to its first await."""
    loop = asyncio.get_running_loop()
    turn = loop.create_future()
    loop.call_soon(turn.set_result, None)
    await turn


async def written(file: Path) -> str:
    """The text of a file that somebody is about to write."""
    texts: list[str] = []

    def read() -> bool:
        texts.append(file.read_text(encoding="utf-8") if file.exists() else "")
        return bool(texts[-1])

    await until(read)
    return texts[-1]


def is_alive(process_id: int) -> bool:
    """Whether a process runs; one that only waits to be reaped by somebody else does not."""
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    try:
        told = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
    except ProcessLookupError:  # it ended between the two looks
        return False
    except FileNotFoundError:
        return not Path("/proc/self/stat").exists()
    return told.rpartition(")")[2].split()[0] != "Z"
