"""`asyncflow serve` as a process of its own for as long as a script needs it.

Whoever asks gets an address and nothing else; it knows nothing of SDKs. `running.py` uses it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
_STARTED_WITHIN_S = 60
_STOPPED_WITHIN_S = 60


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "TMPDIR", "LANG"}}
    return {**kept, "PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "default"}


async def _asyncflow(*arguments: str | Path, folder: Path, stderr: int) -> Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "asyncflow",
        *map(str, arguments),
        cwd=folder,
        env=_environment(),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=stderr,
    )


@asynccontextmanager
async def serving(folder: Path, *options: str) -> AsyncIterator[str]:
    """A server on a database in the folder, and its address; its log is `serve.log` there.

    It is stopped in order; an exit code other than 0 is an AssertionError with the log.
    """
    log = folder / "serve.log"
    with log.open("ab") as stderr:
        process = await _asyncflow(
            "serve", "--db", "served.db", "--port", "0", *options, folder=folder, stderr=stderr.fileno()
        )
        assert process.stdout is not None
        try:
            async with asyncio.timeout(_STARTED_WITHIN_S):
                line = (await process.stdout.readline()).decode()
            assert line.startswith("asyncflow ready on "), (line, log.read_text())
            yield line.rsplit(" ", 1)[1].strip()
            process.terminate()
            async with asyncio.timeout(_STOPPED_WITHIN_S):
                code = await process.wait()
            assert code == 0, (code, log.read_text())
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def admin_key(folder: Path) -> dict[str, str]:
    """Make the first key of the database, which locks it; gives what SDKs read from their environment."""
    process = await _asyncflow(
        "key",
        "create",
        "sdk",
        "--db",
        "served.db",
        "--role",
        "admin",
        "-o",
        "json",
        folder=folder,
        stderr=PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    made = json.loads(out)
    return {"CONDUCTOR_AUTH_KEY": str(made["id"]), "CONDUCTOR_AUTH_SECRET": str(made["secret"])}
