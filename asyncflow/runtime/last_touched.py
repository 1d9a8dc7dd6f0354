"""Which executions this process is at right now, written where it outlives the process: into a mapped file.

A process that is killed, runs out of memory or crashes in foreign code says nothing; the next one reads here
what it was at. It judges by counts only; whoever is at it too often is set aside by `runtime/taking_up`.
"""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import mmap
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from struct import Struct
from typing import NamedTuple, TypeVar

log = logging.getLogger("asyncflow.engine")

T = TypeVar("T")

READING, DECIDING, PERFORMING = b"r", b"d", b"p"
"""What is being done for an execution: folding its history, deciding, or a step of a function of its."""

_WORDS = {"r": "reading its history", "d": "deciding it", "p": "performing a task of it"}
_COUNTS = 32 << 10  # bytes before the slots: what earlier deaths came to
_SLOT = 64  # bytes; an id of an execution has 36
_SLOTS = 512  # the loop, and the threads of functions
_LONGEST = _SLOT - 2
_write_slot = Struct(f"c{_SLOT - 1}s").pack_into  # with zeros behind


class Death(NamedTuple):
    """What is known of an execution that a process was at when it died.

    Attributes:
        times: how many processes in a row did, without the execution having come further in between.
        progress: how far it had come, as far as anybody looked; -1 if nobody did.
        at: what was being done for it the last time.
    """

    times: int
    progress: int
    at: str

    @property
    def told(self) -> str:
        """The same in words."""
        return f"the process died {self.times} times in a row while {_WORDS.get(self.at, 'at it')}"


class LastTouched:
    """The file, and who stands in it.

    Attributes:
        deaths: executions that the process before was at when it died; empty after a clean stop.
    """

    def __init__(self, path: Path | None) -> None:
        """Write nothing yet; without a path, never."""
        self.deaths: dict[str, Death] = {}
        self._path = path
        self._map: mmap.mmap | bytearray = bytearray(_SLOT)
        self._free: list[int] = []
        self.is_open = False

    def open(self) -> None:
        """Read what the process before was at, and begin to write what this one is at.

        A file that cannot be read or written is told of in the log and done without.
        """
        if self._path is None:
            return
        try:
            self.deaths = _read(self._path)
            self._map = _mapped(self._path)
        except OSError as error:
            log.warning("not known what a crash was at", extra={"reason": str(error)})
            return
        self.is_open = True
        self._free = [_COUNTS + number * _SLOT for number in range(1, _SLOTS)]
        self.remember()

    def remember(self) -> None:
        """Write down what is known of deaths, for the process after this."""
        if self.is_open:
            text = json.dumps({stream: list(death) for stream, death in self.deaths.items()}).encode()
            self._map[: len(text) + 1] = text + b"\0"

    def close(self) -> None:
        """This process does not die of anything: there is nothing to tell the next one."""
        if self.is_open:
            self.is_open = False
            assert isinstance(self._map, mmap.mmap)
            self._map.close()
            self._map = bytearray(_SLOT)
            with contextlib.suppress(OSError):
                assert self._path is not None
                self._path.unlink()

    # --- on the loop ------------------------------------------------------------------------------

    def at(self, doing: bytes, stream: str) -> None:
        """The loop is at this execution from here on. Cost: 0.15 µs."""
        if self.is_open and len(stream) < _LONGEST:
            _write_slot(self._map, _COUNTS, doing, stream.encode())

    def left(self) -> None:
        """The loop is at no execution any more."""
        if self.is_open:
            self._map[_COUNTS] = 0

    # --- in threads -------------------------------------------------------------------------------

    def threaded(self, stream: str, call: Callable[[], T]) -> Callable[[], T]:
        """The same call, which tells as long as it lasts that its thread is at the execution."""
        if not self.is_open or len(stream) >= _LONGEST:
            return call

        def marked() -> T:
            try:
                place = self._free.pop()
            except IndexError:
                return call()  # more threads than slots: one of them is not told of
            text = PERFORMING + stream.encode() + b"\0"
            self._write(place, text)
            try:
                return call()
            finally:
                self._write(place, b"\0")
                self._free.append(place)

        return marked

    def _write(self, place: int, text: bytes) -> None:
        if self.is_open:  # a thread may outlive the engine
            with contextlib.suppress(ValueError, IndexError):
                self._map[place : place + len(text)] = text


NOWHERE = LastTouched(None)
"""For who is not at anything that could kill a process that anybody counts on."""


def _mapped(path: Path) -> mmap.mmap:
    """The file with empty slots, in memory."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.ftruncate(descriptor, 0)
        wanted = _COUNTS + _SLOTS * _SLOT
        if os.write(descriptor, bytes(wanted)) < wanted:  # to touch a hole of a full disk would kill us
            raise OSError(errno.ENOSPC, "no room for it", str(path))
        return mmap.mmap(descriptor, wanted)
    finally:
        os.close(descriptor)


def _read(path: Path) -> dict[str, Death]:
    """What the process before was at, each counted on from what it knew itself."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    known = _known(content[:_COUNTS])
    found: dict[str, Death] = {}
    for place in range(_COUNTS, len(content), _SLOT):
        text = content[place : place + _SLOT].partition(b"\0")[0].decode(errors="replace")
        if text:
            before = known.get(text[1:], Death(0, -1, ""))
            found[text[1:]] = Death(before.times + 1, before.progress, text[0])
    return found


def _known(text: bytes) -> Mapping[str, Death]:
    try:
        found = json.loads(text.partition(b"\0")[0] or b"{}")
        return {stream: Death(int(fact[0]), int(fact[1]), str(fact[2])) for stream, fact in found.items()}
    except (ValueError, TypeError, AttributeError, LookupError):
        return {}  # the process died while it wrote this
