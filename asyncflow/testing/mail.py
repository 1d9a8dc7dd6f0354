"""A mail server on a socket of this machine, for tests and examples: it keeps what it took, and can fail.

It needs `aiosmtpd`. What can go wrong is in `testing/faults`; a mail is known again by the token in its
`Message-ID`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from types import TracebackType
from typing import NamedTuple, Self, cast

from aiosmtpd.smtp import SMTP, Envelope, Session

from asyncflow.plugins.jobs import JobWord
from asyncflow.testing.faults import Call, Fault, FaultPlan

_REFUSALS: dict[str, str] = {
    "throttled": "421 4.7.0 too many mails",
    "denied": "530 5.7.0 authentication required",
    "refused": "550 5.1.1 no such user",
    "broken": "451 4.3.0 local error",
}
_TAKEN = "250 2.0.0 taken"


class Taken(NamedTuple):
    """A mail that the server took, by its own clock."""

    at_ms: int
    sender: str
    recipients: list[str]
    content: EmailMessage


class MailServer:
    """Takes mails while it is open; an async context manager.

    Attributes:
        mails: what it took.
        answers: what the next mails are told in place of being taken, such as `421 4.3.2 closing`.
        connections: how many there were.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: 0) -> None:
        """Nothing is opened yet."""
        self.mails: list[Taken] = []
        self.faults = FaultPlan()
        self.answers: list[str] = []
        self.connections = 0
        self.port = 0
        self._now_ms = now_ms
        self._sockets: set[SMTP] = set()
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        """Listen on a free port of the loopback address."""
        self._server = await asyncio.get_running_loop().create_server(self._connected, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close every connection."""
        self._closing.set()
        self._server.close()
        self.cut_all()

    def cut_all(self) -> None:
        """End every connection without a word."""
        for each in self._sockets:
            _cut(each)

    def _connected(self) -> SMTP:
        self.connections += 1
        made = SMTP(self, hostname="localhost", enable_SMTPUTF8=False)
        self._sockets.add(made)
        return made

    # --- as aiosmtpd calls its handlers -------------------------------------------------------------

    async def handle_MAIL(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Take the sender, or let the mail meet its fault here, where nothing has been done."""
        fault = self.faults.take("mail")
        if fault == "silent":
            await self._closing.wait()
        if fault in ("cut_before", "silent"):
            _cut(server)
        if fault in ("throttled", "denied"):
            return _REFUSALS[fault]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        server.event_handler_fault = fault  # type: ignore[attr-defined]  # carried to the content
        return "250 2.0.0 sender taken"

    async def handle_DATA(  # noqa: N802  # aiosmtpd's name
        self, server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Take the mail, or not."""
        fault: Fault | None = getattr(server, "event_handler_fault", None)
        if fault in ("refused", "broken"):
            return _REFUSALS[fault]
        if self.answers:
            return self.answers.pop(0)
        content = message_from_bytes(cast("bytes", envelope.content), policy=SMTP_POLICY)
        taken = Taken(self._now_ms(), str(envelope.mail_from), list(envelope.rcpt_tos), content)
        self.mails.append(taken)
        if fault == "cut_after":
            _cut(server)
        return "299 <html>" if fault == "garbage" else _TAKEN

    # --- as `testing/faults.FakeService` --------------------------------------------------------------

    def jobs(self, token: str) -> int:
        """How many mails carry the token."""
        return sum(token in str(mail.content["Message-ID"]) for mail in self.mails)

    def instances(self, token: str) -> int:
        """None: a mail server has none."""
        del token
        return 0

    def fail(self, call: Call, fault: Fault, *, skip: int = 0) -> None:
        """Let the next mail meet the fault."""
        assert call == "submit", call
        self.faults.plan("mail", fault, skip=skip)

    def end_job(self, handle: str, word: JobWord) -> None:
        """Nothing: a mail that was taken has ended."""

    def settle(self) -> None:
        """Nothing is under way."""


def _cut(server: SMTP) -> None:
    """End the connection without an answer."""
    transport = cast("asyncio.Transport | None", server.transport)
    if transport is not None:
        transport.abort()
