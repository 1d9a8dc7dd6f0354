"""A life of an engine with a schedule and handlers, in virtual time, run as a program and killed at a point.

Arguments: database, a named point, and at which of its times. Every hour an execution of `told` begins,
which tells its id; a handler starts `heard` for each, and another puts the id on the list of `holder`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys

from asyncflow.runtime import points
from tests.integration.event_support import BEGIN, act, handler, run, start, telling
from tests.integration.schedule_support import HOUR, clock_at, schedule, services_on, wait, workflow


async def live(database: str) -> None:
    """Set everything up, say so, and let six hours pass."""
    clock = clock_at(BEGIN)
    async with services_on(clock, database) as services:
        executions = services.executions
        await executions.register_workflow(
            workflow("told", telling("asyncflow:s", who="${workflow.workflowId}"))
        )
        await executions.register_workflow(workflow("heard"))
        await executions.register_workflow(workflow("holder", wait("hold")))
        holder = await run(services, "holder")
        await executions.set_variables(holder, {"seen": []})
        listing = act(
            "update_workflow_variables", workflowId=holder, variables={"seen": "${who}"}, appendArray=True
        )
        await services.handlers.create(handler("list", "asyncflow:s", listing))
        await services.handlers.create(handler("start", "asyncflow:s", start("heard")))
        hourly = schedule("hourly", "0 0 * * * ?", starts="told", runCatchupScheduleInstances=True)
        await services.schedules.save(hourly)
        say("ready")
        install_killer()
        await clock.advance(6 * HOUR + 60)
        say("over")


def say(word: str) -> None:
    """Tell the test how far it came."""
    sys.stdout.write(word)
    sys.stdout.flush()


def install_killer() -> None:
    """Kill this process when the point is reached as often as was said."""
    point, left = sys.argv[2], [int(sys.argv[3])]

    def look(reached: str) -> None:
        if reached == point:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

    points.install(look)


if __name__ == "__main__":
    asyncio.run(live(sys.argv[1]))
