"""A small pool of child processes for scripts that cannot be bounded inside the engine.

A child that goes over the time is killed and the scripts queued behind the guilty one go to
another: scripts are pure, so running one again is safe. Nothing here interprets a script; read
`child` for the other end, `evaluator` for who calls.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from pathlib import Path
from typing import NamedTuple, cast

from asyncflow.runtime.scripts.child import ANSWER, REQUEST
from asyncflow.runtime.scripts.outcome import ERROR, KINDS, MEMORY, WALL, Limits, Outcome

_CHILD = str(Path(__file__).with_name("child.py"))
_START_SECONDS = 20.0  # a loaded machine; ten times less is usual
_DEPTH = 8  # scripts sent ahead to one child while all are busy; saves the wait for the loop
_START_ATTEMPTS = 3
_ALARMED = -14  # SIGALRM, by number: not every system knows the name
_MEMORY_CODES = (-signal.SIGABRT, -signal.SIGSEGV)  # jq aborts when it gets none, libraries may crash
_KEPT_VARIABLES = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")  # to start Python at all; then cleared


class _Job(NamedTuple):
    frame: bytes
    answer: asyncio.Future[Outcome]


class _Child(asyncio.Protocol):
    """One process and the scripts sent to it, the first of which it is running."""

    def __init__(self, process: subprocess.Popen[bytes], pool: ScriptProcesses) -> None:
        self.process, self._pool = process, pool
        self.jobs: deque[_Job] = deque()
        self.ready = False
        self.timed_out = False
        self._doomed = False
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.WriteTransport | None = None
        self._received = bytearray()
        self._unsent: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None
        self._arm(_START_SECONDS)

    def send(self, job: _Job) -> None:
        """Queue the script here."""
        self.jobs.append(job)
        if self._transport is None:
            self._unsent.append(job.frame)
        else:
            self._transport.write(job.frame)
        if self.ready and len(self.jobs) == 1:
            self._arm(self._pool.limits.wall_seconds)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line is up; what was queued meanwhile goes out."""
        # uvloop's transports do not inherit from asyncio's
        self._transport = line = cast("asyncio.WriteTransport", transport)
        line.writelines(self._unsent)
        self._unsent.clear()
        if self._doomed:
            line.abort()

    def data_received(self, data: bytes) -> None:
        """Answers come in the order of the scripts; the timer follows the script that runs."""
        self._received += data
        while len(self._received) >= ANSWER.size:
            kind, size = ANSWER.unpack_from(self._received)
            end = ANSWER.size + size
            if len(self._received) < end:
                return
            text = self._received[ANSWER.size : end].decode()
            del self._received[:end]
            if self.ready:
                _answer(self.jobs.popleft(), Outcome(KINDS[kind], text))
            self.ready = True
            self._arm(self._pool.limits.wall_seconds if self.jobs else None)
            self._pool.child_free()

    def connection_lost(self, _exc: Exception | None) -> None:
        """The process has ended or is ending: reap it and tell the pool."""
        self._arm(None)
        self.process.kill()
        self.process.wait()  # at once: it is dead, or dying of the line above
        if not self.closed.done():
            self.closed.set_result(None)
        self._pool.child_lost(self)

    def kill(self) -> None:
        """End the process; what follows comes through `connection_lost`."""
        self._doomed = True
        self.process.kill()
        if self._transport is not None:
            self._transport.abort()

    def _arm(self, seconds: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = None if seconds is None else loop.call_later(seconds, self._expire)

    def _expire(self) -> None:
        self.timed_out = True
        self.kill()


class ScriptProcesses:
    """Runs scripts in at most `size` child processes, which start on demand and stay.

    Attributes:
        limits: what every script is bound by.
        replaced: children that ended before the pool was closed, for whatever reason.
    """

    def __init__(self, size: int, limits: Limits) -> None:
        """A pool with no process yet."""
        self.limits = limits
        self.replaced = 0
        self._size = size
        self._failed_starts = 0
        self._waiting: deque[_Job] = deque()
        self._children: list[_Child] = []
        self._lines: set[asyncio.Task[None]] = set()
        self._closing = False

    @property
    def process_ids(self) -> tuple[int, ...]:
        """The children there are now."""
        return tuple(child.process.pid for child in self._children)

    async def run(self, language: int, source: str, input_text: bytes) -> Outcome:
        """The outcome of one script; `language` is one of `child`'s numbers.

        Cancellation: a script not yet sent is dropped, the outcome of one under way is ignored.
        """
        encoded = source.encode("utf-8", "replace")
        frame = b"".join((REQUEST.pack(language, len(encoded), len(input_text)), encoded, input_text))
        job = _Job(frame, asyncio.get_running_loop().create_future())
        self._waiting.append(job)
        self._dispatch()
        return await job.answer

    async def aclose(self) -> None:
        """Kill and reap every child; scripts under way are cancelled."""
        self._closing = True
        children = list(self._children)
        for child in children:
            child.kill()
        for child in children:
            await child.closed
        for job in self._waiting:
            job.answer.cancel()
        self._waiting.clear()

    def child_free(self) -> None:
        """A child has answered: more may be sent."""
        self._failed_starts = 0
        self._dispatch()

    def child_lost(self, child: _Child) -> None:
        """The child is gone: its first script is the guilty one, the others go elsewhere."""
        self._children.remove(child)
        if self._closing:
            for job in child.jobs:
                job.answer.cancel()
            return
        self.replaced += 1
        jobs = child.jobs
        if child.ready and jobs:
            _answer(jobs.popleft(), _verdict(child))
        elif not child.ready:
            self._failed_starts += 1
        self._waiting.extendleft(reversed(jobs))
        if self._failed_starts >= _START_ATTEMPTS:
            self._fail_waiting(f"the process for scripts does not start (exit {child.process.returncode})")
        self._dispatch()

    def _fail_waiting(self, message: str) -> None:
        self._failed_starts = 0
        while self._waiting:
            _answer(self._waiting.popleft(), Outcome(ERROR, message))

    def _dispatch(self) -> None:
        while self._waiting and not self._closing:
            child = self._choose()
            if child is None:
                return
            job = self._waiting.popleft()
            if not job.answer.done():
                child.send(job)

    def _choose(self) -> _Child | None:
        """An idle child, else a new one, else the one with the fewest scripts, if it has room."""
        least = min(self._children, key=lambda child: len(child.jobs), default=None)
        if least is None or (least.jobs and len(self._children) < self._size):
            return self._start()
        return least if len(least.jobs) < _DEPTH else None

    def _start(self) -> _Child | None:
        """A new child; its start takes the loop about a millisecond, its getting ready does not."""
        ours, theirs = socket.socketpair()
        try:
            process = _spawn(theirs, self.limits)
        except OSError as error:
            ours.close()
            self._fail_waiting(f"the process for scripts does not start: {error}")
            return None
        finally:
            theirs.close()
        child = _Child(process, self)
        self._children.append(child)
        # It only registers the socket and ends at once; `_Child.closed` is what is waited for.
        line = asyncio.get_running_loop().create_task(_connect(child, ours))
        self._lines.add(line)
        line.add_done_callback(self._lines.discard)
        return child


async def _connect(child: _Child, line: socket.socket) -> None:
    def protocol() -> _Child:
        return child

    await asyncio.get_running_loop().create_connection(protocol, sock=line)


def _spawn(line: socket.socket, limits: Limits) -> subprocess.Popen[bytes]:
    """A Python that reads neither its environment nor site files, in a session of its own."""
    numbers = (str(limits.wall_seconds), str(limits.memory_bytes), str(limits.output_bytes))
    return subprocess.Popen(
        [sys.executable, "-I", "-S", _CHILD, *numbers, *sys.path],
        stdin=line.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ},
        cwd="/",
        start_new_session=True,  # Ctrl-C at the terminal is the engine's affair
    )


def _verdict(child: _Child) -> Outcome:
    """What a script that took its process with it is told."""
    code = child.process.returncode
    if child.timed_out or code == _ALARMED:
        return Outcome(WALL)
    return Outcome(MEMORY) if code in _MEMORY_CODES else Outcome(ERROR, f"its process ended with {code}")


def _answer(job: _Job, outcome: Outcome) -> None:
    if not job.answer.done():
        job.answer.set_result(outcome)
