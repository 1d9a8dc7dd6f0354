"""The way of every request: is it addressed to us, is there a route, may the caller, is there room.

It is one function, in the order in which the questions are asked; a handler is reached only when
all are answered. Errors become answers here and nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from time import perf_counter

from aiohttp import web

from asyncflow.app.callers import ANONYMOUS, NOBODY, Caller, Role
from asyncflow.app.services import Services
from asyncflow.errors import Unauthenticated
from asyncflow.http.addressing import Addressing
from asyncflow.http.audit import is_audited, outcome_of, tell_of, tell_of_refusal
from asyncflow.http.auth import Sentry
from asyncflow.http.call import Call
from asyncflow.http.errors import ErrorReplies, HttpError
from asyncflow.http.health import reply_while_starting
from asyncflow.http.limits import HttpLimits
from asyncflow.http.matching import Found, Matcher
from asyncflow.http.parameters import Value, read_parameters
from asyncflow.http.receiving import Budget, Incoming
from asyncflow.http.reply import Reply
from asyncflow.http.routing import Route
from asyncflow.http.wire import respond, send_stream

_NONE: dict[str, Value] = {}
_UNWATCHED = nullcontext()


@dataclass(slots=True)
class Traffic:
    """What is under way, for limits, for stopping and for whoever looks.

    Attributes:
        at_work: requests being answered, those that wait for news not counted.
        held: requests that wait for news.
        undocumented: answers that a route gave without saying so; empty while all is well.
    """

    at_work: int = 0
    held: int = 0
    undocumented: set[tuple[str, str, int]] = field(default_factory=set)
    _quiet: asyncio.Event | None = None

    def enter(self, *, held: bool) -> None:
        """A request is let in."""
        if held:
            self.held += 1
        else:
            self.at_work += 1

    def leave(self, *, held: bool) -> None:
        """It is answered."""
        if held:
            self.held -= 1
        else:
            self.at_work -= 1
        if self._quiet is not None and not self.held and not self.at_work:
            self._quiet.set()

    async def rested(self) -> None:
        """Wait until no request is under way."""
        if self.held or self.at_work:
            self._quiet = asyncio.Event()
            await self._quiet.wait()


class Door:
    """Answers requests.

    Attributes:
        services: None before the engine is open and once it closes; requests are answered 503 then.
        closing: set when the server begins to stop.
        sentry: ends what waits for news when its credentials end.
        budget: the memory of larger bodies.
    """

    def __init__(
        self,
        routes: Iterable[Route],
        addressing: Addressing,
        limits: HttpLimits,
        *,
        instance: str,
        audit_workers: bool = False,
    ) -> None:
        """Let nobody in yet; `instance` names the server in errors."""
        self.services: Services | None = None
        self.closing = asyncio.Event()
        self.traffic = Traffic()
        self.sentry = Sentry(every_s=limits.recheck_s)
        listed = [*routes]
        self._matcher = Matcher(listed)
        self._audited = frozenset(route for route in listed if is_audited(route, workers=audit_workers))
        self._addressing, self._limits, self._errors = addressing, limits, ErrorReplies(instance)
        self.budget = Budget(limits.bodies_bytes)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """The answer to a request; raises nothing but what a client that has gone brings about."""
        more: dict[str, str] | None = None
        found: Found | None = None
        target = request.raw_path
        if not target.startswith("/"):
            target = request.rel_url.raw_path_qs if target != "*" else "/*"
        path, _, query = target.partition("?")
        try:
            more = self._addressing.check(request.headers, path)
            found = self._matcher.find(request.method, path)
            if found is None:
                reply = self._unknown(request.method, path)
                self._count(None, reply)
                return respond(request, reply, more)
            if self.services is None:
                return respond(request, self._before(path), more)
            return await self._serve(self.services, request, found, query=query, more=more)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - the last one to know what an error means
            reply = self._errors.reply(error)
            self._count(found, reply)
            return respond(request, reply, more)

    def _count(self, found: Found | None, reply: Reply) -> None:
        """A request that reached no handler was answered; its path is not told if no route has it."""
        if self.services is not None:
            method, path = (found.route.method, found.route.path) if found is not None else ("any", "none")
            self.services.meters.requests.add(method, path, reply.status, None)

    async def _serve(
        self,
        services: Services,
        request: web.BaseRequest,
        found: Found,
        *,
        query: str,
        more: dict[str, str] | None,
    ) -> web.StreamResponse:
        """Let the request in and count it until it is answered, a stream until its end."""
        route, traffic = found.route, self.traffic
        incoming = Incoming(request, self._limits, self.budget)
        caller = self._identify(services, request, found)
        self._admit(route)
        if "Expect" in request.headers:
            await _go_on(request)
        values = read_parameters(route.query, query) if route.query else _NONE
        call = Call(
            incoming,
            services=services,
            caller=caller,
            path=found.path,
            values=values,
            body=route.body,
            closing=self.closing,
        )
        traffic.enter(held=route.held)
        began_s = perf_counter()
        try:
            with self._watching(services, call, route):
                reply = await self._handled(call, route)
            if reply.status not in route.statuses:
                traffic.undocumented.add((route.method, route.path, reply.status))
            took_s = None if route.held else perf_counter() - began_s
            services.meters.requests.add(route.method, route.path, reply.status, took_s)
            if reply.stream is None:
                return respond(request, reply, more)
            try:
                with self._watching(services, call, route):
                    return await send_stream(request, reply, more)
            except Unauthenticated as error:
                raise ConnectionError(str(error)) from None  # its status is sent already
        finally:
            traffic.leave(held=route.held)
            incoming.done()

    async def _handled(self, call: Call, route: Route) -> Reply:
        """What the handler answers, after it is written down who asked for it."""
        outcome = "done"
        try:
            reply = await route.handler(call)
        except asyncio.CancelledError:
            if route in self._audited:
                await tell_of(call, route, None, "cancelled")
            raise
        except Exception as error:  # noqa: BLE001 - as in `answer`, and counted
            if isinstance(error, Unauthenticated):
                tell_of_refusal(call.services, Found(route, dict(call.path)), error, call.caller)
            outcome, reply = outcome_of(error), self._errors.reply(error)
        if route in self._audited:
            await tell_of(call, route, reply, outcome)
        return reply

    def _watching(self, services: Services, call: Call, route: Route) -> AbstractContextManager[None]:
        """Where a request waits for news, no longer than its credentials are good."""
        if not route.held or not call.caller.key_id:
            return _UNWATCHED
        return self.sentry.watching(services.keys, call.caller)

    def _unknown(self, method: str, path: str) -> Reply:
        """What to say where there is no route: which methods there are, or that there is nothing."""
        allowed = self._matcher.allowed(path)
        if not allowed and not (method == "OPTIONS" and path == "/*"):
            raise HttpError(404, f"No static resource {path[1:201]}")
        listed = {"Allow": ", ".join(allowed)} if allowed else {}
        if method == "OPTIONS":
            return Reply(204, headers=listed)
        raise HttpError(405, f"Request method {method[:40]!r} is not supported", headers=listed)

    def _before(self, path: str) -> Reply:
        """What there is to say while there is no engine; raises HttpError 503 to all but probes."""
        probe = reply_while_starting(path) if not self.closing.is_set() else None
        if probe is None:
            said = "stopping" if self.closing.is_set() else "starting"
            raise HttpError(503, f"the server is {said}", retryable=True)
        return probe

    @staticmethod
    def _identify(services: Services, request: web.BaseRequest, found: Found) -> Caller:
        """Who calls; raises Unauthenticated, or HttpError 403, unless they may."""
        needed = found.route.role
        if not services.keys.is_required:
            return ANONYMOUS
        if needed is Role.OPEN:
            return NOBODY
        try:
            caller = services.keys.authenticate(request.headers)
        except Unauthenticated as error:
            tell_of_refusal(services, found, error, NOBODY)
            raise
        if caller.role < needed:
            refusal = HttpError(403, f"the role {needed.name.lower()} is needed")
            tell_of_refusal(services, found, refusal, caller)
            raise refusal
        return caller

    def _admit(self, route: Route) -> None:
        """Return if there is room for this request now; raises HttpError 503 otherwise."""
        if route.begins and self.closing.is_set():
            raise HttpError(503, "the server is stopping", retryable=True)
        limits, traffic = self._limits, self.traffic
        if route.held:
            if traffic.held >= limits.held:
                raise HttpError(503, f"held: at most {limits.held} waiting requests", retryable=True)
        elif traffic.at_work >= limits.in_flight:
            raise HttpError(503, f"in_flight: at most {limits.in_flight} requests", retryable=True)


async def _go_on(request: web.BaseRequest) -> None:
    """Tell a client that asks first that it may send its body."""
    if request.headers["Expect"].lower() != "100-continue":
        raise HttpError(417, "Expect: only 100-continue is known")
    if request.version >= (1, 1):
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
