"""What the answers of services over HTTP mean, for the managers that speak to them.

Nothing is sent here but what the caller asks for; nothing of a request is repeated in an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from asyncflow.model.values import JsonValue
from asyncflow.plugins.errors import CredentialsRefused, OutcomeOpen, Rejected, ServiceError, Throttled
from asyncflow.plugins.resources import ResourceContext
from asyncflow.plugins.surroundings import HttpAnswer, HttpCalls

_MOST_TOLD = 300


def client_of(context: ResourceContext) -> HttpCalls:
    """The client that the engine lends.

    Raises:
        Rejected: it lends none.
    """
    if context.http is None:
        raise Rejected("this engine lends no client for requests to the outside", is_final=True)
    return context.http


def checked(answer: HttpAnswer, *, also: tuple[int, ...] = ()) -> HttpAnswer:
    """The answer, if it is a success or of a status that the caller knows what to do with.

    Raises:
        ServiceError: what the status says about what was done.
    """
    if 200 <= answer.status < 300 or answer.status in also:
        return answer
    raise refusal(answer)


def refusal(answer: HttpAnswer) -> ServiceError:
    """What an answer that is no success says about what was done."""
    status, told = answer.status, answer.body[:_MOST_TOLD].decode("utf-8", "replace")
    said = f"HTTP {status}: {told}" if told else f"HTTP {status}"
    if status in (401, 403):
        return CredentialsRefused(f"HTTP {status}")
    if status in (425, 429):
        return Throttled(said, retry_after_s=_seconds(answer.headers))
    if status >= 500 or status == 408 or status < 300:
        return OutcomeOpen(said)
    return Rejected(said)


def document(answer: HttpAnswer) -> JsonValue:
    """The JSON value in an answer.

    Raises:
        OutcomeOpen: there is none.
    """
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError):
        raise OutcomeOpen("the answer is no JSON") from None


def at(value: JsonValue, path: str) -> JsonValue:
    """What is at a path of names and numbers, `a.b.0.c`, with or without `$.`; None where nothing is."""
    for part in path.removeprefix("$").strip(".").split("."):
        if not part:
            continue
        if isinstance(value, Mapping):
            value = value.get(part)
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def text_at(value: JsonValue, path: str) -> str:
    """A handle or a word at a path: a text, or a number as text; "" where there is neither."""
    found = at(value, path)
    if isinstance(found, str):
        return found
    return str(found) if isinstance(found, int) and not isinstance(found, bool) else ""


def number_at(value: JsonValue, path: str) -> int:
    """A whole number at a path; 0 where there is none."""
    found = at(value, path)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def _seconds(headers: Mapping[str, str]) -> float:
    """How long a service asks to be left alone: seconds, or a date, which is counted from its own."""
    told = headers.get("retry-after", "").strip()
    if told.isdecimal():
        return float(told[:9])
    try:
        wait = parsedate_to_datetime(told) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):  # one is no date, or one of them has no zone
        return 0.0
    return max(0.0, wait.total_seconds())
