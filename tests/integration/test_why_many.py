"""What a large execution waits for is told in part, and without holding up the loop."""

from __future__ import annotations

import asyncio

from asyncflow.app.options import EngineSettings
from asyncflow.app.service import StartRequest
from asyncflow.app.services import open_services
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject
from tests.integration.schedule_support import workflow
from tests.integration.waiting import until


async def test_of_many_waiting_tasks_some_are_told_and_the_loop_goes_round_meanwhile() -> None:
    branches: list[JsonObject] = [
        {
            "name": "far",
            "taskReferenceName": f"t{number}",
            "type": "SIMPLE",
            "asyncflow": {"resources": [{"name": "r"}], "executor": "remote"},
        }
        for number in range(300)
    ]
    fork: JsonObject = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC"}
    fork |= {"dynamicForkTasksParam": "t", "dynamicForkTasksInputParamName": "i"}
    fork["inputParameters"] = {"t": branches, "i": {}}
    join: JsonObject = {"name": "j", "taskReferenceName": "j", "type": "JOIN"}
    async with open_services(settings=EngineSettings(resources={"r": ResourceLimit(1)})) as services:
        await services.executions.register_workflow(workflow("w", fork, join))
        execution = await services.executions.start(StartRequest(name="w"))
        states = services.executions.engine.turns.states
        await until(lambda: states[execution].open_count > 300)
        asked = asyncio.create_task(services.overview.why(execution))
        rounds = 0
        while not asked.done():
            await asyncio.sleep(0)
            rounds += 1
        few = await services.overview.why(execution, most=3)

    found = await asked
    listed = found["waitsFor"]
    assert isinstance(listed, list)
    assert len(listed) == 200
    assert int(str(found["openTasks"])) > 300
    assert rounds >= 200
    assert isinstance(few["waitsFor"], list)
    assert len(few["waitsFor"]) == 3
