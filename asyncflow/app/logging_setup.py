"""The log of a process that is ours: one line per event, as JSON or for people, bounded and without secrets.

Only `asyncflow serve` sets it up; a program that embeds an engine keeps its own. Lines are made where they
are logged and written by a thread, so that whoever does not read them holds up nobody. The forms of a line
are in `log_lines`.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Final, NamedTuple, Self, TextIO

from asyncflow.app.log_lines import FORMATS, Format
from asyncflow.runtime.secrets_in_use import Redactor

WINDOW_S: Final = 10.0
ALIKE: Final = 20
"""Lines of one statement in a window; what authors log is not counted by statement."""
ALTOGETHER: Final = 1_000
"""Lines of one logger in a window."""

_WAITING = 10_000  # lines that are not written yet; more are dropped
_KEYS = 1_000
_CLOSE_S = 2.0
_AUTHORS = "asyncflow.tasks"
_QUIET = ("aiohttp", "asyncio")

_Key = tuple[str, int, str, str]


class LogSettings(NamedTuple):
    """How lines look, and from which level on there are any."""

    format: Format = "console"
    level: str = "info"


class Repetition:
    """Says which lines are too many: of one statement, or of one logger, in a window of time."""

    def __init__(self) -> None:
        """Nothing was logged."""
        self._since_s = 0.0
        self._alike: dict[_Key, int] = {}
        self._altogether: dict[str, int] = {}

    def passes(self, record: logging.LogRecord) -> bool:
        """Whether the line is to be written."""
        name = record.name
        if name != _AUTHORS:
            key = _key(record)
            if key not in self._alike and len(self._alike) >= _KEYS:
                key = (name, record.levelno, "", "")
            alike = self._alike[key] = self._alike.get(key, 0) + 1
            if alike > ALIKE:
                return False  # and it takes no room of other statements
        count = self._altogether[name] = self._altogether.get(name, 0) + 1
        return count <= ALTOGETHER

    def notices(self, now_s: float) -> list[str]:
        """What to say of lines that were left out, when a window is over."""
        if 0 <= now_s - self._since_s < WINDOW_S:
            return []
        found = [
            f"{count - ALIKE} more lines like this were left out: {name}: {message}"
            for (name, _, message, _), count in self._alike.items()
            if count > ALIKE
        ]
        found += [
            f"{count - ALTOGETHER} more lines of {name} were left out"
            for name, count in self._altogether.items()
            if count > ALTOGETHER
        ]
        self._since_s = now_s
        self._alike.clear()
        self._altogether.clear()
        return found


class LogOutlet(logging.Handler):
    """Takes the records of a process and has their lines written; a context manager.

    Attributes:
        lost: lines that were dropped because nobody read them.
    """

    def __init__(self, stream: TextIO, settings: LogSettings | None = None) -> None:
        """Write to this stream, which is not closed; nothing before the context is entered."""
        super().__init__()
        self.lost = 0
        self._settings = settings or LogSettings()
        self._line = FORMATS[self._settings.format]
        self._stream = stream
        self._redactor = Redactor({})
        self._repetition = Repetition()
        self._lines: queue.Queue[str | None] = queue.Queue(_WAITING)
        self._thread: threading.Thread | None = None
        self._before: list[tuple[logging.Logger, int]] = []

    def hide(self, secrets: Mapping[str, str]) -> None:
        """Take these values out of every line from here on."""
        self._redactor = Redactor(secrets)

    def __enter__(self) -> Self:
        """Take what everybody in this process logs."""
        self._thread = threading.Thread(target=self._write_all, name="asyncflow-log", daemon=True)
        self._thread.start()
        root, level = logging.getLogger(), getattr(logging, self._settings.level.upper())
        quiet = [(logging.getLogger(name), max(level, logging.WARNING)) for name in _QUIET]
        for logger, wanted in [(root, level), *quiet]:
            self._before.append((logger, logger.level))
            logger.setLevel(wanted)
        root.addHandler(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave everything as it was; what is logged already is written."""
        logging.getLogger().removeHandler(self)
        for logger, level in self._before:
            logger.setLevel(level)
        self._before = []
        self.close()

    def emit(self, record: logging.LogRecord) -> None:
        """Have the line of a record written, unless there were too many like it."""
        try:
            for notice in self._repetition.notices(record.created):
                self._put(self._line(_notice(notice, record), self._redactor))
            if self._repetition.passes(record):
                self._put(self._line(record, self._redactor))
        except Exception:  # noqa: BLE001 - a line that cannot be made breaks nobody's work
            self.handleError(record)

    def _put(self, line: str) -> None:
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.lost += 1

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line)
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                self.lost += 1  # the disk is full, or the reader has gone: the work goes on

    def close(self) -> None:
        """Write what waits, for two seconds at most."""
        thread, self._thread = self._thread, None
        if thread is not None:
            try:
                self._lines.put(None, timeout=_CLOSE_S)
            except queue.Full:
                return  # nobody reads
            thread.join(_CLOSE_S)
        super().close()


def _key(record: logging.LogRecord) -> _Key:
    kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
    return record.name, record.levelno, str(record.msg), kind


def _notice(text: str, cause: logging.LogRecord) -> logging.LogRecord:
    facts = {
        "name": "asyncflow.log",
        "levelno": logging.WARNING,
        "levelname": "WARNING",
        "msg": "%s",
        "args": (text,),
        "created": cause.created,
    }
    return logging.makeLogRecord(facts)
