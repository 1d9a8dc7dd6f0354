"""Law: the views' turn moves on however much changes all the time."""

from __future__ import annotations

import asyncio
from pathlib import Path

from asyncflow.decide.compile import compile_definition
from asyncflow.model.definition import parse_workflow
from asyncflow.model.state import ExecutionState
from asyncflow.runtime.projection import Projection
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import waiting, workflow

EXECUTIONS = 2_100  # more than become rows at the end of one turn
TURNS = 30
GRAPH = compile_definition(parse_workflow(workflow("waits", [waiting()])), "hash")


def never_idle() -> bool:
    return False


def goes_on() -> None:
    """No turn has failed."""


async def test_views_come_up_to_a_turn_while_everything_changes_in_each(tmp_path: Path) -> None:
    states = [ExecutionState(f"e{number}", GRAPH, {}) for number in range(EXECUTIONS)]
    async with SqliteStore.open(tmp_path / "a.db") as store:
        projection = Projection(store, is_idle=never_idle)
        written = asyncio.Event()
        projection.written = written.set
        writing = asyncio.ensure_future(projection.run())
        projection.touched(states[0])  # something has changed: else there is nothing to wait for
        first_is_shown = asyncio.ensure_future(projection.caught_up(1, goes_on))
        await asyncio.sleep(0)  # it is waited for from the first turn on
        for number in range(1, TURNS + 1):
            if first_is_shown.done():
                break
            for state in states:
                projection.touched(state)
            projection.close_turn(number)
            projection.committed()
            await written.wait()
            written.clear()
        is_shown = first_is_shown.done()
        for task in (first_is_shown, writing):
            task.cancel()
        await asyncio.gather(first_is_shown, writing, return_exceptions=True)

        assert is_shown
        assert projection.turn >= 1
        assert await store.execution_row("e0") is not None


async def test_last_turn_is_not_shown_before_the_last_row_of_what_it_changed(tmp_path: Path) -> None:
    states = [ExecutionState(f"e{number}", GRAPH, {}) for number in range(EXECUTIONS)]
    async with SqliteStore.open(tmp_path / "a.db") as store:
        projection = Projection(store, is_idle=never_idle)
        for state in states[:-1]:
            projection.touched(state)
        projection._force = True
        projection.close_turn(1)  # a pass begins, and does not end
        projection.committed()
        projection.touched(states[0])
        projection.touched(states[-1])
        projection.close_turn(2)
        projection.committed()
        numbers = [batch.turn_number for batch in projection._ready]
        shown = [{row.execution_id for row in batch.executions} for batch in projection._ready]
        upto = {turn: set[str]().union(*shown[: numbers.index(turn) + 1]) for turn in (1, 2)}

        assert numbers == sorted(numbers)
        assert len(upto[1]) == EXECUTIONS - 1
        assert len(upto[2]) == EXECUTIONS
