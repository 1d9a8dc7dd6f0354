"""What goes out, what may not, and what the server's answers mean."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from asyncflow_email import EmailConfig, EmailManager
from asyncflow_email.manager import _told
from pydantic import ValidationError

from asyncflow.app.options import EngineSettings, Registry
from asyncflow.ids import attempt_token
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import CredentialsRefused, OutcomeOpen, Rejected, Throttled
from asyncflow.plugins.jobs import Job
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.kit import VirtualEngine
from asyncflow.testing.made import made_of
from asyncflow.testing.mail import MailServer

INJECTED = "x\r\nBcc: victim@example.net"


def local_manager(port: int, *, now_ms: Callable[[], int] = lambda: 0, **settings: object) -> EmailManager:
    given = {"host": "127.0.0.1", "port": port, "sender": "Reports <reports@example.com>", **settings}
    return made_of(EmailManager, {"timeout_s": 20.0, **given}, now_ms=now_ms)


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


@pytest.mark.scenario("R87")
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


NOTHING: dict[str, object] = {"host": "h", "sender": "a@example.com"}


@pytest.mark.parametrize(
    "settings", [{"tls": True, "start_tls": True}, {"username": "reports", "password": "hush"}]
)
def test_settings_that_cannot_work_or_tell_the_password_are_refused(settings: JsonObject) -> None:
    with pytest.raises(ValidationError, match="tls"):
        EmailConfig.model_validate({**NOTHING, **settings})


@pytest.mark.parametrize("text", ["\ud800", {"x": 1}])
async def test_mail_that_cannot_be_written_is_refused_for_good(
    manager: EmailManager, server: MailServer, text: object
) -> None:
    """Not an open outcome: nothing was sent, and nothing ever can be."""
    with pytest.raises(Rejected) as told:
        await manager.submit(job(1, text=text))

    assert told.value.is_final
    assert server.faults.calls["mail"] == 0


async def test_file_that_grows_while_it_is_read_is_refused(
    manager: EmailManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = manager.config.attachments
    assert folder is not None
    (folder / "grown").write_bytes(b"x" * 1_001)
    small = os.stat_result((0o100600, 0, 0, 1, 0, 0, 10, 0, 0, 0))
    monkeypatch.setattr(Path, "stat", lambda *_args, **_kinds: small)
    with pytest.raises(Rejected, match="more than 1000 bytes"):
        await manager.submit(job(1, attachments=[{"path": "grown"}]))


async def test_server_that_closes_uses_no_retry(manager: EmailManager, server: MailServer) -> None:
    server.answers = ["421 4.3.2 closing"]
    with pytest.raises(Throttled, match="421"):
        await manager.submit(job(1))
    await manager.submit(job(1))

    assert len(server.mails) == 1


def test_refused_recipients_are_told_whole() -> None:
    many = [f"user{n}@example.org" for n in range(100)]
    told = _told(many).split(",")

    assert 10 < len(told) < 100
    assert told == many[: len(told)]


def test_parts_are_the_domains_of_all_recipients() -> None:
    given: JsonObject = {
        "to": ["Ann <a@Example.org>", "b@example.org"], "cc": ["c@bücher.example"], "bcc": ["none", 7],
        "reply_to": "d@elsewhere.example",
    }  # fmt: skip

    assert EmailManager.parts(given) == ["example.org", "xn--bcher-kva.example"]
    assert EmailManager.parts({"to": "${workflow.secrets.to}"}) == []


def notice(domain: str) -> JsonObject:
    given: JsonObject = {"to": [f"a@{domain}"], "subject": "s", "text": "t"}
    task = {"name": "tell", "taskReferenceName": "tell", "type": "EMAIL", "inputParameters": given}
    return {"name": f"to_{domain}", "version": 1, "schemaVersion": 2, "tasks": [task]}


async def test_mails_to_one_domain_are_slow_over_a_restart_and_those_to_others_are_not(
    server: MailServer, tmp_path: Path
) -> None:
    clock = VirtualClock(auto=False)
    place: JsonObject = {"host": "127.0.0.1", "port": server.port, "sender": "reports@example.com"}
    resource = ResourceSettings("email", config=place, per_part=ResourceLimit(0, 2, 60_000))
    registry = Registry.built_in().with_classes(resources={"email": EmailManager})
    settings = EngineSettings(registry=registry, resources={"mail": resource})
    async with VirtualEngine(tmp_path / "f.db", settings=settings, clock=clock) as engine:
        for _ in range(2):
            await engine.finish(await engine.begin(notice("slow.example")))
    began_s = clock.seconds
    async with VirtualEngine(tmp_path / "f.db", settings=settings, clock=clock) as engine:
        slow = await engine.begin(notice("slow.example"))
        other = await engine.finish(await engine.begin(notice("other.example")))
        passed_s = clock.seconds - began_s
        late = await engine.finish(slow)

    assert (other.status, late.status) == ("COMPLETED", "COMPLETED")
    assert passed_s < 10
    assert clock.seconds - began_s > 30
    assert [mail.recipients for mail in server.mails][2:] == [["a@other.example"], ["a@slow.example"]]
