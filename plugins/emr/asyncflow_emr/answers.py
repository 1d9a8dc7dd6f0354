"""What EMR's answers mean: its errors as ours, its states as our words.

Nothing is sent here. Every exception of botocore ends in this module.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

from botocore import exceptions as boto

from asyncflow.plugins.errors import (
    CredentialsRefused,
    InstanceGone,
    OutcomeOpen,
    Rejected,
    ServiceError,
    Throttled,
)
from asyncflow.plugins.jobs import InstanceWord, JobStatus, JobWord

_THROTTLING: Final = frozenset((
    "Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "SlowDown",
    "TooManyRequestsException", "RequestThrottled", "RequestThrottledException",
))  # fmt: skip
_CREDENTIALS: Final = frozenset((
    "AccessDenied", "AccessDeniedException", "UnrecognizedClientException", "InvalidClientTokenId",
    "ExpiredToken", "ExpiredTokenException", "InvalidSignatureException", "SignatureDoesNotMatch",
    "MissingAuthenticationToken", "IncompleteSignature", "OptInRequired",
))  # fmt: skip
_NO_IDENTITY: Final = (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError)

STEP_WORDS: Final[Mapping[str, JobWord]] = {
    "COMPLETED": "succeeded",
    "FAILED": "failed",
    "INTERRUPTED": "failed",
    "CANCELLED": "cancelled",
}
CLUSTER_WORDS: Final[Mapping[str, InstanceWord]] = {
    "STARTING": "creating",
    "BOOTSTRAPPING": "creating",
    "RUNNING": "ready",
    "WAITING": "ready",
    "TERMINATING": "gone",
    "TERMINATED": "gone",
    "TERMINATED_WITH_ERRORS": "gone",
}


class ClusterUnknown(InstanceGone):
    """EMR does not know a cluster of this id."""


@asynccontextmanager
async def answered() -> AsyncIterator[None]:
    """Around one call: whatever botocore raises becomes one of ours, without what was sent."""
    try:
        yield
    except boto.ClientError as error:
        raise refusal(error) from None
    except _NO_IDENTITY as error:
        raise CredentialsRefused(f"no credentials: {type(error).__name__}") from None
    except boto.ParamValidationError as error:
        raise Rejected(f"not a valid request: {error}", is_final=True) from None
    except (boto.BotoCoreError, OSError, ValueError) as error:
        raise OutcomeOpen(f"no usable answer: {type(error).__name__}") from None


def refusal(error: boto.ClientError) -> ServiceError:
    """What an error that EMR answered says about what was done."""
    told = error.response.get("Error", {})
    code, message = str(told.get("Code", "")), str(told.get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    said, low = f"{code}: {message}", message.lower()
    if code in _THROTTLING or status == 429 or "rate exceeded" in low or "active steps" in low:
        return Throttled(said)
    if code in _CREDENTIALS or status in (401, 403):
        return CredentialsRefused(code or f"HTTP {status}")  # messages tell keys and roles
    if status < 400 or status >= 500 or status == 408:
        return OutcomeOpen(said)
    if "shutting down, terminated, or finished" in low:
        return InstanceGone(said)
    if "cluster id" in low and "not valid" in low:
        return ClusterUnknown(said)
    return Rejected(said)


def step_status(step: Mapping[str, object], cluster: str) -> JobStatus:
    """How a step stands, from its entry in `ListSteps`."""
    status = _object(step.get("Status"))
    raw = str(status.get("State", ""))
    timeline = _object(status.get("Timeline"))
    details = _object(status.get("FailureDetails"))
    reasons = (_object(status.get("StateChangeReason")).get("Message"), details.get("Reason"))
    reason = ": ".join(str(text) for text in (*reasons, details.get("Message")) if text)
    if details.get("LogFile"):
        reason += f" (log: {details['LogFile']})"
    return JobStatus(
        word=STEP_WORDS.get(raw, "running"),
        output={"cluster": cluster, "step": step.get("Id"), "state": raw},
        reason=reason or (raw if raw in STEP_WORDS else ""),
        started_ms=moment_ms(timeline.get("StartDateTime")),
        ended_ms=moment_ms(timeline.get("EndDateTime")),
        raw=raw,
    )


def moment_ms(value: object) -> int:
    """A time of EMR's in UTC milliseconds; 0 where there is none."""
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else 0


def created_ms(entry: Mapping[str, object]) -> int:
    """When a step or cluster was created."""
    return moment_ms(_object(_object(entry.get("Status")).get("Timeline")).get("CreationDateTime"))


def state_of(entry: Mapping[str, object]) -> str:
    """EMR's word for the state of a step or cluster."""
    return str(_object(entry.get("Status")).get("State", ""))


def _object(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
