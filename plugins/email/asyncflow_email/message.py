"""A mail made of a task's input: addresses, headers and files checked before a byte is sent.

Nothing is sent here. Whatever could smuggle a header, a recipient or a file in is refused for good.
"""

from __future__ import annotations

import mimetypes
import re
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import Rejected
from asyncflow.plugins.files import read_inside
from asyncflow.plugins.jobs import Job
from asyncflow.plugins.resources import JobInput

_ADDRESS = re.compile(r"(?:(?P<name>[^<>]*?)\s*<(?P<in>[^<>]+)>|(?P<bare>[^<>]+))")
_SPEC = re.compile(
    r"(?P<user>[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64})@(?P<domain>[^\s@<>,;:\"()\[\]\\]{1,253})"
)
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,75}")
_OURS = frozenset((
    "from", "to", "cc", "bcc", "subject", "date", "message-id", "reply-to", "sender", "return-path",
    "received", "mime-version",
))  # fmt: skip
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\x85\u2028\u2029]")
_MOST_RECIPIENTS = 100


class Attachment(JobInput):
    """A file that is attached, by its path under the configured folder."""

    path: str
    name: str = ""
    content_type: str = ""


class Email(JobInput):
    """The input of an EMAIL task."""

    to: list[str] = Field(default_factory=list)
    cc: list[str] = Field(default_factory=list)
    bcc: list[str] = Field(default_factory=list)
    reply_to: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""
    attachments: list[Attachment] = Field(default_factory=list, max_length=20)
    headers: dict[str, str] = Field(default_factory=dict)


class Mail(NamedTuple):
    """What goes out: the envelope and the content."""

    sender: str
    recipients: list[str]
    message_id: str
    content: bytes


def domains_of(given: JsonObject) -> list[str]:
    """The domains of the recipients in a task's input, each once; what is no address has none."""
    texts = [each for key in ("to", "cc", "bcc") if isinstance(some := given.get(key), list) for each in some]
    found = set()
    for text in texts:
        with suppress(Rejected):
            found.add(address(str(text)).domain)
    return sorted(found)


def compose(job: Job, *, sender: str, folder: Path | None, most_bytes: int, now_ms: int) -> Mail:
    """The mail that a job asks for. Reads files: with attachments it belongs into a thread.

    Raises:
        Rejected: something in it may not be sent; no retry helps.
    """
    try:
        return _composed(job, sender=sender, folder=folder, most_bytes=most_bytes, now_ms=now_ms)
    except (ValueError, TypeError, LookupError) as error:  # what the library makes of a text is its own
        raise Rejected(f"a mail that cannot be written: {type(error).__name__}", is_final=True) from None


def _composed(job: Job, *, sender: str, folder: Path | None, most_bytes: int, now_ms: int) -> Mail:
    given = Email.model_validate(job.input)
    listed = {"To": given.to, "Cc": given.cc, "Bcc": given.bcc}
    told = {name: [address(each) for each in texts] for name, texts in listed.items()}
    recipients = list(dict.fromkeys(one.addr_spec for some in told.values() for one in some))
    if not 0 < len(recipients) <= _MOST_RECIPIENTS:
        raise Rejected(f"a mail needs 1 to {_MOST_RECIPIENTS} recipients", is_final=True)
    origin = address(sender)
    message_id = f"<{job.token}@{origin.domain}>"
    message = EmailMessage(policy=SMTP)
    message["From"] = origin
    for name in ("To", "Cc"):
        if told[name]:
            message[name] = told[name]
    if given.reply_to:
        message["Reply-To"] = address(given.reply_to)
    message["Subject"] = _line(given.subject, "subject")
    message["Date"] = format_datetime(datetime.fromtimestamp(now_ms / 1000, UTC))
    message["Message-ID"] = message_id
    _add_headers(message, given.headers)
    message.set_content(given.text)
    if given.html:
        message.add_alternative(given.html, subtype="html")
    _attach(message, given.attachments, folder, most_bytes)
    return Mail(origin.addr_spec, recipients, message_id, message.as_bytes())


def address(text: str) -> Address:
    """An address, with or without a name before it.

    Raises:
        Rejected: it is none, or more than one.
    """
    found = _ADDRESS.fullmatch(_line(text, "address").strip())
    spec = _SPEC.fullmatch((found["in"] or found["bare"]).strip()) if found else None
    if found is None or spec is None:
        raise Rejected(f"not an address: {text[:100]!r}", is_final=True)
    try:
        domain = spec["domain"].lower().encode("idna").decode("ascii")
        return Address((found["name"] or "").strip().strip('"'), spec["user"], domain)
    except ValueError:
        raise Rejected(f"not an address: {text[:100]!r}", is_final=True) from None


def _add_headers(message: EmailMessage, headers: dict[str, str]) -> None:
    for name, value in headers.items():
        low = name.lower()
        if not _HEADER.fullmatch(name) or low in _OURS or low.startswith(("content-", "dkim-", "arc-")):
            raise Rejected(f"a header that may not be set: {name[:60]!r}", is_final=True)
        message[name] = _line(value, f"header {name}")


def _attach(
    message: EmailMessage, attachments: Sequence[Attachment], folder: Path | None, most_bytes: int
) -> None:
    for each in attachments:
        name, content = read_inside(folder, each.path, most_bytes=most_bytes, what="attachments")
        most_bytes -= len(content)
        kind = each.content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        main, slash, minor = _line(kind, "content_type").partition("/")
        if not slash or not re.fullmatch(r"[\w.+-]+", main) or not re.fullmatch(r"[\w.+-]+", minor):
            raise Rejected(f"not a content type: {kind[:100]!r}", is_final=True)
        shown = _line(each.name or name, "attachment name")
        message.add_attachment(content, maintype=main, subtype=minor, filename=shown)


def _line(text: str, what: str) -> str:
    if _CONTROL.search(text):
        raise Rejected(f"{what} holds a line break or control character", is_final=True)
    return text
