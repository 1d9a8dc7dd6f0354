"""The listeners that come with asyncflow keep the contract of listeners, as a third party's have to."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import pytest
from aiohttp import web

from asyncflow.plugins.listeners import CommittedEvent
from asyncflow.testing.listener_contract import ListenerContract
from asyncflow.watchers.log import EventLog, LogConfig
from asyncflow.watchers.webhook import Webhook, WebhookConfig

EVENTS = (
    CommittedEvent("execution-1:7", "task.timed_out", 0, "execution-1", {"ref": "a\r\nBcc: b@example.net"}),
    CommittedEvent("resource:emr:3", "resource.destroyed", 1, "emr", {"number": 1, "reason": "\u2028é"}),
)
SECRET = "hush"


class TestWebhook(ListenerContract):
    name = "webhook"
    events: ClassVar[tuple[CommittedEvent, ...]] = EVENTS
    secrets = (SECRET,)
    url = ""

    @pytest.fixture(autouse=True)
    async def receiver(self) -> AsyncIterator[None]:
        async def take(_: web.Request) -> web.Response:
            return web.Response(status=204)

        app = web.Application()
        app.router.add_post("/", take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield
        await runner.cleanup()

    def make(self) -> Webhook:
        settings = {"url": self.url, "allow": ["127.0.0.0/8"], "secret": SECRET}
        headers = {"Authorization": f"Bearer {SECRET}"}
        return Webhook("webhook", WebhookConfig.model_validate({**settings, "headers": headers}))


class TestLog(ListenerContract):
    name = "log"
    events: ClassVar[tuple[CommittedEvent, ...]] = EVENTS

    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.place = tmp_path

    def make(self) -> EventLog:
        return EventLog("log", LogConfig(folder=self.place, file="events.log"))
