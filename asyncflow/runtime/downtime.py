"""The engine's own start and stop, recorded where executions are open: between them it was down.

Nothing here decides what downtime means; that is `decide/downtimes`. A kill records no stop, and then
the last turn stands for it. There is no regular sign of life besides: it would write to the disk of an
engine that only waits, and make a virtual clock stop on its way, to spare a killed engine's timeouts a
while by which they come later, never earlier.
"""

from __future__ import annotations

import logging

from asyncflow.decide.catalog import DefinitionCatalog, evolve_catalog
from asyncflow.errors import StoreError
from asyncflow.model.events import EngineStarted, EngineStopped
from asyncflow.model.extension import OnStop
from asyncflow.model.inputs import PauseExecution
from asyncflow.model.statuses import RUNNING
from asyncflow.model.turn import Moment, StreamEvents, Turn
from asyncflow.runtime.recovery import CATALOG_STREAM
from asyncflow.runtime.turns import Turns
from asyncflow.store.journal import Journal

log = logging.getLogger("asyncflow.engine")


def record_start(turns: Turns, catalog: DefinitionCatalog, *, down_from_ms: int) -> None:
    """Put off timeouts, here and after later starts, by the time since this moment of the elapsed clock.

    It is in the first turn; nobody waits for it.
    """
    now_ms = turns.moment().elapsed_ms
    if now_ms > down_from_ms:
        event = EngineStarted(down_from_ms, now_ms)
        evolve_catalog(catalog, event, {})
        _ = turns.record_catalog([event], CATALOG_STREAM)


def pause_for_stop(turns: Turns, on_stop: OnStop) -> None:
    """Have paused what a stop is to pause; to be decided before anything else is turned away.

    The next start resumes just these, see `runtime/taking_up`. One that somebody paused stays as it is.
    """
    for state in turns.states.values():
        ours = state.graph.definition.extension
        chosen = on_stop if ours is None or ours.on_stop is None else ours.on_stop
        if chosen == "pause" and state.status == RUNNING:
            turns.report(state.execution_id, PauseExecution("the engine was stopped", by_stop=True))


async def record_stop(journal: Journal, turns: Turns, catalog: DefinitionCatalog, *, now: Moment) -> None:
    """Commit that the engine stopped now, in a turn of its own, if an execution is open.

    Nobody else may commit any more. A stop that cannot be recorded harms nothing: the next start takes
    the last turn for it, as after a kill.
    """
    if not turns.quarantined and all(state.is_ended for state in turns.states.values()):
        return
    event, commits = EngineStopped(), turns.commits
    evolve_catalog(catalog, event, {})
    entry = StreamEvents(CATALOG_STREAM, catalog.seq, [event])
    try:
        await journal.append(Turn(commits.number + 1, now, [entry], []))
    except StoreError as error:
        log.warning("stop not recorded", extra={"reason": str(error)})
    else:
        commits.number += 1
