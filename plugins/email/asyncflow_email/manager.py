"""The resource manager for mail: a submit sends, and its handle tells that it was sent.

Nothing is kept but connections: after a restart a handle still says all that a poll has to know. Read
`message` for what may be sent.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Self

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
)
from pydantic import Field, SecretStr, model_validator

from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import CredentialsRefused, OutcomeOpen, Rejected, ServiceError, Throttled
from asyncflow.plugins.jobs import Ended, Job, JobStatus, Tier
from asyncflow.plugins.kept import KeptConnections
from asyncflow.plugins.resources import JobInput, PluginConfig, ResourceContext, ResourceManager
from asyncflow_email.message import Email, Mail, address, compose, domains_of

_HANDLE = re.compile(r"sent ([0-9]{1,16}) (<[a-z2-7]{32}@[^ <>]+>) ?(.*)")
_MOST_REFUSED = 600  # characters of a handle
_BEFORE_CONTENT_S = 30.0  # what is left of `submit_timeout` is for the content and its answer
_HERE = ("localhost", "127.0.0.1", "::1")
_GOING = 421  # the server closes, or takes no more for now; the mail was not taken
_CREDENTIAL_CODES = (530, 534, 535, 538)


class EmailConfig(PluginConfig):
    """Settings of a resource of type `email`; its domains are limited by the engine's `per_part`."""

    host: str
    port: int = Field(default=25, ge=1, le=65_535)
    sender: str
    tls: bool = False
    start_tls: bool = False
    username: str = ""
    password: SecretStr = SecretStr("")
    timeout_s: float = Field(default=20.0, gt=0, le=25.0)
    hostname: str = ""
    attachments: Path | None = None
    most_attachment_bytes: int = Field(default=20_000_000, ge=0)

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.tls and self.start_tls:
            raise ValueError("tls or start_tls, not both")
        if self.username and not (self.tls or self.start_tls or self.host in _HERE):
            raise ValueError("a password needs tls or start_tls")
        return self


class EmailManager(ResourceManager):
    """One mail server."""

    Config: ClassVar[type[PluginConfig]] = EmailConfig
    tasks: ClassVar[Mapping[str, type[JobInput]]] = {"EMAIL": Email}
    tier: ClassVar[Tier] = "none"
    submit_timeout: ClassVar[float] = 60.0

    config: EmailConfig

    def __init__(self, config: PluginConfig, context: ResourceContext) -> None:
        """Keep the settings."""
        super().__init__(config, context)
        self._tls: ssl.SSLContext | None = None
        self.connections = KeptConnections(self._connected, _answers, now_ms=context.now_ms)

    async def open(self) -> None:
        """Read the certificates; connect when the first mail goes out.

        Raises:
            Rejected: the sender is no address.
        """
        address(self.config.sender)
        if self.config.tls or self.config.start_tls:
            self._tls = await asyncio.to_thread(ssl.create_default_context)

    async def close(self) -> None:
        """Close the connections."""
        self.connections.close()

    @classmethod
    def parts(cls, given: JsonObject) -> Iterable[str]:
        """See `ResourceManager.parts`: the domains it goes to."""
        return domains_of(given)

    async def submit(self, job: Job) -> Ended:
        """See `ResourceManager.submit`: the mail is with the server when this returns."""
        mail = await asyncio.to_thread(
            compose, job, sender=self.config.sender, folder=self.config.attachments,
            most_bytes=self.config.most_attachment_bytes, now_ms=self.context.now_ms(),
        )  # fmt: skip
        refused = await self._send(mail)
        handle = f"sent {self.context.now_ms()} {mail.message_id} {_told(refused)}".rstrip()
        return Ended(handle, _said(handle)[handle])

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """See `ResourceManager.poll`: the handle itself says it."""
        del instance
        return _said(*handles)

    async def cancel(self, instance: str, handle: str) -> None:
        """Refused: what is sent is sent."""
        del instance, handle
        raise Rejected("a mail that was sent cannot be called back", is_final=True)

    # --- within -------------------------------------------------------------------------------------

    async def _send(self, mail: Mail) -> list[str]:
        """Send it, and give the recipients that the server did not take."""
        try:
            async with asyncio.timeout(_BEFORE_CONTENT_S) as before, self.connections.lent() as client:
                refused = await _envelope(client, mail)
                before.reschedule(None)
                await _content(client, mail.content)
        except ServiceError:
            raise
        except SMTPAuthenticationError as error:
            raise _meaning(error, is_login=True) from None
        except SMTPResponseException as error:
            raise _meaning(error) from None
        except (SMTPException, OSError) as error:  # no content was sent: `_content` raises its own
            raise Throttled(f"no mail server to send by: {type(error).__name__}") from None
        return refused

    async def _connected(self) -> SMTP:
        config = self.config
        client = SMTP(
            hostname=config.host, port=config.port, use_tls=config.tls, start_tls=config.start_tls,
            tls_context=self._tls, username=config.username or None,
            password=config.password.get_secret_value() or None,
            local_hostname=config.hostname or address(config.sender).domain, timeout=config.timeout_s,
        )  # fmt: skip
        try:
            await client.connect()
        except BaseException:
            client.close()
            raise
        return client


async def _answers(client: SMTP) -> bool:
    """Whether a kept connection still stands."""
    try:
        await client.noop()
    except (SMTPException, OSError):
        return False
    return True


def _told(refused: Sequence[str]) -> str:
    """As many of these addresses as fit a handle, whole ones."""
    told = ",".join(refused)
    return told if len(told) <= _MOST_REFUSED else told[:_MOST_REFUSED].rpartition(",")[0]


async def _envelope(client: SMTP, mail: Mail) -> list[str]:
    """Say who it is from and for; gives the recipients refused while others were taken."""
    await client.mail(mail.sender)
    refused: list[SMTPRecipientRefused] = []
    for recipient in mail.recipients:
        try:
            await client.rcpt(recipient)
        except SMTPRecipientRefused as error:
            refused.append(error)
    if len(refused) == len(mail.recipients):
        first = refused[0]
        if first.code == _GOING:
            raise Throttled(f"{first.code} {first.message}")
        raise Rejected(f"{first.code} {first.message} ({first.recipient})", is_final=first.code >= 500)
    return [error.recipient for error in refused]


async def _content(client: SMTP, content: bytes) -> None:
    """Hand the mail over: from the first byte on, only an answer of the server says what became of it."""
    try:
        await client.data(content)
    except SMTPResponseException as error:
        if not 400 <= error.code < 600:
            raise OutcomeOpen(f"an answer without meaning: {error.code}") from None
        if error.code == _GOING:
            raise Throttled(f"{error.code} {error.message}") from None
        raise Rejected(f"{error.code} {error.message}", is_final=error.code >= 500) from None
    except (SMTPException, OSError) as error:
        raise OutcomeOpen(f"the answer to the mail was lost: {type(error).__name__}") from None


def _meaning(error: SMTPResponseException, *, is_login: bool = False) -> ServiceError:
    """What a refusal before the content means; the mail was not sent."""
    if (is_login and error.code >= 500) or error.code in _CREDENTIAL_CODES:
        return CredentialsRefused(f"{error.code} from the mail server")  # its text may name the user
    if error.code >= 500:
        return Rejected(f"{error.code} {error.message}", is_final=True)
    return Throttled(f"{error.code} {error.message}")


def _said(*handles: str) -> dict[str, JobStatus]:
    """What handles say of their mails."""
    read = {handle: _HANDLE.fullmatch(handle) for handle in handles}
    return {handle: _sent(found) for handle, found in read.items() if found}


def _sent(found: re.Match[str]) -> JobStatus:
    at_ms = int(found[1])
    output = {
        "messageId": found[2],
        "sentAt": datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds"),
        "refused": [each for each in found[3].split(",") if each],
    }
    return JobStatus("succeeded", output, ended_ms=at_ms, raw="sent")
