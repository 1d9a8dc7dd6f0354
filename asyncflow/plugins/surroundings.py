"""What the engine lends a manager: a client that reaches allowed addresses only, and leave to run commands.

Only shapes are here; `runtime/lent_http` is the client. A manager may bring a client of its own, but then the
rules for addresses are its own affair.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple, Protocol


class HttpAnswer(NamedTuple):
    """What came back, whatever its status.

    Attributes:
        headers: names in lower case; of several of one name the last.
        body: bounded, decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpCalls(Protocol):
    """Sends one request at a time; only a read is repeated, where a connection broke off."""

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout_s: float = 20.0,
    ) -> HttpAnswer:
        """The answer; redirects are not followed.

        Raises:
            Rejected: the address may not be reached, or the request cannot be written; nothing was sent.
            Throttled: there was no connection; nothing was sent.
            OutcomeOpen: it was sent, and no usable answer came.
        """


class CommandRules(NamedTuple):
    """That local processes may be run.

    Attributes:
        root: they and their files stay below it; None for the resource's own folder.
    """

    root: Path | None = None
