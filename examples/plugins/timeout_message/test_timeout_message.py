"""A message for each timeout of the task that it was told of, once, and for no other."""

import ast
import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from aiohttp import web

from asyncflow.app.options import EngineSettings, Registry
from asyncflow.app.service import StartRequest
from asyncflow.app.services import open_services
from asyncflow.plugins.listening import ListenerSettings
from asyncflow.testing.clock import VirtualClock

PLUGIN = Path(__file__).with_name("timeout_message.py")


def plugin():
    spec = spec_from_file_location("timeout_message", PLUGIN)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TimeoutMessage


def task(ref: str) -> dict[str, object]:
    limits = {"name": ref, "pollTimeoutSeconds": 5, "timeoutSeconds": 0, "retryCount": 0}
    return {"name": ref, "taskReferenceName": ref, "type": "SIMPLE", "taskDefinition": limits}


async def test_a_message_goes_out_once_for_each_timeout_of_the_task(tmp_path: Path) -> None:
    came = []

    async def take(request: web.Request) -> web.Response:
        came.append(json.loads(await request.read()))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    clock = VirtualClock(1_900_000_000_000, auto=False)
    config = {"url": url, "allow": ["127.0.0.1"], "ref": "nightly_load"}
    settings = EngineSettings(
        registry=Registry.built_in().with_classes(listeners={"timeout-message": plugin()}),
        listeners={"timeout-message": ListenerSettings(config=config)},
    )
    try:
        for _ in range(2):  # a clean restart tells nothing again
            async with open_services(tmp_path / "a.db", settings=settings, clock=clock) as services:
                clock.attach(services.executions.engine)
                executions = [await started(services, ref) for ref in ("nightly_load", "other")]
                await clock.advance(10)
                for execution in executions:
                    await services.executions.ended(execution)
                (shown,) = services.listeners.all()
                while shown["lagTurns"]:
                    await clock.rest()
                    (shown,) = services.listeners.all()
    finally:
        await runner.cleanup()

    assert [(each["name"], each["data"]["ref"]) for each in came] == [("task.timed_out", "nightly_load")] * 2
    assert len({each["id"] for each in came}) == 2


async def started(services, ref: str) -> str:
    definition = {"name": ref, "version": 1, "schemaVersion": 2, "tasks": [task(ref)]}
    await services.executions.register_workflow(definition, overwrite=True)
    return await services.executions.start(StartRequest(name=ref))


def test_it_is_short() -> None:
    code = [line for line in PLUGIN.read_text().splitlines() if line.strip()]
    assert len(code) - 1 <= 15  # but for what it says of itself
    assert ast.parse(PLUGIN.read_text())
