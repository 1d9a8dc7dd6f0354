"""Errors in Conductor's shape: the status of each family, and nothing of a bug but its id."""

from __future__ import annotations

import logging

import pytest

from asyncflow.errors import (
    AsyncflowError,
    Conflict,
    DefinitionError,
    InvalidInput,
    LimitExceeded,
    NotCommitted,
    NotFound,
    OutcomeUnknown,
    Overloaded,
    Refused,
    ShuttingDown,
    StoreError,
    Violation,
)
from asyncflow.http.errors import ErrorReplies, HttpError, status_of
from asyncflow.http.routing import OPEN, Call, Reply, Routes
from tests.http.conftest import serving


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NotFound("workflow", "w"), 404),
        (Conflict("there is one"), 409),
        (Refused("it has ended"), 409),
        (Overloaded("wait"), 429),
        (InvalidInput("no", field="f"), 400),
        (DefinitionError([Violation("tasks[0]", "wrong")]), 400),
        (LimitExceeded("document_depth", allowed=1), 400),
        (LimitExceeded("request_bytes", allowed=1), 413),
        (LimitExceeded("payload_too_large: input in bytes", allowed=1), 413),
        (ShuttingDown("bye"), 503),
        (StoreError("broken"), 503),
        (NotCommitted("full", code="storage_full"), 503),
        (OutcomeUnknown("who knows"), 503),
        (HttpError(418, "short and stout"), 418),
        (ExceptionGroup("several", [NotFound("workflow", "w")]), 404),
        (AsyncflowError("of no family"), 500),
        (TimeoutError(), 500),
        (ExceptionGroup("several", [NotFound("workflow", "w"), KeyError("k")]), 500),
    ],
)
async def test_an_error_has_the_status_of_its_family(error: Exception, status: int) -> None:
    routes = Routes("Failing")

    @routes.get("/fail", role=OPEN, errors=(404, 409, 413, 418))
    async def fail(call: Call) -> Reply:
        """Fail."""
        assert call.path == {}
        raise error

    async with serving(routes) as server:
        answer = await server.get("/fail")

        assert (answer.status, answer.message[:0]) == (status, "")
        assert ("Retry-After" in answer.headers) == (status in {429, 503})


async def test_a_bug_shows_its_id_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    routes = Routes("Failing")

    @routes.get("/fail", role=OPEN)
    async def fail(call: Call) -> Reply:
        """Fail."""
        raise KeyError("a secret", call.path)

    async with serving(routes) as server:
        with caplog.at_level(logging.ERROR, "asyncflow.http"):
            answer = await server.get("/fail")
        record = caplog.records[-1]

        assert answer.status == 500
        assert record.error_id in answer.message  # type: ignore[attr-defined]
        assert "secret" not in answer.text
        assert record.exc_info is not None


async def test_bugs_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    replies = ErrorReplies("here")

    with caplog.at_level(logging.ERROR, "asyncflow.http"):
        for _ in range(1_000):
            replies.reply(KeyError("again"))

    assert 0 < sum(record.exc_info is not None for record in caplog.records) <= 100
    assert len(caplog.records) <= 200


def test_violations_are_listed_with_their_paths() -> None:
    reply = ErrorReplies("here").reply(DefinitionError([Violation("tasks[0].name", "is empty")]))

    assert b'"message":"Validation failed, check below errors for detail."' in reply.body
    assert b'"validationErrors":[{"path":"tasks[0].name","message":"is empty"}]' in reply.body


@pytest.mark.parametrize("error", [KeyError("k"), RuntimeError("r")])
def test_a_bug_has_no_status(error: Exception) -> None:
    assert status_of(error) is None
