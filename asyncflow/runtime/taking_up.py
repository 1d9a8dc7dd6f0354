"""What a start found, taken up by the parts of an engine: clock, limits, resources, jobs, executions.

It reads nothing itself, see `runtime/recovery`, and decides nothing: attempts of a process that is gone are
reported as interrupted. The order counts: who holds what is known before anybody asks for anything.
"""

from __future__ import annotations

import logging
from typing import Protocol

from asyncflow.decide.recovering import asks_for_recovery
from asyncflow.decide.wanted import attempt_start
from asyncflow.model.effects import RunAttempt
from asyncflow.model.inputs import AttemptInterrupted, Evaluate, RecoverTasks, ResumeExecution
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.state import ExecutionState
from asyncflow.runtime import points, recovery, resource_wiring, set_aside
from asyncflow.runtime.clock import breathe
from asyncflow.runtime.code_changes import CodeChanges
from asyncflow.runtime.compaction import Compaction
from asyncflow.runtime.crash_guard import CrashGuard
from asyncflow.runtime.downtime import record_start
from asyncflow.runtime.engine_settings import EngineSettings
from asyncflow.runtime.last_touched import DECIDING, LastTouched
from asyncflow.runtime.projection import Projection
from asyncflow.runtime.resources import Resources
from asyncflow.store.journal import Backups, Journal, Quarantines, Views
from asyncflow.store.records import ViewBatch

log = logging.getLogger("asyncflow.engine")

_SLICE = 200  # executions taken up before others get the loop


class Store(Journal, Views, Quarantines, Backups, Protocol):
    """Where executions and their views are kept."""


class Engine(resource_wiring.Engine, Protocol):
    """Whose parts take up what was found; `runtime/engine`."""

    compaction: Compaction
    projection: Projection
    settings: EngineSettings
    touched: LastTouched
    kept_resources: Resources | None
    code_changes: CodeChanges | None

    def limits_changed(self, task_name: str) -> None:
        """Have the limits of a task definition hold."""


async def take_up_all(engine: Engine, journal: Store) -> None:
    """Read what goes on and have every part take up its own; nothing is decided before this returns.

    Raises:
        StoreError: the journal cannot be read.
    """
    crashes = CrashGuard(engine.touched, journal, engine.settings.crash_limit, engine.clock.now().wall_ms)
    await crashes.hold_unreadable()
    held = await journal.read_held()
    found = await recovery.recover(journal, engine.catalog, held, touched=engine.touched)
    held |= await crashes.hold_deadly(found.states)
    position, turns = found.position, engine.turns
    turns.commits.number = turns.commits.opened_at = position.last_turn
    turns.stored.update(engine.catalog.graphs)
    damaged = resource_wiring.damaged_histories(found)
    turns.quarantined.update(held)
    for stream, reason in found.quarantined.items():
        turns.residents.quarantine(stream, reason)
    for stream, why in turns.quarantined.items():
        log.error("execution quarantined", extra={"execution": stream, "reason": why.reason})
    engine.clock.start_from(position.elapsed_ms)
    engine.jobs.begin(await journal.restored(engine.clock.now().elapsed_ms))
    engine.compaction.is_held = bool((await journal.cursors()).keys() - {"views"})
    engine.compaction.begin(position)
    engine.carry.admitting.known.remember(position.elapsed_ms, found.starts)
    _set_limits(engine)
    if engine.kept_resources is not None:
        resource_wiring.add_stored(engine, engine.kept_resources)
        engine.kept_resources.restore(found.resources, damaged)
    await set_aside.keep_held(turns, engine.carry.admitting, journal)
    if found.removed:
        await journal.write_views(ViewBatch(position.projected_turn, [], [], [], found.removed))
    engine.projection.begin(position.projected_turn, position.last_turn)
    for state in found.behind.values():
        engine.projection.make_anew(state)
    began_ms = engine.clock.now().elapsed_ms
    for count, state in enumerate(found.states.values()):
        turns.residents.add(state)
        engine.touched.at(DECIDING, state.execution_id)
        take_up(engine, state)
        engine.touched.left()
        if count % _SLICE == _SLICE - 1:
            await breathe()
    points.reach(points.TAKEN_UP)
    engine.jobs.taken_up(engine.clock.now().elapsed_ms - began_ms)
    if found.states or turns.quarantined:
        record_start(turns, engine.catalog, down_from_ms=position.elapsed_ms)


def _set_limits(engine: Engine) -> None:
    for name, limit in engine.settings.resources.items():
        engine.carry.set_limit(name, limit if isinstance(limit, ResourceLimit) else limit.limit)
    for name in engine.catalog.tasks:
        engine.limits_changed(name)


def take_up(engine: Engine, state: ExecutionState) -> None:
    """Go on with an execution that was folded: attempts of a process that is gone are interrupted."""
    engine.carry.restore(state)
    if state.paused_by_stop:
        engine.turns.report(state.execution_id, ResumeExecution(by_start=True))
    if asks_for_recovery(state):
        engine.turns.report(state.execution_id, RecoverTasks())
    for number, effects in state.wanted.items():
        if any(isinstance(effect, RunAttempt) for effect in effects):
            start = attempt_start(state.tasks[number])
            interrupted = AttemptInterrupted(number, "the engine was restarted", start)
            engine.turns.report(state.execution_id, interrupted)
    engine.turns.report(state.execution_id, Evaluate())
    if engine.code_changes is not None:
        engine.code_changes.recovered(state)
