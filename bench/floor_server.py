"""The floor of W6: an aiohttp handler that stores one row a request, with the floor's group commit.

Nothing of asyncflow may be imported here. `python -m bench.floor_server FILE` says where it listens and
serves until it is terminated.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from aiohttp import web

from bench.floors import ROW_BYTES, GroupCommit, on_uvloop


async def serve(file: Path) -> None:
    """Answer every request with an id once its row is on disk."""
    writer = GroupCommit(file)

    async def start(request: web.BaseRequest) -> web.Response:
        body = await request.text()
        await writer.store(f"{body:>{ROW_BYTES}}")
        return web.Response(text="0190a000-0000-7000-8000-000000000000")

    runner = web.ServerRunner(web.Server(start, access_log=None))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    _, port = runner.addresses[0][:2]
    print(f"floor on http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    on_uvloop(lambda: serve(Path(sys.argv[1])))
