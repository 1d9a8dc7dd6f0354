"""What a plugin raises to say what became of a call; nothing else it raises says anything.

The engine acts on the class alone: on a submit any other exception means that the outcome is unknown.
See `plugins/resources` for which call may raise which.
"""

from __future__ import annotations

from asyncflow.errors import PluginError


class ServiceError(PluginError):
    """A call to an outside service did not do what it was to do.

    Args:
        reason: for people; no secret in it, as it is stored and shown. Cut after 1,000 characters.
    """

    code = "service_error"

    def __init__(self, reason: str) -> None:
        """See the class."""
        super().__init__(reason[:1_000])
        self.reason = reason[:1_000]


class Rejected(ServiceError):
    """The service refused for certain: nothing was created or changed.

    The task fails, and is retried as its definition says, unless `is_final`: no retry could help.
    """

    code = "service_rejected"

    def __init__(self, reason: str, *, is_final: bool = False) -> None:
        """See the class."""
        super().__init__(reason)
        self.is_final = is_final


class OutcomeOpen(ServiceError):
    """It may have been done or not: a time-out, a reset, a 5xx, an answer without a usable handle."""

    code = "service_outcome_open"


class Throttled(ServiceError):
    """Not done, for certain: too many calls. The connection slows down and asks again; no attempt is used.

    `retry_after_s` is what the service asked for, 0 where it said nothing; at most 15 minutes count.
    """

    code = "service_throttled"

    def __init__(self, reason: str, *, retry_after_s: float = 0.0) -> None:
        """See the class."""
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class CredentialsRefused(ServiceError):
    """Not done, for certain: who we are was not accepted. The resource is held; one call a minute asks."""

    code = "service_credentials_refused"


class InstanceGone(ServiceError):
    """Not done, for certain: the instance is gone or going. Its jobs go elsewhere, without a retry."""

    code = "service_instance_gone"


class Duplicate(ServiceError):
    """A job with this token is there already: it is taken over, by `handle` or by a look-up."""

    code = "service_duplicate"

    def __init__(self, reason: str, *, handle: str = "") -> None:
        """See the class."""
        super().__init__(reason)
        self.handle = handle
