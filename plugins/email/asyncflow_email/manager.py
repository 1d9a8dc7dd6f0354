"""The resource manager for mail: a submit sends, and its handle tells that it was sent.

Nothing is kept but connections: after a restart a handle still says all that a poll has to know. Read
`message` for what may be sent.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from aiosmtplib import SMTP
from aiosmtplib.errors import (
    SMTPAuthenticationError,
    SMTPException,
    SMTPRecipientRefused,
    SMTPResponseException,
)
from pydantic import Field, SecretStr

from asyncflow.plugins.errors import (
    CredentialsRefused,
    OutcomeOpen,
    Rejected,
    ServiceError,
    Throttled,
)
from asyncflow.plugins.jobs import Ended, Job, JobStatus, Tier
from asyncflow.plugins.resources import JobInput, PluginConfig, ResourceContext, ResourceManager
from asyncflow_email.connections import Connections
from asyncflow_email.message import Email, Mail, address, compose

_HANDLE = re.compile(r"sent ([0-9]{1,16}) (<[a-z2-7]{32}@[^ <>]+>) ?(.*)")
_MOST_REFUSED = 600  # characters of a handle
_WINDOW_MS = 60_000
_CREDENTIAL_CODES = (530, 534, 535, 538)


class EmailConfig(PluginConfig):
    """Settings of a resource of type `email`."""

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
    domain_concurrency: int = Field(default=4, ge=1)
    domain_rate: int = Field(default=0, ge=0)


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
        self._domains: dict[str, asyncio.Semaphore] = {}
        self._sent_ms: dict[str, deque[int]] = {}
        self.connections = Connections(self._client, context.now_ms)

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
        await self.connections.close()

    async def submit(self, job: Job) -> Ended:
        """See `ResourceManager.submit`: the mail is with the server when this returns."""
        mail = await asyncio.to_thread(
            compose,
            job,
            sender=self.config.sender,
            folder=self.config.attachments,
            most_bytes=self.config.most_attachment_bytes,
            now_ms=self.context.now_ms(),
        )
        async with AsyncExitStack() as held:
            for domain in mail.domains:
                limit = self._domains.setdefault(domain, asyncio.Semaphore(self.config.domain_concurrency))
                await held.enter_async_context(limit)
            self._hold_rates(mail.domains)
            refused = await self._send(mail)
        told = ",".join(refused)[:_MOST_REFUSED]
        handle = f"sent {self.context.now_ms()} {mail.message_id} {told}".rstrip()
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
            async with self.connections.lent() as client:
                refused = await _envelope(client, mail)
                await _content(client, mail.content)
        except ServiceError:
            raise
        except SMTPAuthenticationError as error:
            raise _meaning(error, is_login=True) from None
        except SMTPResponseException as error:
            raise _meaning(error) from None
        except (SMTPException, OSError) as error:  # no content was sent: `_content` raises its own
            raise Throttled(f"the mail server does not answer: {type(error).__name__}") from None
        return refused

    def _hold_rates(self, domains: Sequence[str]) -> None:
        """Count a mail to each domain, or refuse it for now.

        Raises:
            Throttled: one of them has had its mails of this minute.
        """
        most, now_ms = self.config.domain_rate, self.context.now_ms()
        if not most:
            return
        windows = [self._sent_ms.setdefault(domain, deque(maxlen=most)) for domain in domains]
        for domain, window in zip(domains, windows, strict=True):
            if len(window) == most and window[0] > now_ms - _WINDOW_MS:
                wait_s = (window[0] + _WINDOW_MS - now_ms) / 1000
                raise Throttled(f"{most} mails a minute to {domain}", retry_after_s=wait_s)
        for window in windows:
            window.append(now_ms)

    def _client(self) -> SMTP:
        config = self.config
        return SMTP(
            hostname=config.host,
            port=config.port,
            use_tls=config.tls,
            start_tls=config.start_tls,
            tls_context=self._tls,
            username=config.username or None,
            password=config.password.get_secret_value() or None,
            local_hostname=config.hostname or address(config.sender).domain,
            timeout=config.timeout_s,
        )


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
        raise Rejected(f"{first.code} {first.message} ({first.recipient})", is_final=first.code >= 500)
    return [error.recipient for error in refused]


async def _content(client: SMTP, content: bytes) -> None:
    """Hand the mail over: from the first byte on, only an answer of the server says what became of it."""
    try:
        await client.data(content)
    except SMTPResponseException as error:
        if not 400 <= error.code < 600:
            raise OutcomeOpen(f"an answer without meaning: {error.code}") from None
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
