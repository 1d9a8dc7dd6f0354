"""Deleting an execution: who may go, and the one commit with which it goes.

The turn that records the removal deletes the segments too; rows, texts and logs follow with the views,
and again at the next start if that was cut short. See `store/journal` for what readers see of it.
"""

from __future__ import annotations

from asyncflow.errors import NotFound, Refused
from asyncflow.model.inputs import RemoveExecution
from asyncflow.runtime.reading import Reading
from asyncflow.runtime.turns import Turns


async def delete(reading: Reading, turns: Turns, execution_id: str, *, reason: str) -> None:
    """Delete an ended execution for good; durable at return.

    Turns go on holding its newest events until they are trimmed; nothing shows them.

    Raises:
        NotFound: nothing is recorded under this id.
        Refused: it goes on, or an execution above it does, which is named: that may still revive it.
    """
    above = (await reading.state(execution_id)).parent_id
    while above is not None:
        try:
            parent = await reading.state(above)
        except NotFound:
            break  # it was deleted before its child
        if not parent.is_ended:
            raise Refused(f"execution {execution_id} is a child of {above}, which is {parent.status}")
        above = parent.parent_id
    await turns.submit(execution_id, RemoveExecution(reason))
