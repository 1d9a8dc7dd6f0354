"""Tasks that a search found, whole: in Conductor's Task shape, as they are now.

A search reads rows, and rows are brief; what a task holds is in the state of its execution. Nothing
is changed here. The search itself is `app/search`.
"""

from __future__ import annotations

from collections.abc import Sequence

from asyncflow.app.search_summaries import TaskFound
from asyncflow.decide.render import render_task
from asyncflow.errors import AsyncflowError, NotFound
from asyncflow.ids import task_number
from asyncflow.model.inputs import Evaluate
from asyncflow.model.values import JsonObject
from asyncflow.runtime.clock import breathe
from asyncflow.runtime.engine import Engine

_SLICE = 200  # tasks rendered before others get the loop


async def whole_tasks(engine: Engine, rows: Sequence[TaskFound]) -> list[JsonObject]:
    """The tasks of these rows, in their order, without those that are gone or cannot be read.

    Durability: what is shown is on disk.
    Cost: loads the executions that are not in memory, each once.
    """
    found: list[JsonObject] = []
    shown: dict[str, None] = {}
    for count, row in enumerate(rows):
        stream = row.task.execution_id
        number = task_number(stream, row.task.task_id)
        try:
            state = await engine.state(stream)
        except AsyncflowError:
            continue
        task = None if number is None else state.tasks.get(number)
        if task is not None:
            found.append(render_task(state, task))
            shown[stream] = None
        if count % _SLICE == _SLICE - 1:
            await breathe()
    for stream in shown:
        await engine.turns.settled(stream)
    return found


async def open_wait(engine: Engine, workflow_id: str, *, ref: str = "", task: str = "") -> str | None:
    """The full name of an open WAIT task that is meant by its reference name or its id, or None."""
    try:
        state = await engine.state(workflow_id)
    except NotFound:
        return None
    number = task_number(workflow_id, task) if task else None
    found = state.by_ref.get(ref) or state.latest.get(ref) if ref else state.tasks.get(number or 0)
    if found is None or found.is_ended or state.is_ended or found.node.type != "WAIT":
        return None
    return found.ref


async def look_again(engine: Engine, workflow_id: str) -> bool:
    """Have an execution decided once more; whether that made a difference.

    Raises:
        NotFound: there is no such execution.

    Durability: what it made is on disk.
    """
    before = (await engine.state(workflow_id)).seq
    return (await engine.submit(workflow_id, Evaluate())).seq != before
