"""A client that costs next to nothing, and server processes to measure with it.

It speaks as much HTTP/1.1 as the two servers that are measured answer: keep-alive, bodies with a length.
A client library would cost more than the server, and that would be what is measured.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from bench.harness import CHECKOUT


class Link:
    """One connection; an async context manager."""

    def __init__(self, port: int) -> None:
        """Connect to nothing yet."""
        self._port = port

    async def __aenter__(self) -> Self:
        """Connect to the server of this machine."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Hang up."""
        self._writer.close()

    async def ask(self, method: str, path: str, body: bytes = b"") -> bytes:
        """The body of the answer.

        Raises:
            RuntimeError: the status is no 2xx; what the server said is in the message.
        """
        head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._writer.write(head.encode() + b"\r\n" + body)
        answer = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        _, _, after = answer.partition(b"content-length:")
        length = int(after.partition(b"\r\n")[0] or 0)
        content = await self._reader.readexactly(length) if length else b""
        if answer[9:10] != b"2":
            message = f"{method} {path}: {answer[9:12].decode()} {content[:300].decode()}"
            raise RuntimeError(message)
        return content

    async def json(self, method: str, path: str, body: object = None) -> object:
        """The JSON of the answer; None where there is none."""
        content = await self.ask(method, path, b"" if body is None else json.dumps(body).encode())
        return json.loads(content) if content else None


class ServerProcess:
    """A server that is ready, and what it used."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.port, self._process = port, process

    def cpu_s(self) -> float:
        """CPU seconds of the process so far, all threads together."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / 100

    def rss_kb(self) -> float:
        """Memory of the process now."""
        for line in Path(f"/proc/{self._process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return float(line.split()[1])
        return 0.0


@contextmanager
def server(folder: Path, *command: str) -> Iterator[ServerProcess]:
    """A server process in an empty folder, from its first line until it is told to stop.

    Raises:
        RuntimeError: it did not say where it listens.
    """
    arguments = [sys.executable, "-m", *command]
    environment = {"PYTHONPATH": str(CHECKOUT), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    with subprocess.Popen(
        arguments, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            if " on http://" not in line:
                message = f"{' '.join(command)} is not ready: {line!r}"
                raise RuntimeError(message)
            yield ServerProcess(process, int(line.rpartition(":")[2]))
        finally:
            process.terminate()


def asyncflow_server(folder: Path) -> tuple[Path, tuple[str, ...]]:
    """What `server` takes to run `asyncflow serve` on a file in a folder."""
    return folder, ("asyncflow", "serve", "--port", "0", "--db", str(folder / "w.db"))
