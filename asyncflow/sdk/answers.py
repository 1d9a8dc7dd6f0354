"""What a server answers: whole, refused, or as a stream of events.

It reads bytes that have arrived and knows no connection; `client` brings them.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from asyncflow.errors import DefinitionError, ServerRefused, ServerUnreachable, Violation

PASSING: Final = frozenset({502, 503, 504})
"""Statuses that will pass: the server, or what stands before it, is not ready."""

_MOST_SHOWN = 500


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server answered well, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")

    @property
    def json(self) -> object:
        """The body as JSON, None if it is empty.

        Raises:
            ServerRefused: it is something else; then this is no server of Conductor's API.
        """
        if not self.body.strip():
            return None
        try:
            value: object = json.loads(self.body)
        except ValueError as error:
            raise ServerRefused(self.status, f"no JSON came back: {self.text[:80]!r}") from error
        return value


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One of a stream of server-sent events."""

    identity: str
    kind: str
    data: str


def read_answer(response: http.client.HTTPResponse) -> Answer:
    """The whole answer; raises OSError and HTTPException as the connection does."""
    return Answer(response.status, dict(response.headers), response.read())


def refusal(answer: Answer, url: str) -> ServerRefused | ServerUnreachable | DefinitionError:
    """The error that an answer stands for: Conductor's shape, or whatever else came."""
    body: object = None
    with suppress(ValueError):
        body = json.loads(answer.body)
    fields = body if isinstance(body, dict) else {}
    found = fields.get("validationErrors")
    violations = [
        Violation(str(each.get("path", "")), str(each.get("message", "")))
        for each in (found if isinstance(found, list) else [])
        if isinstance(each, dict)
    ]
    if violations:
        return DefinitionError(violations)
    message = str(fields.get("message") or http.client.responses.get(answer.status, "no reason given"))
    if answer.status in PASSING:
        return ServerUnreachable(url, f"{answer.status}, {message[:_MOST_SHOWN]}")
    return ServerRefused(answer.status, message[:_MOST_SHOWN])


def parse_events(lines: Iterable[bytes]) -> Iterator[ServerEvent]:
    """The events in the lines of a stream; comments are dropped, an event cut off at the end too."""
    identity, kind, data = "", "", list[str]()
    for raw in lines:
        line = raw.decode("utf-8", "replace").rstrip("\r\n")
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield ServerEvent(identity, kind or "message", "\n".join(data))
            kind, data = "", []
        elif name == "id":
            identity = value
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)
