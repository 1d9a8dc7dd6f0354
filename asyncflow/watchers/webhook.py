"""The listener `webhook`: each event is posted as JSON to one address, signed, with an id that stays.

Only addresses that tasks may reach are called, and no redirect is followed. An answer of 2xx takes the event;
anything else has it sent again under the same id, which receivers tell repeats by.
"""

from __future__ import annotations

import hmac
from contextlib import AsyncExitStack
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator
from pydantic_core import to_json

from asyncflow.errors import TaskFailed
from asyncflow.plugins.listeners import CommittedEvent, Listener
from asyncflow.plugins.resources import PluginConfig
from asyncflow.runtime.addresses import AddressPolicy
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.runtime.outbound_exchange import OutboundRequest, OutboundSettings

ID_HEADER = "Asyncflow-Event-Id"
SIGNATURE_HEADER = "Asyncflow-Signature"

_RESPONSE_BYTES = 64 << 10
_OK = range(200, 300)


class WebhookConfig(PluginConfig):
    """Settings of a webhook."""

    of_the_machine: ClassVar[frozenset[str]] = frozenset({"allow"})

    url: str = Field(pattern=r"^https?://[^\s/?#@]+([/?#]\S*)?$")
    secret: SecretStr = SecretStr("")
    """Signs what is sent; `${secret:NAME}` names one of `[secrets]`. Unsigned without."""
    allow: tuple[str, ...] = ()
    """Hosts and networks that may be called although they are not public."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    connect_s: float = Field(default=5.0, gt=0, le=60)
    answer_s: float = Field(default=10.0, gt=0, le=600)

    @field_validator("allow")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        AddressPolicy(value)
        return value


class Webhook(Listener):
    """Posts events."""

    Config: ClassVar[type[PluginConfig]] = WebhookConfig

    def __init__(self, name: str, config: PluginConfig) -> None:
        """Open no connection yet."""
        super().__init__(name, config)
        assert isinstance(config, WebhookConfig)
        self._settings = config
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        """Make the client."""
        bounds = OutboundSettings(connections_per_host=2, response_bytes=_RESPONSE_BYTES)
        client = OutboundClient(AddressPolicy(self._settings.allow), bounds)
        self._client = await self._stack.enter_async_context(client)

    async def close(self) -> None:
        """Close its connections."""
        await self._stack.aclose()

    async def on_event(self, event: CommittedEvent) -> None:
        """Post it.

        Raises:
            TaskFailed: it was not taken, as far as anybody knows.
            AddressRefused: the address may not be called.
        """
        settings = self._settings
        body = to_json(
            {
                "id": event.id,
                "name": event.name,
                "at": event.at_ms,
                "subject": event.subject,
                "data": event.data,
            },
            inf_nan_mode="null",
        )
        headers = {name: value.get_secret_value() for name, value in settings.headers.items()}
        headers |= {"Content-Type": "application/json", ID_HEADER: event.id}
        secret = settings.secret.get_secret_value()
        if secret:
            headers[SIGNATURE_HEADER] = signature(secret, body)
        answer = await self._client.send(
            OutboundRequest("POST", settings.url, headers, body, settings.connect_s, settings.answer_s)
        )
        if answer.status not in _OK:
            raise TaskFailed(f"the receiver answered {answer.status} {answer.reason}".rstrip())


def signature(secret: str, body: bytes) -> str:
    """What a receiver compares with the header `Asyncflow-Signature`: HMAC of the body as it came."""
    return f"sha256={hmac.new(secret.encode(), body, 'sha256').hexdigest()}"
