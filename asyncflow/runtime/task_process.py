"""One child process for task functions, seen from the engine: calls go in, ends and lines come out.

It performs one call at a time and is replaced, not repaired. Read `process_executor` for the pool and
`process_child` for the other end.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from typing import NamedTuple, cast

from pydantic_core import from_json

from asyncflow.errors import InvalidInput, LimitExceeded, TaskFailed, TerminalTaskFailed
from asyncflow.model.statuses import FAILED_TERMINALLY
from asyncflow.runtime.attempt_results import OUTPUT_LIMIT, DistantTraceback
from asyncflow.runtime.context import TaskContext
from asyncflow.runtime.process_child import CALL, FAILURE, HEADER, PRINTED, PRINTED_CHARACTERS, RESULT, TOLD

log = logging.getLogger("asyncflow.process")

_BOOT = (
    "import sys, json; sys.path[:] = json.loads(sys.argv.pop()); "
    "from asyncflow.runtime.process_child import main; main()"
)
_STRANGERS_SECONDS = 1.0  # a program that left the group may hold the ends of a dead process open
_STREAMS = {1: "stdout", 2: "stderr"}


class ProcessCall(NamedTuple):
    """One call: its frame, the name people know it by, who is told what it tells, its output's limit."""

    body: bytes
    label: str
    context: TaskContext | None
    limit: int


class TaskProcess(asyncio.SubprocessProtocol):
    """A process and the call it performs.

    Attributes:
        ended: done once the process is gone and reaped; never cancelled by us.
        process_id: of the process and its group.
    """

    def __init__(self, on_end: Callable[[TaskProcess], None], *, grace_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        self.process_id = 0
        self._on_end, self._grace = on_end, grace_seconds
        self._call: ProcessCall | None = None
        self._answer: asyncio.Future[object] | None = None
        self._process: asyncio.SubprocessTransport | None = None
        self._line: asyncio.WriteTransport | None = None
        self._line_open = True
        self._exited = False
        self._timer: asyncio.TimerHandle | None = None
        self._rest = {1: b"", 2: b""}

    async def start(self) -> None:
        """Start the interpreter; it is ready for a call at once, and takes it when it has come up.

        Raises:
            OSError: the system starts no process now.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                await self._spawn(theirs)
            except BaseException:
                ours.close()
                raise
        await self._loop.create_connection(lambda: _LineProtocol(self), sock=ours)

    async def _spawn(self, theirs: socket.socket) -> None:
        path = json.dumps([str(entry) for entry in sys.path])
        await self._loop.subprocess_exec(
            lambda: self,
            sys.executable,
            "-c",
            _BOOT,
            path,
            stdin=theirs.fileno(),
            start_new_session=True,  # Ctrl-C is the engine's affair, and the group is ours to kill
        )

    def perform(self, call: ProcessCall) -> asyncio.Future[object]:
        """Send the call; the future has the output, or what failed."""
        assert self._line is not None
        assert self._answer is None
        self._call, self._answer = call, self._loop.create_future()
        answer = self._answer
        if self.ended.done():
            self.refuse(TaskFailed(self._verdict()))
        else:
            self._line.writelines((HEADER.pack(CALL, len(call.body)), call.body))
        return answer

    def refuse(self, error: Exception) -> None:
        """Answer the call under way, if there is one, with this error."""
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_exception(error)

    def terminate(self) -> None:
        """Ask the process and all it started to end, kill them after the grace; nobody waits for its call."""
        if self._timer is None and not self._exited:
            self._signal(signal.SIGTERM)
            self._timer = self._loop.call_later(self._grace, self.kill)

    def kill(self) -> None:
        """End the process and all it started now."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self.process_id:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # gone already
                os.killpg(self.process_id, number)

    # --- what asyncio tells of the process ----------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The process has started."""
        # uvloop's transports do not inherit from asyncio's
        self._process = cast("asyncio.SubprocessTransport", transport)
        self.process_id = self._process.get_pid() or 0

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:
        """Something wrote past Python's streams: a library, or a program the function started."""
        assert isinstance(data, bytes)
        *lines, rest = (self._rest[fd] + data).split(b"\n")
        if len(rest) > PRINTED_CHARACTERS:
            lines, rest = [*lines, rest], b""
        self._rest[fd] = rest
        for line in lines:
            self._print(_STREAMS[fd], line.decode("utf-8", "replace"))

    def process_exited(self) -> None:
        """The process is gone and reaped; what it started and left behind goes too."""
        self._exited = True
        self.kill()
        if self._line_open:
            self._loop.call_later(_STRANGERS_SECONDS, self._cut)
        self._finish()

    def _cut(self) -> None:
        """Stop reading from a dead process whose ends somebody else still holds."""
        if self._line is not None:
            self._line.abort()

    # --- what the line tells -----------------------------------------------------------------

    def line_made(self, line: asyncio.WriteTransport) -> None:
        """The line is up."""
        self._line = line

    def line_lost(self) -> None:
        """Everything the process said has been read."""
        self._line_open = False
        if not self._exited:
            self.kill()
        self._finish()

    def frame(self, kind: int, body: bytes) -> None:
        """One frame of the child."""
        call = self._call
        if call is None:
            return
        if kind == TOLD:
            if call.context is not None:
                name, values = from_json(body)
                call.context.relay(name, values)
        elif kind == PRINTED:
            self._print(*from_json(body))
        else:
            answer, self._answer = self._answer, None
            if answer is not None and not answer.done():
                _settle(answer, kind, body, call.limit)

    def _print(self, stream: str, text: str) -> None:
        call = self._call
        if call is not None and call.context is not None:
            call.context.log(text, stream=stream)
        else:
            log.info("%s", text, extra={"stream": stream, "function": "" if call is None else call.label})

    def _finish(self) -> None:
        if not self._exited or self._line_open or self.ended.done():
            return
        if self._timer is not None:
            self._timer.cancel()
        for fd, rest in self._rest.items():
            if rest:
                self._print(_STREAMS[fd], rest.decode("utf-8", "replace"))
        self.refuse(TaskFailed(self._verdict()))
        if self._process is not None:
            self._process.close()
        self.ended.set_result(None)
        self._on_end(self)

    def _verdict(self) -> str:
        code = None if self._process is None else self._process.get_returncode()
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        label = "" if self._call is None else self._call.label
        return f"the process ended with {how} while running {label}"


class _LineProtocol(asyncio.Protocol):
    """Cuts what the child sends into frames."""

    def __init__(self, process: TaskProcess) -> None:
        self._process = process
        self._received = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._process.line_made(cast("asyncio.WriteTransport", transport))

    def data_received(self, data: bytes) -> None:
        received = self._received
        received += data
        start = 0
        while len(received) - start >= HEADER.size:
            kind, size = HEADER.unpack_from(received, start)
            end = start + HEADER.size + size
            if len(received) < end:
                break
            self._process.frame(kind, bytes(received[start + HEADER.size : end]))
            start = end
        del received[:start]

    def connection_lost(self, _exc: Exception | None) -> None:
        self._process.line_lost()


def _settle(answer: asyncio.Future[object], kind: int, body: bytes, limit: int) -> None:
    if kind == RESULT:
        try:
            answer.set_result(from_json(body))
        except ValueError as fault:  # an integer of thousands of digits
            answer.set_exception(InvalidInput(f"what the task returned is not JSON: {fault}", field="result"))
        return
    assert kind == FAILURE
    status, reason, text, too_large = cast("list[object]", from_json(body))
    error: Exception
    if isinstance(too_large, int) and too_large:
        error = LimitExceeded(OUTPUT_LIMIT, allowed=limit, actual=too_large)
    elif status == FAILED_TERMINALLY:
        error = TerminalTaskFailed(str(reason))
    else:
        error = TaskFailed(str(reason))
    error.__cause__ = DistantTraceback(str(text))
    answer.set_exception(error)
