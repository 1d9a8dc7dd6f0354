"""One request to the outside and one answer, the bounds of both, and what may go wrong between them.

They carry and never send: `outbound` does. A body that came compressed is expanded here, no further than
its bound.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from asyncflow.errors import TaskFailed

_CHUNK_BYTES = 64 * 1024
_ENCODINGS = ("gzip", "x-gzip", "deflate")


class OutboundFailed(TaskFailed):
    """The outside did not answer as asked; the message says what happened, retries may follow.

    Attributes:
        may_have_arrived: whether the request may have reached the other side.
    """

    code = "outbound_failed"

    def __init__(self, message: str, *, may_have_arrived: bool) -> None:
        """Say what happened, and whether the other side may have acted on the request."""
        super().__init__(message)
        self.may_have_arrived = may_have_arrived


@dataclass(frozen=True, slots=True)
class OutboundSettings:
    """Bounds of every request.

    Attributes:
        connections_per_host: at once, so that one slow service cannot use up all.
        total_seconds: from the call to the last byte; a request may ask for more by its read
            timeout, but never for more than an hour.
        response_bytes: of a body after decompression.
        decompression_ratio: decompressed over received, once a mebibyte is exceeded.
        redirects: followed at most; each target is checked like a first request, and
            credentials do not cross origins.
    """

    connections_per_host: int = 20
    total_seconds: float = 60.0
    response_bytes: int = 10 * 1024 * 1024
    decompression_ratio: int = 100
    redirects: int = 0


class OutboundRequest(NamedTuple):
    """One request.

    Attributes:
        method: in upper case.
        url: absolute.
        headers: as they go out.
        body: as it goes out.
        connect_seconds: until the connection stands.
        read_seconds: without a byte from the other side.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    connect_seconds: float = 3.0
    read_seconds: float = 3.0


class OutboundResponse(NamedTuple):
    """One answer, its body decompressed.

    Attributes:
        status: the code.
        reason: the phrase, perhaps empty.
        headers: in the order they came, names as they were written.
        body: bounded.
        charset: of the body, as the other side says.
    """

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    charset: str | None


class Inflater:
    """Decompresses gzip and zlib streams, told apart by their headers, up to a size."""

    def __init__(self) -> None:
        """Nothing is fed yet."""
        self._stream = zlib.decompressobj(wbits=47)

    @property
    def is_complete(self) -> bool:
        """Whether the end of the stream has been seen."""
        return self._stream.eof

    def feed(self, data: bytes, body: bytearray, most: int) -> None:
        """Append what the data expands to, until the body holds `most` bytes."""
        while data and len(body) < most:
            body += self._stream.decompress(data, _CHUNK_BYTES)
            data = self._stream.unconsumed_tail


def inflater(encoding: str) -> Inflater | None:
    """What expands a body of this encoding; None where nothing is compressed.

    Raises:
        OutboundFailed: nobody asked for this encoding.
    """
    if encoding in ("", "identity"):
        return None
    if encoding not in _ENCODINGS:
        raise OutboundFailed(f"the answer is encoded as {encoding!r}, not asked for", may_have_arrived=True)
    return Inflater()
