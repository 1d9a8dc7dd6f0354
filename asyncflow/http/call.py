"""One request, as a handler sees it: who calls, what with, and where to turn.

Parameters were read before the handler runs; the body is received and parsed when it is asked for.
It shows nothing of aiohttp; `middleware` makes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from asyncflow.app.callers import Caller
from asyncflow.app.services import Services
from asyncflow.errors import InvalidInput
from asyncflow.http.bodies import Body, body_text, parse_json_body
from asyncflow.http.parameters import Value
from asyncflow.model.limits import Limits
from asyncflow.model.values import JsonObject

_NO_BODY = Body("json", optional=True)


class Received(Protocol):
    """The network's side of a request."""

    @property
    def headers(self) -> Mapping[str, str]:
        """Its header fields, found in any case."""

    @property
    def gone(self) -> asyncio.Event:
        """Set when the client has gone."""

    def while_connected(self) -> AbstractContextManager[None]:
        """What runs in it is cancelled when the client goes."""

    async def receive(self) -> bytes:
        """Its whole body, within the limits; raises HttpError 408, 413, 415, and InvalidInput."""


class Call:
    """A request that was let in.

    Attributes:
        services: the doors to the engine.
        caller: who calls, as the credentials say.
        path: the variable parts of the path, decoded.
        closing: set when the server begins to stop: what waits for news answers with what it has.
    """

    __slots__ = (
        "_body",
        "_content",
        "_given_reason",
        "_received",
        "_values",
        "caller",
        "closing",
        "method",
        "path",
        "services",
        "target",
    )

    def __init__(  # noqa: PLR0913 - all that makes a request, by name
        self,
        received: Received,
        *,
        services: Services,
        caller: Caller,
        path: Mapping[str, str],
        values: Mapping[str, Value],
        body: Body | None,
        closing: asyncio.Event,
    ) -> None:
        """Made once per request, by the server."""
        self._received, self._values, self._body = received, values, body or _NO_BODY
        self._content: bytes | None = None
        self._given_reason = ""
        self.services, self.caller, self.path, self.closing = services, caller, path, closing

    # --- what the audit tells of it -------------------------------------------------------------

    @property
    def received(self) -> bytes:
        """The body, if the handler asked for it."""
        return self._content or b""

    @property
    def reason(self) -> str:
        """The parameter `reason`, if the route has one; or what the handler gave."""
        value = self._given_reason or self._values.get("reason")
        return value if isinstance(value, str) else ""

    def give_reason(self, *said: object) -> None:
        """Have the audit tell why, where the reason is in the body: the texts of these, in one line."""
        self._given_reason = ": ".join(each for each in said if isinstance(each, str) and each)

    # --- parameters -----------------------------------------------------------------------------

    def flag(self, name: str) -> bool:
        """A parameter declared by `flag`."""
        value = self._values[name]
        assert isinstance(value, bool)
        return value

    def number(self, name: str) -> int | None:
        """A parameter declared by `number`; None if it is absent and has no default."""
        value = self._values[name]
        assert value is None or type(value) is int
        return value

    def integer(self, name: str) -> int:
        """A parameter declared by `number` that has a default or is required."""
        value = self._values[name]
        assert type(value) is int
        return value

    def word(self, name: str) -> str:
        """A parameter declared by `word`."""
        value = self._values[name]
        assert isinstance(value, str)
        return value

    def words(self, name: str) -> tuple[str, ...]:
        """A parameter declared by `words`, in the order given."""
        value = self._values[name]
        assert isinstance(value, tuple)
        return value

    def path_number(self, name: str) -> int:
        """A variable part of the path that is a whole number.

        Raises:
            InvalidInput: it is none.
        """
        text = self.path[name]
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise InvalidInput(f"a whole number is expected, not {text[:80]!r}", field=name)
        return int(text)

    def header(self, name: str, default: str = "") -> str:
        """A header field, its first value; names are found in any case."""
        return self._received.headers.get(name, default)

    @property
    def gone(self) -> asyncio.Event:
        """Set when the client has gone: what was handed out to it is to be taken back."""
        return self._received.gone

    def while_connected(self) -> AbstractContextManager[None]:
        """What runs in it is cancelled when the client goes: cheaper by far than waiting for `gone`."""
        return self._received.while_connected()

    # --- the body -------------------------------------------------------------------------------

    async def content(self) -> bytes:
        """The body as received; the same again when asked again.

        Raises:
            HttpError: it is too large, too slow, or encoded.
        """
        if self._content is None:
            self._content = await self._received.receive()
        return self._content

    async def json(self) -> object:
        """The body as a JSON value; None if there is none and the route says it is optional.

        Raises:
            InvalidInput: it is missing or malformed.
            LimitExceeded: it is too deep.
        """
        content = await self.content()
        if not content.strip():
            if self._body.optional:
                return None
            raise InvalidInput("a JSON body is expected", field="body")
        return await parse_json_body(content, deep=self._body.deep, limits=self.limits)

    async def json_object(self) -> JsonObject:
        """The body as a JSON object; an empty one if it is absent and optional.

        Raises:
            InvalidInput, LimitExceeded: as `json`, or it is something else.
        """
        value = await self.json()
        if value is None and self._body.optional:
            return {}
        if not isinstance(value, dict):
            raise InvalidInput("a JSON object is expected", field="body")
        return value

    async def json_list(self) -> list[object]:
        """The body as a JSON list; an empty one if it is absent and optional.

        Raises:
            InvalidInput, LimitExceeded: as `json`, or it is something else.
        """
        value = await self.json()
        if value is None and self._body.optional:
            return []
        if not isinstance(value, list):
            raise InvalidInput("a JSON list is expected", field="body")
        return value

    async def text(self) -> str:
        """The body as text.

        Raises:
            InvalidInput: it is not UTF-8.
        """
        return body_text(await self.content())

    @property
    def limits(self) -> Limits:
        """The limits that hold in this engine."""
        return self.services.executions.engine.settings.limits
