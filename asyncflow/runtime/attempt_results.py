"""What is made of what a task function returned or raised: an output of known size, or a failure as data.

It runs no function and reports to nobody. Read `binding` for how a value becomes a mapping, and `attempts`
for who reports the end.
"""

from __future__ import annotations

import re
import traceback
from typing import Final

from pydantic_core import to_json

from asyncflow.errors import InvalidInput, LimitExceeded, PayloadUnavailable, TaskFailed, TerminalTaskFailed
from asyncflow.model.json_values import find_fault
from asyncflow.model.limits import DEFAULT_LIMITS
from asyncflow.model.statuses import FAILED, FAILED_TERMINALLY
from asyncflow.model.values import JsonObject
from asyncflow.runtime.binding import normalise_result

REASON_CHARACTERS: Final = 500
TRACEBACK_BYTES: Final = 4_096
_TOO_LARGE: Final = "payload_too_large"
OUTPUT_LIMIT: Final = f"{_TOO_LARGE}: task output"

_DEPTH: Final = DEFAULT_LIMITS.document_depth
_DIGITS: Final = DEFAULT_LIMITS.integer_digits
_LONG_INTEGER: Final = re.compile(rb"\d{%d}" % (_DIGITS + 1))
_ONE_KIND: Final = bytes.maketrans(b"[]", b"{}")
_BETWEEN_BRACKETS: Final = re.compile(rb'(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|[^\[\]{}"])++')


def freeze_output(value: object, *, limit: int, checked: int | None = None) -> tuple[JsonObject, int]:
    """The task's output for what its function returned, and its size in bytes of JSON.

    The output is a copy: what the author does with the value later changes nothing. One of more than
    `checked` bytes is not searched for faults: `check_large_output` is to do that in a thread.

    Raises:
        InvalidInput: the value, or something within it, has no JSON form, or it is nested too deeply
            (`document_depth`) or holds an integer of too many digits (`integer_digits`).
        LimitExceeded: it takes more than `limit` bytes; the message begins with `payload_too_large`.
    """
    if value is None or (type(value) is dict and not value):
        return {}, 2
    output = normalise_result(value)
    try:
        text = to_json(output)
    except ValueError as error:  # a lone surrogate; pydantic's own error is a ValueError
        raise InvalidInput(f"what the task returned is not JSON: {error}", field="result") from error
    if len(text) > limit:
        raise LimitExceeded(OUTPUT_LIMIT, allowed=limit, actual=len(text))
    if (checked is None or len(text) <= checked) and _is_suspect(text):
        _check_output(output)
    return output, len(text)


def check_large_output(output: JsonObject) -> None:
    """Look for faults in an output of many MiB; meant for a thread.

    Raises:
        InvalidInput: as `freeze_output`.

    Cost: linear in its values, and more than a search of its text; but others get their turn meanwhile.
    """
    if _has_odd_numbers(to_json(output)) or _is_deeper(output, _DEPTH):
        _check_output(output)


def _check_output(output: JsonObject) -> None:
    fault = find_fault(output, depth=_DEPTH, nul=True)
    if fault is not None:
        raise InvalidInput(f"what the task returned is not JSON: {fault.message}", field="result")


def _is_deeper(value: JsonObject, depth: int) -> bool:
    """Whether the value has more levels of objects and lists than that; it holds nothing but JSON."""
    level: list[object] = [value]
    for _ in range(depth):
        below: list[object] = []
        for item in level:
            members = item.values() if isinstance(item, dict) else item
            below += [member for member in members if type(member) is dict or type(member) is list]  # type: ignore[attr-defined]  # else a list
        if not below:
            return False
        level = below
    return True


def _has_odd_numbers(text: bytes) -> bool:
    """Whether there may be NaN, Infinity or a very long integer in it.

    The first two are bare words, though mostly they stand in a text. Of a very long integer every
    so-many-th character is a digit.
    """
    if b"NaN" in text or b"Infinity" in text:
        return True
    samples = text[_DIGITS :: _DIGITS + 1]
    return any(48 <= sample <= 57 for sample in samples) and _LONG_INTEGER.search(text) is not None


def _is_suspect(text: bytes) -> bool:
    """Whether the text may hold what `find_fault` refuses; it is slow, so that few values are to reach it.

    Pairs of brackets are taken away from the inside, a level a round.
    """
    if _has_odd_numbers(text):
        return True
    if text.count(b"[") + text.count(b"{") <= _DEPTH:
        return False
    rest = _BETWEEN_BRACKETS.sub(b"", text).translate(_ONE_KIND)
    for _ in range(_DEPTH):
        rest = rest.replace(b"{}", b"")
        if not rest:
            return False
    return True


def failure_of(error: BaseException) -> tuple[str, str, JsonObject]:
    """The status, reason and output of an attempt whose function raised this.

    The reason is the type and the message, at most 500 characters; of `TaskFailed` the message alone. The
    traceback is for the log (`traceback_tail`): Conductor's clients show the reason only.
    """
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    too_large = isinstance(error, LimitExceeded) and error.limit.startswith(_TOO_LARGE)
    lasting = isinstance(error, PayloadUnavailable) and error.is_lasting
    status = FAILED_TERMINALLY if too_large or lasting or isinstance(error, TerminalTaskFailed) else FAILED
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001  # the author's own __str__
        text = "its message cannot be shown"
    if not isinstance(error, TaskFailed | PayloadUnavailable) or not text:
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return status, clean_text(text, REASON_CHARACTERS), {}


def traceback_tail(error: BaseException, *, limit: int = TRACEBACK_BYTES) -> str:
    """The end of the error's traceback, at most `limit` bytes; of a failure elsewhere the traceback there."""
    if isinstance(error.__cause__, DistantTraceback):
        text = str(error.__cause__)
    else:
        text = "".join(traceback.format_exception(error))
    return text.encode("utf-8", "replace")[-limit:].decode("utf-8", "ignore")


class DistantTraceback(Exception):  # never raised by itself, shown as a cause
    """The traceback of a failure in another process, as text; the cause of the `TaskFailed` raised here."""


def clean_text(text: str, limit: int) -> str:
    """The text, cut to so many characters and fit for JSON (lone surrogates replaced)."""
    if len(text) > limit:
        text = text[: limit - 1] + "…"
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
