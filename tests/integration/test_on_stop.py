"""R11, C23, C33: a stop leaves executions alone, or pauses them and the next start resumes just those.

Law: after stop and start every execution has the status that its users gave it, whatever `on_stop` says.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.app.build import open_reader
from asyncflow.app.config import Config
from asyncflow.app.options import EngineSettings
from asyncflow.app.service import Service, StartRequest
from asyncflow.app.services import Services, open_services
from asyncflow.model import events as ev
from asyncflow.model.definition import parse_workflow
from asyncflow.model.effects import Timer
from asyncflow.model.extension import OnStop
from asyncflow.store.records import Page
from tests.cli.making import Json, task, workflow

WAITS = workflow(task("wait", "WAIT"), task("after", "NOOP"), name="waits")


def parent(**ours: object) -> Json:
    child = {"name": "waits", "version": 1, "workflowDefinition": WAITS}
    return workflow(task("child", "SUB_WORKFLOW", subWorkflowParam=child), name="parent", asyncflow=ours)


async def begin(service: Service, definition: Json) -> str:
    return await service.start(StartRequest(definition=parse_workflow(definition)))


def statuses(services: Services) -> dict[str, str]:
    return {key: state.status for key, state in services.executions.engine.turns.states.items()}


async def decided(services: Services, execution_id: str) -> None:
    """Wait until what the start itself asked of the execution is decided: a command comes after it."""
    await services.executions.set_variables(execution_id, {})


def due(services: Services, execution_id: str) -> set[int]:
    """When the execution times out."""
    state = services.executions.engine.turns.states[execution_id]
    return {each.due_ms for each in state.wanted[0] if isinstance(each, Timer)}


async def stored(database: Path) -> dict[str, str]:
    """What anybody reads in the file while no engine runs."""
    async with open_reader(database) as reader:
        rows = await reader.list_executions([], Page(100))
    return {row.execution_id: row.status for row in rows}


@pytest.mark.scenario("R11")
@pytest.mark.parametrize("on_stop", ["continue", "pause"])
async def test_what_a_user_paused_stays_paused_and_nothing_else_is(tmp_path: Path, on_stop: OnStop) -> None:
    database, settings = tmp_path / "flow.db", EngineSettings(on_stop=on_stop)
    async with open_services(database, settings=settings) as services:
        service = services.executions
        mine, other, ended = [await begin(service, WAITS) for _ in range(3)]
        await service.pause(mine, "a user")
        await service.terminate(ended)
    stopped = await stored(database)
    async with open_services(database, settings=settings) as services:
        await decided(services, other)
        started = statuses(services)
        await services.executions.resume(mine)
        for each in (mine, other):
            await services.executions.signal(each, "wait")
            assert (await services.executions.ended(each)).status == "COMPLETED"

    expected = {"continue": "RUNNING", "pause": "PAUSED"}[on_stop]
    assert stopped == {mine: "PAUSED", other: expected, ended: "TERMINATED"}
    assert started == {mine: "PAUSED", other: "RUNNING"}


async def test_children_are_paused_and_resumed_with_their_parents(tmp_path: Path) -> None:
    database, settings = tmp_path / "flow.db", EngineSettings(on_stop="pause")
    async with open_services(database, settings=settings) as services:
        identity = await begin(services.executions, parent())
    stopped = await stored(database)
    async with open_services(database) as services:
        [child] = statuses(services).keys() - {identity}
        await services.executions.signal(child, "wait")
        state = await services.executions.ended(identity)

    assert set(stopped.values()) == {"PAUSED"}, "the setting of the next start does not matter"
    assert len(stopped) == 2
    assert state.status == "COMPLETED"


@pytest.mark.parametrize(("engine", "own"), [("continue", "pause"), ("pause", "continue")])
async def test_a_workflow_may_say_it_itself(tmp_path: Path, engine: OnStop, own: OnStop) -> None:
    database = tmp_path / "flow.db"
    async with open_services(database, settings=EngineSettings(on_stop=engine)) as services:
        plain = await begin(services.executions, WAITS)
        special = await begin(services.executions, {**WAITS, "asyncflow": {"onStop": own}})
    stopped = await stored(database)

    word = {"continue": "RUNNING", "pause": "PAUSED"}
    assert stopped == {plain: word[engine], special: word[own]}


async def test_the_timeout_of_a_workflow_does_not_begin_anew(tmp_path: Path) -> None:
    database, settings = tmp_path / "flow.db", EngineSettings(on_stop="pause")
    dues: list[set[int]] = []
    async with open_services(database, settings=settings) as services:
        identity = await begin(services.executions, {**WAITS, "timeoutSeconds": 3_600})
        dues.append(due(services, identity))
    for _ in range(2):
        async with open_services(database, settings=settings) as services:
            await decided(services, identity)
            dues.append(due(services, identity))
            history = await services.executions.engine._store.read_streams([identity])
    kinds = [each.event for each in history[identity]]

    assert len(dues[0]) == 1
    assert dues[0] == dues[1] == dues[2]
    assert [each.by_stop for each in kinds if isinstance(each, ev.ExecutionPaused)] == [True, True]
    assert [each.by_start for each in kinds if isinstance(each, ev.ExecutionResumed)] == [True, True]


def test_it_is_configured() -> None:
    settings = Config.model_validate({"server": {"on_stop": "pause", "crash_limit": 5}}).engine_settings({})

    assert (settings.on_stop, settings.crash_limit) == ("pause", 5)
