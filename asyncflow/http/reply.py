"""What a handler gives back: a status with JSON, text, nothing, or a stream of bytes.

It knows nothing of aiohttp; `server` puts replies on the wire. Errors are raised, not replied:
see `errors`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from pydantic_core import to_json

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `stream` is sent piece by piece instead of `body`, and closed in any case."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: Mapping[str, str] | None = None
    stream: AsyncIterator[bytes] | None = None


def reply_json(value: object, status: int = 200, *, headers: Mapping[str, str] | None = None) -> Reply:
    """A JSON value; what JSON has no form for (NaN, infinities) becomes null."""
    return Reply(status, to_json(value, inf_nan_mode="null"), JSON, headers)


def reply_text(text: str, status: int = 200, *, content_type: str = TEXT) -> Reply:
    """A text as it is, without quotes."""
    return Reply(status, text.encode("utf-8", "replace"), content_type)


def reply_bytes(
    content: bytes, content_type: str, status: int = 200, *, headers: Mapping[str, str] | None = None
) -> Reply:
    """Bytes of some type: a page, a file, JSON that is encoded already."""
    return Reply(status, content, content_type, headers)


def reply_empty(status: int = 200) -> Reply:
    """A status alone."""
    return Reply(status)


def reply_stream(
    pieces: AsyncIterator[bytes], content_type: str, *, headers: Mapping[str, str] | None = None
) -> Reply:
    """Bytes as they come; the iterator is closed when the client goes or the server stops.

    A client that does not read for the write timeout is cut off.
    """
    return Reply(200, b"", content_type, headers, pieces)
