"""A life of an engine with a schedule and handlers, in virtual time, run as a program and killed at a point.

Arguments: database, a named point, and at which of its times. Every hour an execution of `told` begins,
which tells its id; a handler starts `heard` for each, and another puts the id on the list of `holder`.
"""

from __future__ import annotations

import asyncio
import sys

from tests.crash.killing import Death, die_at
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
        die_at(Death(sys.argv[2], int(sys.argv[3])))
        await clock.advance(6 * HOUR + 60)
        say("over")


def say(word: str) -> None:
    """Tell the test how far it came."""
    sys.stdout.write(word)
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(live(sys.argv[1]))
