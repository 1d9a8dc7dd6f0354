"""Two lives of an engine for the tests of deletion, run as a program; the second is killed at a named point.

Arguments: database, `fill` or a point. `fill` leaves three ended executions with texts and logs, in
segments or in turns; the other deletes the first of them, says so, and makes segments.
"""

from __future__ import annotations

import asyncio
import os
import sys

import asyncflow as af
from asyncflow.app.logbook import Logbook
from asyncflow.app.service import StartRequest
from asyncflow.ids import task_id
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import EngineSettings
from tests.crash.killing import Death, die_at
from tests.integration.engine_support import noop, simple, workflow

SETTINGS = EngineSettings(keep_ended=0, turn_log_bytes=3_000)
ECHO = workflow("echo", [simple("noop")])


def say(word: str) -> None:
    """Tell the test, past any buffer."""
    os.write(1, f"{word}\n".encode())


async def fill(database: str) -> None:
    async with af.Engine(database, tasks=[noop]) as engine:
        inner = engine.service.engine
        await engine.register(ECHO)
        for number in range(3):
            given: JsonObject = {"say": f"word{number}"}
            execution = await engine.service.start(StartRequest(name="echo", input=given))
            await engine.service.ended(execution)
            await Logbook(inner, inner._store).add_log_lines(
                task_id(execution, 1), ["a line"], execution_id=execution
            )
            say(execution)
        await inner.views_caught_up()
        await inner.texts.caught_up()


async def delete(database: str, execution: str, point: str) -> None:
    async with af.Engine(database, tasks=[noop], settings=SETTINGS) as engine:
        inner = engine.service.engine

        await inner.views_caught_up()
        die_at(Death(point))
        await inner.delete_execution(execution, "asked for")
        say("deleted")
        for _ in range(3):
            await engine.service.ended(await engine.service.start(StartRequest(name="echo", input={})))
        await inner.views_caught_up()
        await inner.compaction.compact()
        await inner.compaction.compact()
        say("compacted")


if __name__ == "__main__":
    if sys.argv[2] == "fill":
        asyncio.run(fill(sys.argv[1]))
    else:
        asyncio.run(delete(*sys.argv[1:]))
