"""A record of the log as one line: JSON for programs, a readable one for people.

Whatever was logged, a line stays a line: control characters are escaped, so nobody can forge another one.
Secrets are taken out of every text before it is escaped. Which lines are written is `logging_setup`'s affair.
"""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal

from asyncflow.runtime.log_context import subject
from asyncflow.runtime.secrets_in_use import Redactor

Format = Literal["console", "json"]

MESSAGE_CHARACTERS: Final = 8_192
STACK_CHARACTERS: Final = 16_384

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


def json_line(record: logging.LogRecord, redactor: Redactor) -> str:
    """`{"time": …, "level": …, "logger": …, "message": …, …}`, plain ASCII."""
    line: dict[str, object] = {
        "time": _time(record),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": _cut(redactor.text(record.getMessage()), MESSAGE_CHARACTERS),
    }
    line = {**line, **_facts(record, redactor), **line}  # facts stand last, and overrule nothing
    stack = _stack(record)
    if stack:
        line["exception"] = _cut(redactor.text(stack), STACK_CHARACTERS)
    return json.dumps(line, default=str) + "\n"


def console_line(record: logging.LogRecord, redactor: Redactor) -> str:
    """Time, level, logger, message, then facts as `key=value`; the lines of a stack are set off below it."""
    message = escaped(_cut(redactor.text(record.getMessage()), MESSAGE_CHARACTERS))
    facts = "".join(f" {key}={_value(value)}" for key, value in _facts(record, redactor).items())
    line = f"{_time(record)} {record.levelname:<8} {record.name}: {message}{facts}\n"
    stack = _stack(record)
    if stack:
        shown = _cut(redactor.text(stack), STACK_CHARACTERS).splitlines()
        line += "".join(f"    | {escaped(each)}\n" for each in shown)
    return line


FORMATS: Mapping[Format, Callable[[logging.LogRecord, Redactor], str]] = {
    "console": console_line,
    "json": json_line,
}


def escaped(text: str) -> str:
    """The text with escapes, as in Python, in place of everything that is no visible character."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else _escape(each) for each in text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode()


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _facts(record: logging.LogRecord, redactor: Redactor) -> dict[str, object]:
    """What the line is about: of the attempt that logs it, and what was given with it, which goes first."""
    about = subject.get()
    found: dict[str, object] = {} if about is None else dict(about._asdict())
    given = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    return redactor.value({**found, **given})


def _stack(record: logging.LogRecord) -> str:
    if not record.exc_info or record.exc_info[1] is None:
        return record.stack_info or ""
    return "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def _value(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    plain = bool(text) and text.isprintable() and not set(text) & set(' ="')
    return text if plain else json.dumps(text)
