"""How routes are written: a path, the role it needs, what it takes and what it answers, in one place.

The same declaration parses requests, guards them and documents them. `matching` finds a route,
`tables` lists all of them. Everything a route module needs can be imported from here.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Required, TypedDict, Unpack

from asyncflow.app.callers import Caller, Role
from asyncflow.http.bodies import Body, json_body, text_body
from asyncflow.http.call import Call
from asyncflow.http.errors import HttpError
from asyncflow.http.parameters import Parameter, flag, number, word, words
from asyncflow.http.reply import (
    Reply,
    reply_bytes,
    reply_empty,
    reply_json,
    reply_stream,
    reply_text,
)
from asyncflow.model.values import JsonObject

__all__ = [
    "ADMIN",
    "AUTHOR",
    "OPEN",
    "OPERATOR",
    "VIEWER",
    "Answer",
    "Call",
    "Caller",
    "Handler",
    "HttpError",
    "Reply",
    "Role",
    "Route",
    "Routes",
    "bytes_answer",
    "empty_answer",
    "flag",
    "json_answer",
    "json_body",
    "number",
    "reply_bytes",
    "reply_empty",
    "reply_json",
    "reply_stream",
    "reply_text",
    "stream_answer",
    "text_answer",
    "text_body",
    "word",
    "words",
]  # fmt: skip

OPEN: Final = Role.OPEN
VIEWER: Final = Role.VIEWER
OPERATOR: Final = Role.OPERATOR
AUTHOR: Final = Role.AUTHOR
ADMIN: Final = Role.ADMIN

Handler = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer a route may give that is no error; `schema` is empty for any JSON."""

    status: int = 200
    content_type: str = ""
    schema: str = ""
    many: bool = False
    about: str = ""


def json_answer(schema: str = "", *, status: int = 200, many: bool = False, about: str = "") -> Answer:
    """JSON of this schema, or with `many` a list of it."""
    return Answer(status, "application/json", schema, many, about)


def text_answer(about: str = "", *, status: int = 200) -> Answer:
    """Plain text."""
    return Answer(status, "text/plain", about=about)


def empty_answer(status: int = 200, *, about: str = "") -> Answer:
    """A status alone."""
    return Answer(status, about=about)


def stream_answer(content_type: str, *, about: str = "") -> Answer:
    """Bytes as they come."""
    return Answer(200, content_type, about=about)


def bytes_answer(content_type: str, *, about: str = "") -> Answer:
    """Bytes of some type."""
    return Answer(200, content_type, about=about)


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One method on one path, with everything that is said of it.

    Attributes:
        statuses: all that it may answer.
        held: it may wait for news (a long poll, a stream), and is counted apart from those that work.
        begins: it begins new work (a start, a poll for tasks), and is refused while the server stops.
        changes: it changes something though its method is GET, as Orkes' clients ask.
        errors: statuses its handler may answer besides those that every route may.
    """

    method: str
    path: str
    handler: Handler
    tag: str
    role: Role
    query: tuple[Parameter, ...] = ()
    body: Body | None = None
    answers: tuple[Answer, ...] = ()
    errors: tuple[int, ...] = ()
    held: bool = False
    begins: bool = False
    changes: bool = False
    hidden: bool = False
    summary: str = ""
    about: str = ""
    statuses: frozenset[int] = frozenset()

    @property
    def answers_head(self) -> bool:
        """Whether it may be asked for its headers alone: not where asking takes or changes something."""
        return self.method == "GET" and not (self.begins or self.changes)

    @property
    def error_statuses(self) -> frozenset[int]:
        """Every error status: what its handler says, and what the server may say before it."""
        found = {400, 403, 417, 429, 431, 500, 503, *self.errors}
        if self.role is not Role.OPEN:
            found.add(401)
        if self.body is not None:
            found |= {408, 413, 415}
        return frozenset(found)


class Said(TypedDict, total=False):
    """What a route says of itself besides its method and path."""

    role: Required[Role]
    """The least role that may call it."""
    query: Sequence[Parameter]
    """The parameters that it reads; others are ignored."""
    body: Body | None
    """What it expects to be sent."""
    answers: Answer | Sequence[Answer]
    """What it answers when all is well; by default 200 and nothing."""
    errors: Sequence[int]
    """Statuses its handler may answer besides those that every route may."""
    held: bool
    """It may wait for news, as a long poll or a stream does: counted apart, up to `HttpLimits.held`."""
    begins: bool
    """It begins new work, as a start or a poll does: answered 503 while the server stops."""
    changes: bool
    """It changes something though its method is GET: audited, and not answered to HEAD."""
    hidden: bool
    """It is left out of the OpenAPI document."""


class Routes:
    """The routes of one subject; the tag names it in the OpenAPI document.

    Attributes:
        schemas: components of the OpenAPI document that its routes name and `schemas` does not have.
    """

    def __init__(self, tag: str, *, schemas: Mapping[str, JsonObject] | None = None) -> None:
        """No route yet."""
        self.tag = tag
        self.schemas: Mapping[str, JsonObject] = schemas or {}
        self._routes: list[Route] = []

    def __iter__(self) -> Iterator[Route]:
        """The routes, in the order in which they were written."""
        return iter(self._routes)

    def get(self, path: str, **said: Unpack[Said]) -> Callable[[Handler], Handler]:
        """A route for GET, and for HEAD where it changes nothing; parts are `{name}`, the rest `{name*}`."""
        return self._route("GET", path, said)

    def post(self, path: str, **said: Unpack[Said]) -> Callable[[Handler], Handler]:
        """A route for POST."""
        return self._route("POST", path, said)

    def put(self, path: str, **said: Unpack[Said]) -> Callable[[Handler], Handler]:
        """A route for PUT."""
        return self._route("PUT", path, said)

    def delete(self, path: str, **said: Unpack[Said]) -> Callable[[Handler], Handler]:
        """A route for DELETE."""
        return self._route("DELETE", path, said)

    def _route(self, method: str, path: str, said: Said) -> Callable[[Handler], Handler]:
        answers = said.get("answers", ())
        listed = (answers,) if isinstance(answers, Answer) else tuple(answers)

        def register(handler: Handler) -> Handler:
            summary, _, about = (inspect.getdoc(handler) or "").partition("\n")
            route = Route(
                method,
                path,
                handler,
                self.tag,
                said["role"],
                query=tuple(said.get("query", ())),
                body=said.get("body"),
                answers=listed or (Answer(),),
                errors=tuple(said.get("errors", ())),
                held=said.get("held", False),
                begins=said.get("begins", False),
                changes=said.get("changes", False),
                hidden=said.get("hidden", False),
                summary=summary.rstrip("."),
                about=about.strip(),
            )
            answered = {each.status for each in route.answers}
            self._routes.append(replace(route, statuses=route.error_statuses | answered))
            return handler

        return register
