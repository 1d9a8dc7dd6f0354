"""A lean synchronous client of a server, ours or another that speaks Conductor's REST API.

It sends requests, keeps its connection, shows credentials and turns what a server refuses into errors of
ours; what a request means is the caller's affair, so it knows no route but that for tokens. The command
line uses it in `cli/remote`; where the server is says `addresses`.
"""

from __future__ import annotations

import http.client
import json
import select
import ssl
from collections.abc import Iterator, Mapping
from threading import Event
from typing import Self
from urllib.parse import urlsplit

from asyncflow.errors import ServerRefused, ServerUnreachable
from asyncflow.sdk.addresses import DEFAULT_SERVER, Address, Query, path_of, target_of
from asyncflow.sdk.answers import PASSING, Answer, ServerEvent, parse_events, read_answer, refusal

__all__ = ["DEFAULT_SERVER", "Address", "Answer", "Client", "ServerEvent", "path_of"]

_SAFE = frozenset({"GET", "HEAD"})
_TRIES = 3
_LONGEST_PAUSE_S = 5.0
_TROUBLE = (OSError, http.client.HTTPException)
_SILENCE_S = 60.0  # a stream of events says something every 15 seconds, if only that it is there


class Client:
    """Sends requests to one server, one after the other; not for several threads at once."""

    def __init__(self, address: Address, *, timeout_s: float = 30.0) -> None:
        """Connect to nothing yet; `timeout_s` is how long any single silence may last."""
        self.address, self._timeout_s = address, timeout_s
        parts = urlsplit(address.url)
        self._prefix = parts.path
        self._connection: http.client.HTTPConnection | None = None
        self._token = ""
        self._is_open = False  # the server has no keys: it asks nobody

    def __enter__(self) -> Self:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection."""
        self.close()

    def close(self) -> None:
        """Give the connection up; the next request makes another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, query: Query | None = None, *, timeout_s: float | None = None) -> Answer:
        """The answer to GET; see `send`."""
        return self.send("GET", path, query, timeout_s=timeout_s)

    def send(  # noqa: PLR0913 - all there is to a request
        self,
        method: str,
        path: str,
        query: Query | None = None,
        *,
        body: object = ...,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        timeout_s: float | None = None,
    ) -> Answer:
        """Send a request and read the answer.

        Args:
            query: values that are None or empty are left out, lists are repeated.
            body: sent as JSON, bytes as they are; `...` sends none.
            repeatable: sending it twice is as good as once; by default true of GET and HEAD. Only such
                requests are sent again, after a broken connection or a status that passes.

        Raises:
            ServerUnreachable: nobody answers, or the server is not ready.
            ServerRefused, DefinitionError: the server said no.
        """
        fields = dict(headers or {})
        content = self._content(body, fields)
        target = self._prefix + target_of(path, query)
        may_repeat = method in _SAFE if repeatable is None else repeatable
        answer = self._tried(
            method, target, content, fields, tries=_TRIES if may_repeat else 1, wait_s=timeout_s
        )
        if answer.status == 401 and self._token:
            self._token = ""  # it has ended; nothing was done, so this may be sent again
            answer = self._tried(method, target, content, fields, tries=1, wait_s=timeout_s)
        if answer.status >= 300:
            raise refusal(answer, self.address.url)
        return answer

    def events(self, path: str, query: Query | None = None, *, after: str = "") -> Iterator[ServerEvent]:
        """Server-sent events as they come, on a connection of their own, until the server ends them.

        There may be none at all: then the server has nothing behind `after`, and will not have.

        Raises:
            ServerUnreachable: the connection broke, or was silent for a minute; go on with `after`, which
                is the identity of the last event.
            ServerRefused: there is no such stream.
        """
        fields = {"Accept": "text/event-stream", **self._credentials()}
        if after:
            fields["Last-Event-ID"] = after
        connection = self._made(_SILENCE_S)
        try:
            connection.request("GET", self._prefix + target_of(path, query), headers=fields)
            response = connection.getresponse()
            if response.status == 204:
                return
            if response.status != 200:
                raise refusal(read_answer(response), self.address.url)
            yield from parse_events(iter(response.readline, b""))
        except _TROUBLE as error:
            raise ServerUnreachable(self.address.url, _reason(error)) from error
        finally:
            connection.close()

    # --- one request ------------------------------------------------------------------------------

    def _tried(
        self,
        method: str,
        target: str,
        content: bytes | None,
        headers: dict[str, str],
        *,
        tries: int,
        wait_s: float | None,
    ) -> Answer:
        fields = {"Accept": "application/json, text/plain", **self._credentials(), **headers}
        for left in reversed(range(tries)):
            try:
                answer = self._sent(method, target, content, fields, wait_s)
            except _TROUBLE as error:
                self.close()
                if left and not isinstance(error, ConnectionRefusedError | TimeoutError | ssl.SSLError):
                    continue
                raise ServerUnreachable(self.address.url, _reason(error)) from error
            except BaseException:
                self.close()  # a connection with half an answer in it is good for nothing
                raise
            if not left or answer.status not in PASSING:
                return answer
            Event().wait(_pause_s(answer))
        raise AssertionError("there is at least one try")

    def _sent(
        self, method: str, target: str, content: bytes | None, fields: dict[str, str], wait_s: float | None
    ) -> Answer:
        connection = self._kept()
        if connection.sock is not None:
            connection.sock.settimeout(wait_s or self._timeout_s)
        connection.timeout = wait_s or self._timeout_s
        connection.request(method, target, content, fields)
        return read_answer(connection.getresponse())

    def _kept(self) -> http.client.HTTPConnection:
        """The connection, made anew where the server has closed it meanwhile."""
        kept = self._connection
        if kept is not None and kept.sock is not None and select.select([kept.sock], [], [], 0)[0]:
            self.close()
        if self._connection is None:
            self._connection = self._made(self._timeout_s)
        return self._connection

    def _made(self, timeout_s: float) -> http.client.HTTPConnection:
        parts = urlsplit(self.address.url)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        return kind(parts.hostname or "", parts.port, timeout=timeout_s)

    @staticmethod
    def _content(body: object, headers: dict[str, str]) -> bytes | None:
        if body is ...:
            return None
        if isinstance(body, bytes):
            headers.setdefault("Content-Type", "text/plain")
            return body
        headers.setdefault("Content-Type", "application/json")
        return json.dumps(body, allow_nan=False).encode()

    # --- who calls --------------------------------------------------------------------------------

    def _credentials(self) -> dict[str, str]:
        address = self.address
        if address.api_key:
            return {"Authorization": f"Bearer {address.api_key}"}
        if not address.key_id or self._is_open:
            return {}
        if not self._token:
            self._token = self._asked_for_token()
        return {"X-Authorization": self._token} if self._token else {}

    def _asked_for_token(self) -> str:
        body = json.dumps({"keyId": self.address.key_id, "keySecret": self.address.secret}).encode()
        fields = {"Content-Type": "application/json", "Accept": "application/json"}
        try:
            answer = self._sent("POST", self._prefix + "/api/token", body, fields, None)
        except _TROUBLE as error:
            self.close()
            raise ServerUnreachable(self.address.url, _reason(error)) from error
        if answer.status == 404:
            self._is_open = True
            return ""
        if answer.status >= 300:
            raise refusal(answer, self.address.url)
        token = answer.json.get("token") if isinstance(answer.json, dict) else None
        if not isinstance(token, str):
            raise ServerRefused(answer.status, "the answer to a request for a token holds none")
        return token


def _pause_s(answer: Answer) -> float:
    """How long the server asks to wait, within reason."""
    given = answer.headers.get("Retry-After", "")
    return min(float(given), _LONGEST_PAUSE_S) if given.isascii() and given.isdigit() else 1.0


def _reason(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    said = error.strerror if isinstance(error, OSError) else ""
    return said or str(error) or type(error).__name__
