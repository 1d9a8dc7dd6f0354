"""What managers of AWS services share: a client that repeats nothing, whole listings, errors as ours.

It needs `aiobotocore`, which asyncflow itself does not: only packages of plugins import this module. Every
exception of botocore ends here; what a service's own words mean is its manager's.
"""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final

from botocore import exceptions as boto
from botocore.loaders import Loader, create_loader
from pydantic import Field, SecretStr

from asyncflow.plugins.errors import CredentialsRefused, OutcomeOpen, Rejected, ServiceError, Throttled
from asyncflow.plugins.jobs import MOST_HANDLE_CHARACTERS
from asyncflow.plugins.resources import PluginConfig, ResourceContext, ResourceManager

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

Entry = Mapping[str, object]

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
_FAULT: Final = re.compile(r"^(?:Invalid|Unknown|Missing)[^\n]*", re.MULTILINE)


class AwsConfig(PluginConfig):
    """Settings of every AWS service; without keys, credentials are found as botocore finds them."""

    region: str
    endpoint_url: str = ""
    access_key: str = ""
    secret_key: SecretStr = SecretStr("")
    session_token: SecretStr = SecretStr("")
    connections: int = Field(default=20, ge=1)
    read_timeout_s: float = Field(default=20.0, gt=0)


class AwsManager(ResourceManager):
    """A manager with one client. Subclass it with a `Config` that is an `AwsConfig`.

    Attributes:
        service: botocore's name of the service.
        marker: what the next page of a listing is asked for by, in requests and in answers.
    """

    Config: ClassVar[type[PluginConfig]] = AwsConfig
    service: ClassVar[str] = ""
    marker: ClassVar[str] = "Marker"

    def __init__(self, config: PluginConfig, context: ResourceContext) -> None:
        """Keep the settings."""
        super().__init__(config, context)
        assert isinstance(config, AwsConfig)
        self._aws = config
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Make the client: a thread reads botocore's models, which takes a fifth of a second."""
        session = await asyncio.to_thread(self._session)
        self._client = await self._stack.enter_async_context(session.create_client(**self._arguments()))

    async def close(self) -> None:
        """Close the connections."""
        await self._stack.aclose()

    async def call(self, operation: str, **given: object) -> Entry:
        """The answer to one request, which is sent once.

        Raises:
            ServiceError: what became of it; without what was sent.
        """
        try:
            answer: Entry = await getattr(self._client, operation)(**given)
        except boto.ClientError as error:
            raise self._refusal(error) from None
        except _NO_IDENTITY as error:
            raise CredentialsRefused(f"no credentials: {type(error).__name__}") from None
        except boto.ParamValidationError as error:
            told = "; ".join(each.partition(", value:")[0] for each in _FAULT.findall(str(error)))
            raise Rejected(f"not a valid request: {told}", is_final=True) from None
        except (boto.BotoCoreError, OSError, ValueError) as error:
            raise OutcomeOpen(f"no usable answer: {type(error).__name__}") from None
        return answer

    async def pages(self, operation: str, key: str, **given: object) -> AsyncGenerator[Entry, None]:
        """Every entry of a listing; it ends early only by an exception, see `call`."""
        marker: dict[str, object] = {}
        while True:
            answer = await self.call(operation, **given, **marker)
            entries = answer.get(key)
            if not isinstance(entries, list):
                raise OutcomeOpen(f"{operation} answered without {key}")
            for entry in entries:
                yield entry
            if not answer.get(self.marker):
                return
            marker = {self.marker: answer[self.marker]}

    def meaning(self, code: str, message: str) -> ServiceError | None:
        """What a refusal in the service's own words means; None for a plain one.

        Args:
            message: in lower case.
        """
        del code, message
        return None

    def _refusal(self, error: boto.ClientError) -> ServiceError:
        """What an error that the service answered says about what was done."""
        told = error.response.get("Error", {})
        code, message = str(told.get("Code", "")), str(told.get("Message", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        said = f"{code}: {message}"
        if code in _THROTTLING or status == 429 or "rate exceeded" in message.lower():
            return Throttled(said)
        if code in _CREDENTIALS or status in (401, 403):
            return CredentialsRefused(code or f"HTTP {status}")  # messages tell keys and roles
        if status < 400 or status >= 500 or status == 408:
            return OutcomeOpen(said)
        return self.meaning(code, message.lower()) or Rejected(said)

    def _session(self) -> AioSession:
        """A session whose models are read; runs in a thread, with a loop of its own for a first client."""
        from aiobotocore.session import get_session  # noqa: PLC0415  # half a second, and not on the loop

        session = get_session()
        session.register_component("data_loader", _loader())

        async def warm() -> None:
            async with session.create_client(**self._arguments()):
                pass

        asyncio.run(warm())
        return session

    def _arguments(self) -> dict[str, object]:
        from aiobotocore.config import AioConfig  # noqa: PLC0415  # see `_session`

        config = self._aws
        behaviour = AioConfig(
            retries={"total_max_attempts": 1},  # a repeated submit is a second job
            connect_timeout=10,
            read_timeout=config.read_timeout_s,
            max_pool_connections=config.connections,
            parameter_validation=True,
        )
        given = {
            "endpoint_url": config.endpoint_url,
            "aws_access_key_id": config.access_key,
            "aws_secret_access_key": config.secret_key.get_secret_value(),
            "aws_session_token": config.session_token.get_secret_value(),
        }
        known = {name: value for name, value in given.items() if value}
        return {"service_name": self.service, "region_name": config.region, "config": behaviour, **known}


@functools.cache
def _loader() -> Loader:
    """What reads botocore's models, each once in a process: a client made anew costs a tenth then."""
    return create_loader()


def handle_in(answer: Entry, key: str) -> str:
    """The id in an answer; raises OutcomeOpen where there is none that can be used."""
    value = answer.get(key)
    if not isinstance(value, str) or not value or len(value) > MOST_HANDLE_CHARACTERS:
        raise OutcomeOpen("the answer has no usable id")
    return value


def moment_ms(value: object) -> int:
    """A time of AWS's in UTC milliseconds; 0 where there is none."""
    return int(value.timestamp() * 1000) if isinstance(value, datetime) else 0


def part(value: object, *keys: str) -> Entry:
    """The object under these keys; an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, Mapping) else {}
