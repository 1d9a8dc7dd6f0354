"""What goes out, what may not, and what the server's answers mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asyncflow_email import EmailManager
from asyncflow_email.testing import local_manager

from asyncflow.ids import attempt_token
from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import CredentialsRefused, OutcomeOpen, Rejected, Throttled
from asyncflow.plugins.jobs import Job
from asyncflow.testing.mail import MailServer

INJECTED = "x\r\nBcc: victim@example.net"


@pytest.fixture
async def server() -> AsyncIterator[MailServer]:
    async with MailServer() as opened:
        yield opened


@pytest.fixture
async def manager(server: MailServer, tmp_path: Path) -> AsyncIterator[EmailManager]:
    folder = tmp_path / "files"
    folder.mkdir()
    made = local_manager(server.port, attachments=str(folder), most_attachment_bytes=1_000)
    await made.open()
    yield made
    await made.close()


def job(number: int = 1, **changes: object) -> Job:
    given: JsonObject = {"to": ["a@example.org"], "subject": "s", "text": "t", **changes}
    return Job(attempt_token("i", "e", "r", attempt=number, epoch=0), "01234567", given, "EMAIL")


async def test_mail_arrives_as_it_was_given(manager: EmailManager, server: MailServer) -> None:
    (manager.config.attachments / "r.csv").write_text("1,2")  # type: ignore[operator]  # it is set
    sent = await manager.submit(
        job(
            to=["Ann Ö <a@example.org>"], cc=["b@example.org"], bcc=["c@example.org"], subject="Über",
            html="<b>t</b>", headers={"X-Day": "1"}, attachments=[{"path": "r.csv"}],
        )
    )  # fmt: skip
    (mail,) = server.mails
    content = mail.content

    assert mail.recipients == ["a@example.org", "b@example.org", "c@example.org"]
    assert content["Subject"] == "Über"
    assert content["Bcc"] is None
    assert content["X-Day"] == "1"
    assert content["Message-ID"] == f"<{job().token}@example.com>"
    assert [part.get_filename() for part in content.iter_attachments()] == ["r.csv"]
    assert sent.status.output["messageId"] == content["Message-ID"]


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": INJECTED},
        {"to": [f"a@example.org{INJECTED}"]},
        {"to": ["a@example.org, b@example.org"]},
        {"to": ["a@example.org> RCPT TO:<b@example.org"]},
        {"to": [f"{INJECTED} <a@example.org>"]},
        {"to": []},
        {"to": ["a@example.org"] * 1 + [f"u{n}@example.org" for n in range(100)]},
        {"reply_to": INJECTED},
        {"headers": {"X-A": INJECTED}},
        {"headers": {"X-A\r\nBcc": "v@example.net"}},
        {"headers": {"bcc": "v@example.net"}},
        {"headers": {"Content-Type": "text/html"}},
        {"attachments": [{"path": "../secret"}]},
        {"attachments": [{"path": "/etc/hostname"}]},
        {"attachments": [{"path": "link"}]},
        {"attachments": [{"path": "missing"}]},
        {"attachments": [{"path": "large"}]},
        {"attachments": [{"path": "ok", "name": INJECTED}]},
        {"attachments": [{"path": "ok", "content_type": "text/x; name=y"}]},
    ],
)
async def test_mail_that_smuggles_is_refused_for_good(
    manager: EmailManager, server: MailServer, changes: JsonObject
) -> None:
    folder = manager.config.attachments
    assert folder is not None
    (folder.parent / "secret").write_text("s")
    (folder / "link").symlink_to(folder.parent / "secret")
    (folder / "large").write_bytes(b"x" * 1_001)
    (folder / "ok").write_text("x")
    with pytest.raises(Rejected) as told:
        await manager.submit(job(1, **changes))

    assert told.value.is_final
    assert server.faults.calls["mail"] == 0


async def test_refusals_say_whether_a_retry_helps(manager: EmailManager, server: MailServer) -> None:
    server.fail("submit", "refused")
    with pytest.raises(Rejected, match="550") as final:
        await manager.submit(job())
    server.fail("submit", "broken")
    with pytest.raises(Rejected, match="451") as passing:
        await manager.submit(job())

    assert (final.value.is_final, passing.value.is_final) == (True, False)
    assert server.mails == []


async def test_lost_answer_is_open_and_no_other(manager: EmailManager, server: MailServer) -> None:
    server.fail("submit", "cut_after")
    with pytest.raises(OutcomeOpen):
        await manager.submit(job(1))
    server.fail("submit", "cut_before")
    with pytest.raises(Throttled):
        await manager.submit(job(2))
    server.fail("submit", "denied")
    with pytest.raises(CredentialsRefused):
        await manager.submit(job(3))

    assert len(server.mails) == 1


async def test_connections_are_kept(manager: EmailManager, server: MailServer) -> None:
    for number in range(1, 21):
        await manager.submit(job(number))

    assert (len(server.mails), server.connections) == (20, 1)


async def test_as_many_connections_as_the_domain_may_have(server: MailServer) -> None:
    manager = local_manager(server.port, domain_concurrency=2)
    await manager.open()
    await asyncio.gather(*(manager.submit(job(number)) for number in range(1, 21)))

    assert len(server.mails) == 20
    assert server.connections == manager.connections.opened <= 2
    await manager.close()


async def test_server_that_is_not_there_uses_no_retry() -> None:
    async with MailServer() as gone:
        port = gone.port
    manager = local_manager(port)
    await manager.open()
    with pytest.raises(Throttled):
        await manager.submit(job())
    await manager.close()


async def test_kept_connection_that_the_server_closed_is_made_anew(server: MailServer) -> None:
    at_ms = [0]
    manager = local_manager(server.port, now_ms=lambda: at_ms[0])
    await manager.open()
    await manager.submit(job(1))
    server.cut_all()
    at_ms[0] = 60_000
    await manager.submit(job(2))

    assert (len(server.mails), server.connections) == (2, 2)
    await manager.close()


async def test_domain_has_its_mails_a_minute(server: MailServer) -> None:
    at_ms = [0]
    manager = local_manager(server.port, now_ms=lambda: at_ms[0], domain_rate=2)
    await manager.open()
    for number in (1, 2):
        await manager.submit(job(number))
    at_ms[0] = 20_000
    with pytest.raises(Throttled) as told:
        await manager.submit(job(3))
    await manager.submit(job(4, to=["a@elsewhere.example"]))
    at_ms[0] = 60_000
    await manager.submit(job(5))

    assert told.value.retry_after_s == 40.0
    assert len(server.mails) == 4
    await manager.close()
