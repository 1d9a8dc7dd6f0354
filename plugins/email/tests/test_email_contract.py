"""The mail manager keeps the contract, against a server that speaks SMTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
from asyncflow_email import EmailManager

from asyncflow.model.values import JsonObject
from asyncflow.testing.faults import Call, FakeService
from asyncflow.testing.made import SECRET, made_of
from asyncflow.testing.mail import MailServer
from asyncflow.testing.resource_contract import ResourceManagerContract


class TestEmail(ResourceManagerContract):
    """Mails."""

    input: ClassVar[JsonObject] = {"to": ["someone@example.org"], "subject": "s", "text": "t"}
    task_type = "EMAIL"
    secrets = (SECRET,)
    words = ("succeeded",)
    offline: ClassVar[frozenset[Call]] = frozenset(("poll", "cancel"))

    @pytest.fixture
    async def service(self) -> AsyncIterator[MailServer]:
        async with MailServer() as server:
            yield server

    def make(self, service: FakeService) -> EmailManager:
        assert isinstance(service, MailServer)
        given = {"host": "127.0.0.1", "port": service.port, "sender": "Reports <reports@example.com>"}
        return made_of(EmailManager, {"password": SECRET, **given})
