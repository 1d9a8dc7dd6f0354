"""The body of a command task: one local process, bounded, from its input to its outcome.

No shell ever sees the arguments, and nothing the process started outlives it in its process
group. It must not be enabled by a definition, only by whoever runs the engine. Read
`command_input` for what may be asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from threading import Thread
from typing import NamedTuple

from asyncflow.model.values import JsonObject
from asyncflow.runtime.clock import comes_within
from asyncflow.runtime.command_input import CommandPolicy, CommandRefused, Plan, planned

__all__ = ["CommandOutcome", "CommandPolicy", "run_command"]

_TAIL_BYTES = 64 * 1024
_LEFTOVER_SECONDS = 1.0  # for output still in the pipe once everything that wrote it is dead


class CommandOutcome(NamedTuple):
    """How a command ended.

    Attributes:
        ok: whether it ended by itself with exit code 0.
        output: `exitCode` (null if a signal ended it), `signal`, `stdout` and `stderr`, the last
            64 KiB of each as text (null where it went to a file), `timedOut`.
        reason: why it failed; None if it did not.
    """

    ok: bool
    output: JsonObject
    reason: str | None = None


async def run_command(input: JsonObject, *, policy: CommandPolicy) -> CommandOutcome:  # noqa: A002  # the task's input
    """Run the command once and say how it ended.

    Args:
        input: `executable`, `args`, `workdir`, `env`, `stdout`, `stderr`, `timeoutSeconds`.
        policy: whether commands may run, where, and their bounds.

    Cancellation: the process group gets SIGTERM, after the grace or at a second cancellation SIGKILL;
    it is gone and reaped when the cancellation passes on.
    Cost: starting holds the loop for one or two milliseconds.
    """
    try:
        plan = planned(input, policy)
        process = _start(plan)
    except CommandRefused as fault:
        return CommandOutcome(ok=False, output={}, reason=str(fault))
    except (OSError, ValueError) as error:
        text = f"cannot start {str(input.get('executable'))[:200]!r}: {error}"
        return CommandOutcome(ok=False, output={}, reason=text)
    return await _Running(process, plan).outcome()


class _Tail(asyncio.Protocol):
    """Keeps the end of what a pipe brings."""

    def __init__(self) -> None:
        self._kept = bytearray()
        self.ended = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._kept += data
        if len(self._kept) > 2 * _TAIL_BYTES:
            del self._kept[:-_TAIL_BYTES]

    def connection_lost(self, _exc: Exception | None) -> None:
        self.ended.set()

    def text(self) -> str:
        return self._kept[-_TAIL_BYTES:].decode("utf-8", "replace")


class _Running:
    """One process from its start until it is reaped."""

    def __init__(self, process: subprocess.Popen[bytes], plan: Plan) -> None:
        self._process, self._plan = process, plan
        self._tails: list[_Tail | None] = []
        self._transports: list[asyncio.BaseTransport] = []

    async def outcome(self) -> CommandOutcome:
        """Wait for the end; whatever happens, the group is gone afterwards."""
        try:
            exited, stop_watching = _watch(self._process.pid)
        except OSError as error:  # no descriptor or thread left to learn of its end
            self._kill_group()
            self._process.wait()
            return CommandOutcome(ok=False, output={}, reason=f"cannot watch the command: {error}")
        timed_out = False
        try:
            await self._connect()
            timed_out = not await comes_within(exited, self._plan.wall_seconds)
            if timed_out:
                await self._terminate(exited)
            self._kill_group()
            await self._drain()
        except asyncio.CancelledError:
            await self._end(exited)
            raise
        finally:
            self._kill_group()
            self._process.wait()  # dead already: this only reaps
            stop_watching()
            for transport in self._transports:
                transport.close()
        return self._result(timed_out=timed_out)

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is None:
                self._tails.append(None)
                continue
            transport, tail = await loop.connect_read_pipe(_Tail, pipe)
            self._transports.append(transport)
            self._tails.append(tail)

    async def _terminate(self, exited: asyncio.Event) -> None:
        """SIGTERM to the group, then the grace, then SIGKILL; returns when the leader is dead."""
        _signal_group(self._process.pid, signal.SIGTERM)
        await comes_within(exited, self._plan.grace_seconds)
        self._kill_group()
        await exited.wait()

    async def _end(self, exited: asyncio.Event) -> None:
        """As `_terminate`, to its end; whoever cancels again meanwhile has no time for the grace."""
        ending = asyncio.get_running_loop().create_task(self._terminate(exited))
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError:
                self._kill_group()

    def _kill_group(self) -> None:
        """While the leader is not reaped its number cannot belong to another group."""
        if self._process.returncode is None:
            _signal_group(self._process.pid, signal.SIGKILL)

    async def _drain(self) -> None:
        """What was written before the end; a process that left the group may hold a pipe open."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LEFTOVER_SECONDS):
                for tail in self._tails:
                    if tail is not None:
                        await tail.ended.wait()

    def _result(self, *, timed_out: bool) -> CommandOutcome:
        code = self._process.returncode
        stdout, stderr = (None if tail is None else tail.text() for tail in self._tails)
        name = _signal_name(-code) if code < 0 else None
        output: JsonObject = {
            "exitCode": code if code >= 0 else None,
            "signal": name,
            "stdout": stdout,
            "stderr": stderr,
            "timedOut": timed_out,
        }
        if timed_out:
            return CommandOutcome(
                ok=False, output=output, reason=f"timed out after {self._plan.wall_seconds:g} s"
            )
        if code == 0:
            return CommandOutcome(ok=True, output=output)
        why = f"ended by {name}" if name else f"exit code {code}"
        last = (stderr or "").rstrip().rpartition("\n")[2][-500:]
        return CommandOutcome(ok=False, output=output, reason=f"{why}: {last}" if last else why)


def _start(plan: Plan) -> subprocess.Popen[bytes]:
    """The process, in a session and group of its own, with no file of ours but its output."""
    with contextlib.ExitStack() as files:
        targets: list[int] = []
        for path in (plan.stdout, plan.stderr):
            if path is None:
                targets.append(subprocess.PIPE)
                continue
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_NONBLOCK
            target = os.open(path, flags, 0o600)  # non-blocking: a named pipe must not hold the loop
            files.callback(os.close, target)
            os.set_blocking(target, True)
            targets.append(target)
        process = subprocess.Popen(
            plan.command,
            cwd=plan.workdir,
            env=plan.environment,
            stdin=subprocess.DEVNULL,
            stdout=targets[0],
            stderr=targets[1],
            bufsize=0,
            start_new_session=True,
        )
    _limit_cpu(process.pid, plan.cpu_seconds)
    return process


def _limit_cpu(pid: int, seconds: int | None) -> None:
    """Bound the CPU time of the process and of what it starts, where the system can do so from outside."""
    if seconds is None:
        return
    try:
        from resource import RLIMIT_CPU, prlimit  # noqa: PLC0415  # Linux only
    except ImportError:
        return
    with contextlib.suppress(ProcessLookupError):
        prlimit(pid, RLIMIT_CPU, (seconds, seconds + 1))


def _watch(pid: int) -> tuple[asyncio.Event, Callable[[], None]]:
    """An event set when the process is dead but not reaped, and what ends the watching."""
    loop, exited = asyncio.get_running_loop(), asyncio.Event()
    if hasattr(os, "pidfd_open"):
        descriptor = os.pidfd_open(pid)
        loop.add_reader(descriptor, exited.set)

        def stop() -> None:
            loop.remove_reader(descriptor)
            os.close(descriptor)

        return exited, stop

    def wait() -> None:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with contextlib.suppress(RuntimeError):  # the loop has closed: nobody waits
            loop.call_soon_threadsafe(exited.set)

    Thread(target=wait, name="asyncflow-command", daemon=True).start()
    return exited, lambda: None


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # empty, or of zombies only (macOS)
        os.killpg(pid, number)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
