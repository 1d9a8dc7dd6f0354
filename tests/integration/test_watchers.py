"""The listeners that come with asyncflow, against a real receiver and real files."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from asyncflow.app.config_sources import configure
from asyncflow.app.options import EngineSettings
from asyncflow.app.services import Services, open_services
from asyncflow.errors import ConfigurationError
from asyncflow.plugins.listening import ListenerSettings
from asyncflow.watchers.log import LogConfig
from asyncflow.watchers.webhook import ID_HEADER, SIGNATURE_HEADER, signature
from tests.integration.listener_support import ran, shown
from tests.integration.waiting import until

ENDS = ("execution.completed",)


class Receiver:
    """Answers as it is told, and keeps what came."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.came: list[tuple[dict[str, str], bytes]] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        self.came.append((dict(request.headers), await request.read()))
        return web.Response(status=self.answers.pop(0) if self.answers else 200)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    receiver.url = f"http://{host}:{port}/hook"
    try:
        yield receiver
    finally:
        await runner.cleanup()


@asynccontextmanager
async def engine_with(kind: str, **config: object) -> AsyncIterator[Services]:
    settings = ListenerSettings(
        type=kind, patterns=ENDS, config=config, start="beginning", retries=2, retry_first_s=0.001
    )
    secrets = {"hook": "s3cret"}
    async with open_services(
        settings=EngineSettings(listeners={"ear": settings}, secrets=secrets)
    ) as services:
        yield services


async def test_a_webhook_posts_each_event_signed_under_an_id_that_stays() -> None:
    async with receiving() as receiver:
        receiver.answers = [500, 302]
        async with engine_with(
            "webhook", url=receiver.url, allow=["127.0.0.1"], secret="${secret:hook}"
        ) as services:
            execution = await ran(services)
            await until(lambda: shown(services)["told"] == 1)

    assert len(receiver.came) == 3
    assert len({body for _, body in receiver.came}) == 1
    assert {headers[ID_HEADER] for headers, _ in receiver.came} == {f"{execution}:5"}
    headers, body = receiver.came[0]
    assert headers[SIGNATURE_HEADER] == signature("s3cret", body)
    said = json.loads(body)
    assert (said["name"], said["subject"]) == ("execution.completed", execution)
    assert said["data"]["workflow"] == "w"


async def test_a_webhook_calls_no_address_inside_unless_that_is_allowed() -> None:
    async with receiving() as receiver, engine_with("webhook", url=receiver.url) as services:
        await ran(services)
        await until(lambda: shown(services)["skipped"] == 1)
        _, skipped = await services.listeners.skipped("ear")

    assert receiver.came == []
    assert "AddressRefused" in str(skipped[0]["reason"])


async def test_a_log_keeps_a_line_of_each_event_and_turns_its_file_over(tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    async with engine_with(
        "log", folder=str(folder), file="events.jsonl", max_bytes=1_000, keep=2
    ) as services:
        executions = [await ran(services) for _ in range(12)]
        await until(lambda: shown(services)["told"] == 12)

    files = [folder / name for name in ("events.jsonl.2", "events.jsonl.1", "events.jsonl")]
    assert sorted(folder.iterdir()) == sorted(files)
    assert all(file.stat().st_size <= 1_000 for file in files)
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert [line["subject"] for line in lines] == executions[-len(lines) :]


async def test_a_log_follows_no_link(tmp_path: Path) -> None:
    (tmp_path / "events.jsonl").symlink_to(tmp_path / "elsewhere")
    async with engine_with("log", folder=str(tmp_path), file="events.jsonl") as services:
        await ran(services)
        await until(lambda: shown(services)["skipped"] == 1)

    assert not (tmp_path / "elsewhere").exists()


async def test_a_log_without_a_file_writes_to_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    async with engine_with("log") as services:
        execution = await ran(services)
        await until(lambda: shown(services)["told"] == 1)

    (line,) = [each for each in capfd.readouterr().err.splitlines() if each.startswith("{")]
    assert json.loads(line)["subject"] == execution


@pytest.mark.parametrize("file", ["../up", "/etc/passwd", "a/b", ".."])
def test_a_log_lies_in_its_folder(file: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plain name"):
        LogConfig(folder=tmp_path, file=file)


def test_sections_of_listeners_are_read_and_checked(tmp_path: Path) -> None:
    file = tmp_path / "asyncflow.toml"
    text = """
[listeners.ops]
type = "webhook"
url = "https://hooks.example/ops"
patterns = ["task.timed_out"]
from = "beginning"
timeout = "5s"
retries = 3
max_lag = 10
"""
    file.write_text(text)
    settings = configure(file, {}, {}).config.engine_settings({}).listeners["ops"]
    said = (settings.type, settings.start, settings.timeout_s, settings.retries, settings.max_lag)
    assert said == ("webhook", "beginning", 5.0, 3, 10)
    assert settings.config == {"url": "https://hooks.example/ops"}

    file.write_text(text.replace("task.timed_out", "task.timedout").replace("url", "uri"))
    with pytest.raises(ConfigurationError) as refused:
        configure(file, {}, {}).config.engine_settings({})
    assert "listeners.ops.uri: no such setting" in str(refused.value)

    file.write_text(text.replace("task.timed_out", "task.timedout"))
    with pytest.raises(ConfigurationError, match=r"'task\.timedout' fits the name of no event"):
        configure(file, {}, {}).config.engine_settings({})
