"""The way back of an execution that was set aside: read again from the journal, and taken up as at a start.

It judges nothing: one that cannot be read still stays where it is, with the newest reason. Who sets aside
is `runtime/residents`; what is held over a restart is in `store/quarantine`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from asyncflow.errors import AsyncflowError, NotFound, Refused
from asyncflow.model.inputs import Continue
from asyncflow.model.state import ExecutionState
from asyncflow.runtime import taking_up
from asyncflow.runtime.loading import Loaded
from asyncflow.runtime.turns import Turns
from asyncflow.store.journal import Quarantines

log = logging.getLogger("asyncflow.quarantine")


class Engine(taking_up.Engine, Protocol):
    """Whose executions are set aside; `runtime/engine`."""


async def release(engine: Engine, store: Quarantines, stream: str) -> ExecutionState:
    """Have an execution that was set aside go on from what is recorded of it, and give its state.

    What it had under way in this process was broken off when it was set aside: its attempts are interrupted,
    its jobs are watched again under their handles.

    Raises:
        NotFound: it is not set aside; or nothing is recorded of it, and it is not listed any more.
        Refused: it cannot be read still; the message says why, and it stays set aside.
        StoreError, ShuttingDown: the engine stops or has stopped; or nothing can be written now.

    Durability: on return no start holds it any more.
    """
    turns = engine.turns
    _check_set_aside(turns, stream)
    turns.check_open()
    loaded = await _load(turns, stream)
    if isinstance(loaded, NotFound):
        await store.let_go(stream)
        turns.quarantined.pop(stream, None)
        raise loaded
    if isinstance(loaded, AsyncflowError):
        turns.check_running()
        turns.residents.quarantine(stream, str(loaded), kind=turns.quarantined[stream].kind)
        raise Refused(f"execution {stream} stays quarantined, it cannot be read: {loaded}")
    await store.let_go(stream)
    turns.check_open()
    _check_set_aside(turns, stream)  # somebody else may have released it meanwhile
    del turns.quarantined[stream]
    _come_back(engine, loaded)
    log.warning("execution released", extra={"execution": stream})
    return loaded


def _check_set_aside(turns: Turns, stream: str) -> None:
    if stream not in turns.quarantined:
        raise NotFound("quarantined execution", stream)


async def _load(turns: Turns, stream: str) -> Loaded:
    """What the journal says of it now; nobody decides anything about it meanwhile."""
    answer: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()
    turns.loading.ask(stream, lambda found: None if answer.done() else answer.set_result(found))
    return await answer


def _come_back(engine: Engine, state: ExecutionState) -> None:
    """It is in memory again; what waited for it is told."""
    turns, stream = engine.turns, state.execution_id
    turns.residents.add(state)
    engine.projection.make_anew(state)
    if state.is_ended and not (state.wanted or state.jobs):
        turns.residents.ended({stream: state})
    else:
        taking_up.take_up(engine, state)
    for sender in turns.states.values():
        if any(message.to == stream for message in sender.outbox):
            turns.report(sender.execution_id, Continue())
