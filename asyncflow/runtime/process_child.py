"""The process that runs task functions one after the other; `task_process` holds the other end of the line.

It must start quickly and die surely: when the engine goes away, whatever it runs, and all it has started,
is killed. A frame is a kind, a length and that many bytes of JSON, both ways.
"""

from __future__ import annotations

import contextlib
import io
import os
import signal
import socket
import struct
import sys
import threading
from dataclasses import asdict
from queue import SimpleQueue
from types import FrameType
from typing import cast

from pydantic_core import from_json, to_json

from asyncflow.errors import LimitExceeded
from asyncflow.model.values import JsonObject
from asyncflow.runtime.attempt_records import AttemptRecord, LogLine
from asyncflow.runtime.attempt_results import OUTPUT_LIMIT, failure_of, freeze_output, traceback_tail
from asyncflow.runtime.binding import binding_of
from asyncflow.runtime.context import TaskContext
from asyncflow.runtime.function_location import FunctionLocation, load_function

HEADER = struct.Struct("!BI")
CALL, RESULT, FAILURE, TOLD, PRINTED = range(5)

FAILURE_TRACEBACK_BYTES = 16_384
PRINTED_CHARACTERS = 8_000  # of one line; longer ones come in several


class _Line:
    """The child's end: frames go out whole, whichever thread sends them."""

    def __init__(self, line: socket.socket) -> None:
        self._socket = line
        self._lock = threading.Lock()
        self.calls: SimpleQueue[bytes] = SimpleQueue()

    def send(self, kind: int, body: bytes) -> None:
        """Write one frame; blocks while the engine is busy."""
        with self._lock:
            self._socket.sendall(HEADER.pack(kind, len(body)) + body)

    def read_calls(self) -> None:
        """Take calls until the engine closes the line or dies; then end this process and its group."""
        source = self._socket.makefile("rb")
        with contextlib.suppress(OSError):
            while len(header := source.read(HEADER.size)) == HEADER.size:
                _kind, size = HEADER.unpack(header)
                body = source.read(size)
                if len(body) < size:
                    break
                self.calls.put(body)
        os.killpg(0, signal.SIGKILL)

    # --- the sink of task contexts -----------------------------------------------------------

    def report_heartbeat(self, _execution_id: str, _number: int) -> None:
        """See `AttemptSink`."""
        self._tell("report_heartbeat", {})

    def write_log(self, _execution_id: str, _number: int, line: LogLine) -> None:
        """See `AttemptSink`."""
        self._tell("write_log", asdict(line))

    def record(self, _execution_id: str, _number: int, record: AttemptRecord) -> None:
        """See `AttemptSink`."""
        self._tell(type(record).__name__, asdict(record))

    def _tell(self, kind: str, values: JsonObject) -> None:
        self.send(TOLD, to_json([kind, values]))


class _Printed(io.TextIOBase):
    """What stands for stdout or stderr: whole lines travel in order with the call's result."""

    encoding = "utf-8"

    def __init__(self, line: _Line, stream: str, descriptor: int) -> None:
        self._line, self._stream, self._descriptor = line, stream, descriptor
        self._rest = ""
        self._guard = threading.RLock()
        # what is written past this object reaches the log by the engine's pipe
        self.buffer = io.FileIO(descriptor, "wb", closefd=False)

    def fileno(self) -> int:
        """The pipe for those who need a file: programs that are started, `faulthandler`."""
        return self._descriptor

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, text: str) -> int:
        """Send every line that is complete; keep the rest."""
        with self._guard:
            *lines, self._rest = (self._rest + text).split("\n")
            for line in lines:
                self._send(line)
            while len(self._rest) > PRINTED_CHARACTERS:
                self._send(self._rest[:PRINTED_CHARACTERS])
                self._rest = self._rest[PRINTED_CHARACTERS:]
        return len(text)

    def end_call(self) -> None:
        """Send a last line that has no end."""
        with self._guard:
            if self._rest:
                self._send(self._rest)
                self._rest = ""

    def _send(self, text: str) -> None:
        for start in range(0, len(text) or 1, PRINTED_CHARACTERS):
            part = text[start : start + PRINTED_CHARACTERS].encode("utf-8", "replace").decode()
            self._line.send(PRINTED, to_json([self._stream, part]))


class _Child:
    """The main thread: performs calls, one at a time."""

    def __init__(self, line: _Line) -> None:
        self._line = line
        self._streams = (_Printed(line, "stdout", 1), _Printed(line, "stderr", 2))
        self._ending = False

    def serve(self) -> None:
        """Perform calls until the engine says SIGTERM or goes away."""
        signal.signal(signal.SIGTERM, self._terminate)
        sys.stdout, sys.stderr = self._streams
        threading.Thread(target=self._line.read_calls, daemon=True).start()
        while True:
            kind, body = self._perform(self._line.calls.get())
            for stream in self._streams:
                stream.end_call()
            self._line.send(kind, body)

    def _terminate(self, _number: int, _frame: FrameType | None) -> None:
        """Let the function's `finally` run; the engine kills what takes longer than it waits."""
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        self._ending = True
        raise SystemExit(128 + signal.SIGTERM)

    def _perform(self, body: bytes) -> tuple[int, bytes]:
        try:
            call: JsonObject = from_json(body)
            value = self._run(call)
            limit = call["limit"]
            assert isinstance(limit, int)
            output, _size = freeze_output(value, limit=limit)
            return RESULT, to_json(output)
        except BaseException as error:
            if self._ending:
                raise
            status, reason, _output = failure_of(error)
            too_large = (
                error.actual if isinstance(error, LimitExceeded) and error.limit == OUTPUT_LIMIT else 0
            )
            text = traceback_tail(error, limit=FAILURE_TRACEBACK_BYTES)
            return FAILURE, to_json([status, reason, text, too_large])

    def _run(self, call: JsonObject) -> object:
        function = load_function(FunctionLocation(*cast("list[str]", call["function"])))
        inputs = cast("JsonObject", call["inputs"])
        binding = binding_of(function)
        facts = cast("JsonObject | None", call["context"])
        context = None if facts is None else TaskContext.from_facts(facts, self._line)
        if binding.whole is None:
            return function(**binding.bind(inputs, context))
        return function(**inputs, **({} if binding.context is None else {binding.context: context}))


def main() -> None:
    """Serve the line that came as standard input, which then is empty for everybody else."""
    line = socket.socket(fileno=os.dup(0))  # a duplicate is not inherited by what the function starts
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    try:
        _Child(_Line(line)).serve()
    except (BrokenPipeError, ConnectionResetError):  # the engine has gone: nobody to tell
        os.killpg(0, signal.SIGKILL)
