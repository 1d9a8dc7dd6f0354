"""The listener `log`: each event is a line of JSON, in a file that is turned over, or on stderr.

Files lie in one configured folder and nowhere else. A line is written in a thread, and is in the file when
its event counts as taken; it is not fsynced: the journal is what is durable.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import ClassVar, Self

from pydantic import Field, model_validator
from pydantic_core import to_json

from asyncflow.plugins.listeners import CommittedEvent, Listener
from asyncflow.plugins.resources import PluginConfig


class LogConfig(PluginConfig):
    """Settings of a log of events; without a file, lines go to stderr."""

    of_the_machine: ClassVar[frozenset[str]] = frozenset({"folder", "file"})

    folder: Path | None = None
    """Where the files are; it is made if need be."""
    file: str = ""
    """A plain name in that folder."""
    max_bytes: int = Field(default=64 << 20, ge=1_000, le=1 << 40)
    """A file of this size is turned over."""
    keep: int = Field(default=5, ge=0, le=1_000)
    """Older files that are kept, as NAME.1, NAME.2, …"""

    @model_validator(mode="after")
    def _lies_in_its_folder(self) -> Self:
        if bool(self.file) != (self.folder is not None):
            raise ValueError("folder and file go together")
        if self.file and (Path(self.file).name != self.file or self.file in {".", ".."}):
            raise ValueError("file: a plain name is expected")
        return self


class EventLog(Listener):
    """Writes events down."""

    Config: ClassVar[type[PluginConfig]] = LogConfig

    def __init__(self, name: str, config: PluginConfig) -> None:
        """Open no file yet."""
        super().__init__(name, config)
        assert isinstance(config, LogConfig)
        self._settings = config
        self._path = None if config.folder is None else config.folder / config.file

    async def open(self) -> None:
        """Make the folder."""
        if self._path is not None:
            await asyncio.to_thread(self._path.parent.mkdir, parents=True, exist_ok=True)

    async def on_event(self, event: CommittedEvent) -> None:
        """Write a line.

        Raises:
            OSError: it cannot be written now.
        """
        line = to_json(event._asdict(), inf_nan_mode="null") + b"\n"
        if self._path is None:
            await asyncio.to_thread(_to_stderr, line)
        else:
            await asyncio.to_thread(self._write, self._path, line)

    def _write(self, path: Path, line: bytes) -> None:
        if path.is_symlink():
            raise OSError(f"{path.name} is a link, which is not followed")
        size = path.stat().st_size if path.exists() else 0
        if size and size + len(line) > self._settings.max_bytes:
            self._turn_over(path)
            size = 0
        with path.open("ab") as file:
            file.write(line)

    def _turn_over(self, path: Path) -> None:
        older = [path, *(path.with_name(f"{path.name}.{n}") for n in range(1, self._settings.keep + 1))]
        older[-1].unlink(missing_ok=True)
        for target, source in zip(reversed(older[1:]), reversed(older[:-1]), strict=True):
            if source.exists():
                source.replace(target)


def _to_stderr(line: bytes) -> None:
    sys.stderr.write(line.decode())
    sys.stderr.flush()
