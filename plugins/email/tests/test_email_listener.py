"""Events as mails, to a real SMTP server: the contract of listeners, and an engine that was asked for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
from asyncflow_email.listener import MailConfig, MailListener

import asyncflow as af
from asyncflow.plugins.listeners import CommittedEvent
from asyncflow.testing.listener_contract import ListenerContract
from asyncflow.testing.mail import MailServer

SECRET = "hush"
SHORT: dict[str, object] = {
    "name": "w",
    "version": 1,
    "schemaVersion": 2,
    "tasks": [
        {"name": "s", "taskReferenceName": "s", "type": "SET_VARIABLE", "inputParameters": {"x": 1}},
    ],
}


class TestMail(ListenerContract):
    """Mails of events."""

    name = "mail"
    events: ClassVar[tuple[CommittedEvent, ...]] = (
        CommittedEvent(
            "execution-1:7", "task.timed_out", 0, "execution-1", {"ref": "a\r\nBcc: b@example.net"}
        ),
        CommittedEvent("resource:emr:3", "resource.destroyed", 1, "emr", {"number": 1, "reason": "\u2028é"}),
    )
    secrets = (SECRET,)
    port = 0

    @pytest.fixture(autouse=True)
    async def server(self) -> AsyncIterator[None]:
        async with MailServer() as server:
            self.port = server.port
            yield

    def make(self) -> MailListener:
        place = {"host": "127.0.0.1", "port": self.port, "sender": "flow@example.org", "password": SECRET}
        return MailListener("mail", MailConfig.model_validate({**place, "to": ["ops@example.org"]}))


class Ends(MailListener):
    """Mails of executions that completed; counts them."""

    patterns = ("execution.completed",)

    def __init__(self, name: str, config: MailConfig) -> None:
        super().__init__(name, config)
        self.mailed = asyncio.Semaphore(0)

    async def on_event(self, event: CommittedEvent) -> None:
        await super().on_event(event)
        self.mailed.release()


async def test_each_event_is_one_mail_that_names_it() -> None:
    async with MailServer() as server:
        config: dict[str, object] = {
            "host": "127.0.0.1",
            "port": server.port,
            "sender": "flow@example.org",
            "to": ["ops@example.org"],
            "subject_prefix": "[flow] ",
        }
        listener = Ends("mail", MailConfig.model_validate(config))
        async with af.Engine(listeners=[listener]) as engine, asyncio.timeout(60):
            runs = [await engine.start(SHORT) for _ in range(2)]
            for _ in runs:
                await listener.mailed.acquire()

    assert [mail.recipients for mail in server.mails] == [["ops@example.org"]] * 2
    assert [mail.content["Subject"] for mail in server.mails] == ["[flow] execution.completed w"] * 2
    assert len({mail.content["Message-ID"] for mail in server.mails}) == 2
    for mail, run in zip(server.mails, runs, strict=True):
        assert run.id in mail.content.get_content()
