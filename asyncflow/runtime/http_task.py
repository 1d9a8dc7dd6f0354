"""The body of Conductor's HTTP task: from the resolved task input to its outcome.

It interprets the request as Conductor does and renders the answer in Conductor's shape; limits
and addresses are `outbound`'s affair, retries the engine's. Every fault becomes an outcome with a
reason, except cancellation.
"""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Final, NamedTuple, cast
from urllib.parse import urlencode, urlsplit

from pydantic_core import from_json, to_json

from asyncflow.errors import AsyncflowError
from asyncflow.model.values import JsonObject, JsonValue
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.runtime.outbound_exchange import OutboundRequest, OutboundResponse

METHODS: Final = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH")

_JSON = "application/json"
_FORM = "application/x-www-form-urlencoded"
_TIMEOUT_MS = 3000
_NULL_CONNECT_MS, _NULL_READ_MS = 100, 150  # what Conductor makes of an explicit null
_MOST_SECONDS = 3600.0
_INVOKE = "Failed to invoke HTTP task due to: "
_EXCERPT = 1000
_IN_THREAD_BYTES = 256 * 1024  # parsing more would hold the loop
_FRAMING = frozenset(("content-length", "transfer-encoding", "connection", "accept-encoding"))


class HttpOutcome(NamedTuple):
    """How an HTTP task ended.

    Attributes:
        ok: whether the status was 2xx.
        output: `response`, as a map, or as the text of what went wrong.
        reason: why it failed; None if it did not.
    """

    ok: bool
    output: JsonObject
    reason: str | None = None


class _Invalid(Exception):
    """The request is not one; the text is the reason."""


async def run_http(
    request: JsonObject, *, client: OutboundClient, idempotency_key: str | None = None
) -> HttpOutcome:
    """Perform the request once and say how it ended.

    Args:
        request: the resolved task input; the request is its `http_request`, or itself.
        client: through which it goes out.
        idempotency_key: sent as `Idempotency-Key` unless the request has such a header.

    Cancellation: the connection is closed; the request may have arrived.
    """
    try:
        outgoing = _outgoing(request, idempotency_key)
    except _Invalid as fault:
        return HttpOutcome(ok=False, output={}, reason=str(fault))
    try:
        response = await client.send(outgoing)
    except AsyncflowError as error:
        where = f'{outgoing.method} "{_without_query(outgoing.url)}"'
        return _failed(f"I/O error on {where}: {error}")
    return await _outcome(response)


def _outgoing(given: JsonObject, idempotency_key: str | None) -> OutboundRequest:
    request = given.get("http_request", given)
    if not isinstance(request, dict):
        raise _Invalid("Missing HTTP request: the task input needs an object under 'http_request'")
    uri, method = request.get("uri"), request.get("method")
    if uri is None or uri == "":
        raise _Invalid("Missing HTTP URI: the request needs 'uri'")
    if method is None or method == "":
        raise _Invalid("No HTTP method specified")
    name = str(method).upper()
    if name not in METHODS:
        raise _Invalid(f"Unknown HTTP method {str(method)[:40]!r}: one of {', '.join(METHODS)}")
    headers = _headers(request, idempotency_key)
    return OutboundRequest(
        method=name,
        url=str(uri),
        headers=headers,
        body=_body(request.get("body"), _header(headers, "content-type")),
        connect_seconds=_seconds(request, "connectionTimeOut", _NULL_CONNECT_MS),
        read_seconds=_seconds(request, "readTimeOut", _NULL_READ_MS),
    )


def _headers(request: JsonObject, idempotency_key: str | None) -> dict[str, str]:
    """What the request names wins over accept and contentType; framing is the client's alone."""
    accept = request.get("accept") or _JSON
    if isinstance(accept, list):
        accept = ", ".join(_text(item) for item in accept)
    headers = {"Accept": _text(accept), "Content-Type": _text(request.get("contentType") or _JSON)}
    if idempotency_key is not None:
        headers["Idempotency-Key"] = idempotency_key
    given = request.get("headers") or {}
    if not isinstance(given, dict):
        raise _Invalid("HTTP 'headers' must be an object")
    for name, value in given.items():
        if value is None or name.lower() in _FRAMING:
            continue
        for same in [present for present in headers if present.lower() == name.lower()]:
            del headers[same]
        headers[name] = _text(value)
    return headers


def _header(headers: dict[str, str], name: str) -> str:
    return next((value for key, value in headers.items() if key.lower() == name), "")


def _body(body: JsonValue, content_type: str) -> bytes | None:
    """A text goes out as it is, a map as a form if that is the content type, the rest as JSON."""
    if body is None:
        return None
    if isinstance(body, str):
        return body.encode("utf-8", "replace")
    if isinstance(body, dict) and content_type.partition(";")[0].strip().lower() == _FORM:
        fields = {name: value for name, value in body.items() if value is not None}
        pairs = {name: list(map(_text, v)) if isinstance(v, list) else _text(v) for name, v in fields.items()}
        return urlencode(pairs, doseq=True).encode()
    return to_json(body)


def _seconds(request: JsonObject, key: str, null_ms: int) -> float:
    """A timeout in milliseconds as seconds; zero or less means Conductor's "none", our most."""
    value = request.get(key, _TIMEOUT_MS)
    if value is None:
        value = null_ms
    try:
        milliseconds = float(cast("float | str", value))
    except (TypeError, ValueError, OverflowError):
        raise _Invalid(f"HTTP {key!r} must be a number of milliseconds") from None
    if not milliseconds > 0:
        return _MOST_SECONDS
    return min(milliseconds / 1000, _MOST_SECONDS)


def _text(value: JsonValue) -> str:
    """A value as a header or form field: texts as they are, everything else as JSON."""
    return value if isinstance(value, str) else to_json(value).decode()


async def _outcome(response: OutboundResponse) -> HttpOutcome:
    status = response.status
    reason = response.reason or _phrase(status)
    if status >= 400:
        excerpt = _decoded(response)[:_EXCERPT]
        return _failed(f'{status} {reason}: "{excerpt}"' if excerpt else f"{status} {reason}: [no body]")
    ok = 200 <= status < 300
    headers: dict[str, list[str]] = {}
    for name, value in response.headers:
        headers.setdefault(name, []).append(value)
    body = await _parsed(response) if ok else None
    shape: JsonObject = {"statusCode": status, "reasonPhrase": reason, "headers": headers, "body": body}
    return HttpOutcome(
        ok, {"response": shape}, None if ok else f"The answer is {status} {reason}, not a success"
    )


def _failed(text: str) -> HttpOutcome:
    return HttpOutcome(ok=False, output={"response": text}, reason=_INVOKE + text)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


async def _parsed(response: OutboundResponse) -> JsonValue:
    """The body as Conductor gives it: JSON where it is JSON, else its text, null if empty."""
    if not response.body:
        return None
    text = _decoded(response)
    if len(response.body) > _IN_THREAD_BYTES:
        return await asyncio.to_thread(_value, text)
    return _value(text)


def _value(text: str) -> JsonValue:
    try:
        value = cast("JsonValue", from_json(text))
    except ValueError:
        return text
    if value is None or isinstance(value, bool):
        return text.strip()
    if isinstance(value, int | float):
        return _double(value, text)
    return value


def _double(number: float, text: str) -> JsonValue:
    """Numbers are doubles here; one beyond their range stays text, for JSON has no infinity."""
    try:
        double = float(number)
    except OverflowError:
        return text
    return text if double in (float("inf"), float("-inf")) or double != double else double  # noqa: PLR0124  # NaN


def _decoded(response: OutboundResponse) -> str:
    try:
        return response.body.decode(response.charset or "utf-8", "replace")
    except LookupError:  # a charset nobody knows
        return response.body.decode("utf-8", "replace")


def _without_query(url: str) -> str:
    """The URL for a message: a query may carry secrets."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(malformed)"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:_EXCERPT]
