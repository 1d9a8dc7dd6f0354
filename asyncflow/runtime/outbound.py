"""The one client for requests to the outside: bounded in time and size, to checked addresses only.

HTTP tasks, callbacks and adapters share it. It must not retry, follow a redirect unchecked, keep
cookies or read proxies from the environment. Read `addresses` for the rules, `outbound_exchange` for what is
sent and answered, and `http_task` for its first user.
"""

from __future__ import annotations

import zlib
from types import TracebackType
from typing import TYPE_CHECKING, Self

from asyncflow.errors import LimitExceeded
from asyncflow.runtime.addresses import AddressPolicy, AddressRefused
from asyncflow.runtime.outbound_exchange import (
    OutboundFailed,
    OutboundRequest,
    OutboundResponse,
    OutboundSettings,
    inflater,
)
from asyncflow.runtime.outbound_names import Lookup, checked_resolver, system_lookup

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

_RATIO_FROM_BYTES = 1024 * 1024  # below it, no expansion is worth refusing
_CROSSING = frozenset(("accept", "content-type"))  # headers that follow a redirect to another origin
_READS = frozenset(("GET", "HEAD", "OPTIONS"))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))


class OutboundClient:
    """Sends requests to addresses the policy allows; an async context manager."""

    def __init__(
        self,
        policy: AddressPolicy,
        settings: OutboundSettings | None = None,
        *,
        lookup: Lookup | None = None,
    ) -> None:
        """A client that opens its session on entry.

        Args:
            policy: checked for the URL and for every address it resolves to.
            settings: the bounds.
            lookup: resolves host names; the system's resolver by default.
        """
        self._policy = policy
        self._settings = settings or OutboundSettings()
        self._lookup = lookup or system_lookup
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session; no connection is made yet."""
        import aiohttp  # noqa: PLC0415  # 0.4 s that a start without requests must not pay
        from yarl import URL  # noqa: PLC0415  # comes with it

        self._aiohttp, self._url = aiohttp, URL
        connector = aiohttp.TCPConnector(
            limit=0,
            limit_per_host=self._settings.connections_per_host,
            resolver=checked_resolver(self._policy, self._lookup),
            ttl_dns_cache=10,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            headers={"Accept-Encoding": "gzip", "User-Agent": "asyncflow"},
            middlewares=(self._once,),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(self, request: OutboundRequest) -> OutboundResponse:
        """The answer, whatever its status.

        Raises:
            AddressRefused: the URL, a redirect's target, or an address; no packet was sent there.
            OutboundFailed: connecting, sending, reading or a timeout failed.
            LimitExceeded: `http_response_bytes` or `http_decompression_ratio`.
        """
        for _ in range(self._settings.redirects):
            response = await self._send_once(request)
            target = {name.lower(): value for name, value in response.headers}.get("location")
            if response.status not in _REDIRECTS or target is None:
                return response
            request = self._redirected(request, response.status, target)
        return await self._send_once(request)

    async def _send_once(self, request: OutboundRequest) -> OutboundResponse:
        assert self._session is not None, "the client is not open"
        aiohttp = self._aiohttp
        url = self._checked(request.url)
        try:
            async with self._session.request(
                request.method,
                url,
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
                timeout=self._timeout(request),
            ) as response:
                body = await self._read(response)
                headers = [(_latin(name), _latin(value)) for name, value in response.raw_headers]
                return OutboundResponse(
                    response.status, response.reason or "", headers, body, response.charset
                )
        except aiohttp.ConnectionTimeoutError as error:
            raise OutboundFailed(
                f"no connection in {request.connect_seconds:g} s", may_have_arrived=False
            ) from error
        except TimeoutError as error:
            raise OutboundFailed("no complete answer in time", may_have_arrived=True) from error
        except aiohttp.ClientConnectorError as error:
            raise OutboundFailed(
                f"cannot connect to {error.host}: {error.os_error}", may_have_arrived=False
            ) from error
        except (aiohttp.ClientError, OSError, zlib.error) as error:
            text = str(error) or type(error).__name__
            raise OutboundFailed(f"the exchange broke off: {text}", may_have_arrived=True) from error
        except ValueError as error:  # a header or method that cannot be written
            raise OutboundFailed(f"cannot be sent: {error}", may_have_arrived=False) from error

    async def _once(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        """Keep from aiohttp what it would send a PUT or DELETE again for, unasked; reads may be repeated."""
        aiohttp = self._aiohttp
        try:
            return await handler(request)
        except aiohttp.ClientConnectorError:
            raise
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            if request.method in _READS:
                raise
            raise OutboundFailed(
                f"the exchange broke off: {str(error) or type(error).__name__}", may_have_arrived=True
            ) from error

    def _checked(self, text: str) -> URL:
        """The URL as it will be used; checked and connected from one and the same parse."""
        if any(character <= " " or character in "\\\x7f" for character in text.strip()):
            raise AddressRefused(
                "a URL with blanks, control characters or backslashes", "malformed", may_allow=False
            )
        try:
            url = self._url(text.strip())
        except ValueError as error:
            raise AddressRefused(f"URL ({error})", "malformed", may_allow=False) from error
        has_user = url.raw_user is not None or url.raw_password is not None
        self._policy.check_url(url.scheme, url.raw_host, has_user=has_user)
        return url

    def _redirected(self, request: OutboundRequest, status: int, target: str) -> OutboundRequest:
        here = self._url(request.url)
        there = here.join(self._url(target))
        headers = dict(request.headers)
        if here.origin() != there.origin():
            headers = {name: value for name, value in headers.items() if name.lower() in _CROSSING}
        method, body = request.method, request.body
        if status == 303 or (status in (301, 302) and method == "POST"):
            method, body = ("HEAD" if method == "HEAD" else "GET"), None
        return request._replace(method=method, url=str(there), headers=headers, body=body)

    def _timeout(self, request: OutboundRequest) -> aiohttp.ClientTimeout:
        asked = request.connect_seconds + request.read_seconds
        return self._aiohttp.ClientTimeout(
            total=min(max(self._settings.total_seconds, asked), 3600.0),
            sock_connect=request.connect_seconds,
            sock_read=request.read_seconds,
        )

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, decompressed and measured chunk by chunk."""
        most, ratio = self._settings.response_bytes, self._settings.decompression_ratio
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        inflate = inflater(encoding)
        body, received = bytearray(), 0
        async for chunk in response.content.iter_any():
            received += len(chunk)
            if inflate is None:
                body += chunk
            else:
                inflate.feed(chunk, body, most + 1)
            if len(body) > most:
                raise LimitExceeded("http_response_bytes", allowed=most)
            if len(body) > max(_RATIO_FROM_BYTES, received * ratio):
                raise LimitExceeded("http_decompression_ratio", allowed=ratio)
        if inflate is not None and received and not inflate.is_complete:
            raise OutboundFailed("the compressed answer is cut off", may_have_arrived=True)
        return bytes(body)


def _latin(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
