"""Errors as Conductor's clients expect them: one table from families to statuses, one shape.

Handlers raise; nothing else chooses a status for an error. A bug is logged with its stack under an
id, and the client learns the id alone.
"""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass, field
from time import monotonic

from asyncflow.errors import (
    AsyncflowError,
    Conflict,
    DefinitionError,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Overloaded,
    Refused,
    ShuttingDown,
    StoreError,
    Unauthenticated,
    Violation,
)
from asyncflow.http.reply import Reply, reply_json

log = logging.getLogger("asyncflow.http")

RETRY_AFTER_S = 1
_PASSING = frozenset({429, 503})

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="asyncflow"'}
_TELL_EVERY_S, _TELL_MOST = 60.0, 50

STATUSES: tuple[tuple[type[AsyncflowError], int], ...] = (
    (Unauthenticated, 401),
    (NotFound, 404),
    (Conflict, 409),
    (Refused, 409),
    (Overloaded, 429),
    (InvalidInput, 400),
    (DefinitionError, 400),
    (LimitExceeded, 400),
    (ShuttingDown, 503),
    (StoreError, 503),
)
"""The first family that an error belongs to counts; an error of none is a bug."""

_TOO_LARGE = ("request_bytes", "payload_too_large", "variables_bytes", "definition_bytes")
_VALIDATION = "Validation failed, check below errors for detail."


class HttpError(AsyncflowError):
    """A status that no family of errors has, with what to say to the client."""

    code = "http_error"

    def __init__(
        self, status: int, message: str, *, headers: dict[str, str] | None = None, retryable: bool = False
    ) -> None:
        """Answer the status with Conductor's error shape around the message."""
        super().__init__(message)
        self.status, self.message, self.headers, self.retryable = status, message, headers, retryable


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """Conductor's error as it goes over the wire."""

    status: int
    message: str
    instance: str
    retryable: bool = False
    violations: list[Violation] = field(default_factory=list)
    error: str = ""

    def reply(self, headers: dict[str, str] | None = None) -> Reply:
        """The answer; 429 and 503 tell when to come again."""
        body: dict[str, object] = {
            "status": self.status,
            "message": self.message,
            "instance": self.instance,
            "retryable": self.retryable,
        }
        if self.error:
            body["error"] = self.error
        if self.violations:
            body["validationErrors"] = [
                {"path": each.path, "message": each.message} for each in self.violations
            ]
        known = dict(headers or {})
        if self.status in _PASSING:
            known.setdefault("Retry-After", str(RETRY_AFTER_S))
        return reply_json(body, self.status, headers=known)


def status_of(error: BaseException) -> int | None:
    """The status of an error, or None for a bug."""
    if isinstance(error, LimitExceeded) and error.limit.startswith(_TOO_LARGE):
        return 413
    return next((status for family, status in STATUSES if isinstance(error, family)), None)


def _worst(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that counts among those that a task group gathered: a bug before all others."""
    leaves = [_worst(each) if isinstance(each, BaseExceptionGroup) else each for each in group.exceptions]
    return next((each for each in leaves if status_of(each) is None), leaves[0])


class ErrorReplies:
    """Makes answers of errors, and logs bugs, so many a minute that a client cannot fill the disk."""

    def __init__(self, instance: str) -> None:
        """`instance` names this server in every answer."""
        self._instance = instance
        self._since_s, self._count = 0.0, 0

    def reply(self, error: BaseException) -> Reply:
        """The answer to an error that a handler raised."""
        if isinstance(error, BaseExceptionGroup):
            return self.reply(_worst(error))
        instance = self._instance
        if isinstance(error, HttpError):
            return ErrorBody(error.status, error.message, instance, error.retryable).reply(error.headers)
        status = status_of(error)
        if status is None:
            return self._bug(error)
        if isinstance(error, Unauthenticated):
            return ErrorBody(status, str(error), instance, error=error.error).reply(_CHALLENGE)
        if isinstance(error, DefinitionError):
            return ErrorBody(status, _VALIDATION, instance, violations=error.violations).reply()
        return ErrorBody(status, str(error), instance, retryable=status in _PASSING).reply()

    def _bug(self, error: BaseException) -> Reply:
        name = secrets.token_hex(8)
        if self._may_tell():
            log.error("error %s while answering a request", name, exc_info=error, extra={"error_id": name})
        message = f"internal error {name}; the server's log has it under this id"
        return ErrorBody(500, message, self._instance).reply()

    def _may_tell(self) -> bool:
        now_s = monotonic()
        if not self._count or now_s - self._since_s > _TELL_EVERY_S:
            if self._count > _TELL_MOST:
                log.error("%d more errors were not logged", self._count - _TELL_MOST)
            self._since_s, self._count = now_s, 0
        self._count += 1
        return self._count <= _TELL_MOST
