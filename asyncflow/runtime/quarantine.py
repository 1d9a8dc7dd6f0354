"""The ways of an execution that was set aside: back, read and taken up as at a start, or out for good.

It judges nothing: one that cannot be read still stays where it is, with the newest reason. Who sets aside
is `runtime/residents`; what is held over a restart is in `store/quarantine`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from asyncflow.errors import AsyncflowError, NotFound, Refused
from asyncflow.model.events import ExecutionRemoved
from asyncflow.model.inputs import Continue
from asyncflow.model.state import ExecutionState
from asyncflow.runtime import set_aside, taking_up
from asyncflow.runtime.carry import Carry
from asyncflow.runtime.loading import Loaded
from asyncflow.runtime.reading import Reading
from asyncflow.runtime.turns import Turns
from asyncflow.store.journal import Journal, Quarantines, Views
from asyncflow.store.records import ViewBatch

log = logging.getLogger("asyncflow.quarantine")


class Engine(taking_up.Engine, Protocol):
    """Whose executions are set aside; `runtime/engine`."""

    reading: Reading


class Deleted(Journal, Quarantines, Views, Protocol):
    """Where one is deleted of which nothing can be folded."""


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


async def delete(engine: Engine, store: Deleted, stream: str, *, parent_id: str, reason: str) -> None:
    """Delete an execution that was set aside for good, whatever is wrong with it; durable at return.

    What it began elsewhere goes on there, and nobody watches it any more; what it held of resources is free.

    Args:
        parent_id: the execution above it, as far as the views know of one.

    Raises:
        NotFound: it is not set aside.
        Refused: the execution above it goes on, and waits for it; or is set aside, too.
        StoreError, ShuttingDown: as `release`; it stays set aside.

    Durability: rows go first. A crash between the two leaves an execution that is set aside and that no list
    names, never one that lists show and that is gone.
    """
    turns = engine.turns
    _check_set_aside(turns, stream)
    turns.check_open()
    await _check_above(engine, parent_id, stream)
    await turns.settled(stream)
    seq = await store.last_seq(stream) + 1
    await store.write_views(ViewBatch(await store.projected_turn(), [], [], [], [stream]))
    turns.check_open()
    _check_set_aside(turns, stream)
    await asyncio.shield(turns.record_catalog([ExecutionRemoved(reason)], stream, seq))
    turns.quarantined.pop(stream, None)
    engine.touched.deaths.pop(stream, None)
    _set_free(engine.carry, stream)
    _tell_senders(engine, stream)
    log.warning("quarantined execution deleted", extra={"execution": stream, "reason": reason})


def _set_free(carry: Carry, stream: str) -> None:
    """What it held although it was set aside goes to the next."""
    for key in carry.admission.held_by(stream):
        carry.report_all(carry.admitting.release(key))
    carry.report_all(carry.slots.release(stream))


async def _check_above(engine: Engine, parent_id: str, stream: str) -> None:
    if not parent_id:
        return
    if parent_id in engine.turns.quarantined:
        raise Refused(
            f"execution {stream} is a child of {parent_id}, which is set aside, too: begin with that"
        )
    try:
        parent = await engine.reading.state(parent_id)
    except NotFound:
        return  # it was deleted before its child
    if not parent.is_ended:
        raise Refused(
            f"execution {stream} is a child of {parent_id}, which is {parent.status} and waits for it"
        )


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
        set_aside.take_over(engine.carry, state)
        taking_up.take_up(engine, state)
    set_aside.hand_back(engine.carry, state)
    _tell_senders(engine, stream)


def _tell_senders(engine: Engine, stream: str) -> None:
    """Messages for it wait no more."""
    for sender in engine.turns.states.values():
        if any(message.to == stream for message in sender.outbox):
            engine.turns.report(sender.execution_id, Continue())
