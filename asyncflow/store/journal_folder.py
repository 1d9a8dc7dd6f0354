"""Journal files written: one per execution, opened relative to their folder, never through a link.

What was written and is not synced may be lost with the power, and is then written again: who calls keeps its
place until `sync` has returned. What lines are is in `journal_lines`, how files are read in `journal_file`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import os
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from asyncflow.errors import StoreError
from asyncflow.model.events import ExecutionStarted
from asyncflow.model.turn import Recorded
from asyncflow.store.journal_file import JournalFile, read_journal_from
from asyncflow.store.journal_lines import FORMAT, Over, encode_line, events_body

log = logging.getLogger("asyncflow.journal")

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_NAMED = re.compile(r".*\.(?P<id>[^.]+)\.log")
_NAME = 60  # characters of the workflow's name that the name of a file keeps
_PRIVATE = 0o600
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class Heading(NamedTuple):
    """What the first line of a file says; `date` is for the name of the file, such as 2026-03-01."""

    execution_id: str
    name: str
    date: str
    installation: str

    @classmethod
    def of(cls, root: str, first: Recorded, installation: str) -> Heading:
        """That of an execution, by its first event."""
        name = first.event.name if isinstance(first.event, ExecutionStarted) else ""
        day = dt.datetime.fromtimestamp(first.at_ms / 1000, dt.UTC).date()
        return cls(root, name, day.isoformat(), installation)


class Part(NamedTuple):
    """Events of one stream, gap-free, and the definitions that they name first.

    `over` is given where nothing of the execution goes on after them.
    """

    stream: str
    events: list[Recorded]
    definitions: Mapping[str, str]
    over: Over | None = None


def file_name(heading: Heading) -> str:
    """The name of an execution's file, of ids and harmless characters only."""
    name = _UNSAFE.sub("_", heading.name)[:_NAME].strip("_") or "workflow"
    return f"{name}.{heading.date}.{heading.execution_id}.log"


@dataclass(slots=True)
class WrittenFile:
    """What a file holds already.

    Attributes:
        ends: the last event of each stream.
        definitions: the content hashes of those that stand in it.
    """

    name: str
    ends: dict[str, int] = field(default_factory=dict)
    definitions: set[str] = field(default_factory=set)
    lines: int = 0
    size: int = 0

    @classmethod
    def of(cls, found: JournalFile) -> WrittenFile:
        """The same of a file that was read."""
        return cls(found.path.name, found.ends, set(found.definitions), found.lines, found.size)


class JournalFolder:
    """A folder of journal files, held open; all calls block and come from one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Open the folder, and make it if it is not there.

        Raises:
            OSError: it cannot be made or opened.
        """
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = path
        self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self.code: dict[str, str] = {}
        """Fingerprints of functions by task name, which files say of the results that follow."""
        self._names: dict[str, str] = {}
        """By execution, of what is there; read once, as a folder may have very many."""
        for name in os.listdir(self._folder):  # noqa: PTH208 - pathlib lists no open folder
            found = _NAMED.fullmatch(name)
            if found is not None:
                self._names[found["id"]] = name

    def close(self) -> None:
        """Let go of the folder."""
        if self._folder >= 0:
            os.close(self._folder)
            self._folder = -1

    def adopt(self, execution_id: str, name: str) -> None:
        """The file of an execution has this name, whatever its name should be."""
        self._names[execution_id] = name

    def open_file(self, heading: Heading, definitions: Mapping[str, str]) -> WrittenFile:
        """The file of an execution: the one that is there, without its torn end, or a new one with its head.

        One that is damaged, or of another execution, is given another name and written anew.

        Raises:
            OSError: it cannot be read or written.
        """
        name = self._names.get(heading.execution_id, file_name(heading))
        found = self._found(name, heading.execution_id)
        if found is not None:
            self._cut(name, found.size)
            self._names[heading.execution_id] = name
            written = WrittenFile.of(found)
            if found.code | self.code != found.code:
                self._add(written, [encode_line(written.lines + 1, {"code": self.code})])
            return written
        written = WrittenFile(name)
        head = {
            "format": FORMAT,
            "execution": heading.execution_id,
            "name": heading.name,
            "installation": heading.installation,
            "definitions": dict(definitions),
            **({"code": self.code} if self.code else {}),
        }
        with self._opened(written.name, _APPEND | os.O_CREAT | os.O_EXCL) as file:
            self._put(written, file, encode_line(1, head))
        written.lines = 1
        written.definitions.update(definitions)
        self._names[heading.execution_id] = name
        os.fsync(self._folder)
        return written

    def _found(self, name: str, execution_id: str) -> JournalFile | None:
        """What the file of this name holds; None where there is none, or none of use."""
        try:
            with self._opened(name, _READ) as descriptor, open(descriptor, "rb", closefd=False) as file:
                found = read_journal_from(file, self.path / name)
        except FileNotFoundError:
            return None
        except StoreError as damage:
            reason = str(damage)
        else:
            if found.execution_id == execution_id:
                return found
            reason = f"it is of execution {found.execution_id}"
        aside = f"{name}.damaged-{secrets.token_hex(4)}"
        os.rename(name, aside, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        log.warning("journal file set aside and written anew", extra={"file": aside, "reason": reason})
        return None

    def append(self, written: WrittenFile, parts: Sequence[Part]) -> None:
        """Write events at the end of a file; those that it holds are left out.

        All is written or nothing: what was begun is cut off again.

        Raises:
            StoreError: somebody else wrote into the file, or events are missing before these.
            InvalidInput: a value has no JSON form.
            OSError: it cannot be written.
        """
        ends, definitions = dict(written.ends), set(written.definitions)
        lines: list[bytes] = []
        for stream, events, named, over in parts:
            fresh = [event for event in events if event.seq > ends.get(stream, 0)]
            if not fresh:
                continue
            if fresh[0].seq != ends.get(stream, 0) + 1:
                raise StoreError(f"{written.name}: stream {stream}: event {fresh[0].seq} comes too early")
            body = events_body(stream, fresh, over)
            new = {name: text for name, text in named.items() if name not in definitions}
            if new:
                body = {"definitions": new, **body}
            lines.append(encode_line(written.lines + len(lines) + 1, body))
            ends[stream] = fresh[-1].seq
            definitions.update(new)
        if lines:
            self._add(written, lines)
            written.ends, written.definitions = ends, definitions

    def _add(self, written: WrittenFile, lines: Sequence[bytes]) -> None:
        with self._opened(written.name, _APPEND) as file:
            self._put(written, file, b"".join(lines))
        written.lines += len(lines)

    def _put(self, written: WrittenFile, file: int, text: bytes) -> None:
        if os.fstat(file).st_size != written.size:
            raise StoreError(f"{written.name}: somebody else wrote into this journal file")
        left = memoryview(text)
        try:
            while left:
                left = left[os.write(file, left) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(file, written.size)
            raise
        written.size += len(text)

    def sync(self, name: str) -> None:
        """Return when what was written into a file is on the disk. Raises OSError."""
        with self._opened(name, _APPEND) as file:
            os.fsync(file)

    def _cut(self, name: str, size: int) -> None:
        with self._opened(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC) as file:
            if os.fstat(file).st_size > size:
                os.ftruncate(file, size)
                os.fsync(file)

    @contextlib.contextmanager
    def _opened(self, name: str, flags: int) -> Iterator[int]:
        file = os.open(name, flags, _PRIVATE, dir_fd=self._folder)
        try:
            yield file
        finally:
            os.close(file)
