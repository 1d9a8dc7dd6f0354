"""Events as mails, to a real SMTP server, from an engine that was asked for it."""

from __future__ import annotations

from asyncflow_email.listener import MailListener

from asyncflow.app.options import EngineSettings, Registry
from asyncflow.app.services import open_services
from asyncflow.plugins.listening import ListenerSettings
from asyncflow.testing.mail import MailServer
from tests.integration.listener_support import ran, shown
from tests.integration.waiting import until


async def test_each_event_is_one_mail_that_names_it() -> None:
    async with MailServer() as server:
        config: dict[str, object] = {
            "host": "127.0.0.1",
            "port": server.port,
            "sender": "flow@example.org",
            "to": ["ops@example.org"],
            "subject_prefix": "[flow] ",
        }
        listener = ListenerSettings(config=config, patterns=("execution.completed",))
        settings = EngineSettings(
            registry=Registry.built_in().with_classes(listeners={"mail": MailListener}),
            listeners={"mail": listener},
        )
        async with open_services(settings=settings) as services:
            executions = [await ran(services) for _ in range(2)]
            await until(lambda: shown(services, "mail")["told"] == 2)

    assert [mail.recipients for mail in server.mails] == [["ops@example.org"]] * 2
    assert [mail.content["Subject"] for mail in server.mails] == ["[flow] execution.completed w"] * 2
    assert len({mail.content["Message-ID"] for mail in server.mails}) == 2
    for mail, execution in zip(server.mails, executions, strict=True):
        assert execution in mail.content.get_content()
