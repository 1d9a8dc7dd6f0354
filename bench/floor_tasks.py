"""The floor of W1 over REST: handlers that hand out made-up tasks and store one row an update.

Nothing of asyncflow may be imported here: it keeps lists in memory, decides nothing, and has the floor's
group commit. `python -m bench.floor_tasks FILE STEPS` says where it listens and serves until terminated.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections import deque
from pathlib import Path

from aiohttp import web

from bench.floors import ROW_BYTES, GroupCommit, on_uvloop


class Tasks:
    """Executions of so many steps in a row: what waits for a worker, and who waits for what."""

    def __init__(self, writer: GroupCommit, steps: int) -> None:
        """Begin with no execution."""
        self._writer, self._steps = writer, steps
        self._numbers = itertools.count()
        self._ready: deque[dict[str, str]] = deque()
        self._pollers: deque[asyncio.Future[None]] = deque()
        self._left: dict[str, int] = {}
        self._ended: dict[str, asyncio.Future[None]] = {}
        self.workers: set[str] = set()

    async def executed(self) -> None:
        """Begin an execution; return when its last step is on disk."""
        name = f"execution-{next(self._numbers)}"
        self._left[name] = self._steps
        self._ended[name] = asyncio.get_running_loop().create_future()
        self._offer(name)
        await self._ended[name]
        del self._ended[name]

    def _offer(self, name: str) -> None:
        task = {"taskId": f"task-{next(self._numbers)}", "workflowInstanceId": name}
        self._ready.append({**task, "taskDefName": "step", "taskType": "step", "status": "IN_PROGRESS"})
        while self._pollers:
            poller = self._pollers.popleft()
            if not poller.done():
                poller.set_result(None)
                break

    async def polled(self, count: int, timeout_s: float) -> list[dict[str, str]]:
        """Up to so many tasks, as soon as there is one; none after that time."""
        if not self._ready:
            poller: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._pollers.append(poller)
            await asyncio.wait((poller,), timeout=timeout_s)
            poller.cancel()
        return [self._ready.popleft() for _ in range(min(count, len(self._ready)))]

    async def updated(self, body: str) -> dict[str, str] | None:
        """Store what a worker said; then the next task for it, if one waits."""
        name = json.loads(body)["workflowInstanceId"]
        await self._writer.store(f"{body:>{ROW_BYTES}}")
        self._left[name] -= 1
        if self._left[name]:
            self._offer(name)
        else:
            del self._left[name]
            self._ended[name].set_result(None)
        return self._ready.popleft() if self._ready else None


async def serve(file: Path, steps: int) -> None:
    """Answer the five calls that the workload makes."""
    tasks = Tasks(GroupCommit(file), steps)

    async def answer(request: web.BaseRequest) -> web.Response:
        path, query = request.path, request.query
        if path.startswith("/api/tasks/poll/batch/"):
            tasks.workers.add(query["workerid"])
            return web.json_response(await tasks.polled(int(query["count"]), int(query["timeout"]) / 1e3))
        if path == "/api/tasks/update-v2":
            following = await tasks.updated(await request.text())
            return web.json_response(following) if following else web.Response(status=204)
        if path.startswith("/api/workflow/execute/"):
            await tasks.executed()
            return web.json_response({"status": "COMPLETED"})
        if path == "/api/tasks/queue/polldata":
            return web.json_response([{"workerId": each} for each in tasks.workers])
        return web.Response(status=200 if path == "/api/metadata/workflow" else 404)

    runner = web.ServerRunner(web.Server(answer, access_log=None))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    _, port = runner.addresses[0][:2]
    print(f"floor on http://127.0.0.1:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    on_uvloop(lambda: serve(Path(sys.argv[1]), int(sys.argv[2])))
