"""What is wrong with an engine now, by name, and what there is to know of its database.

It looks and changes nothing. The shapes that probes expect are made in `http/health`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from asyncflow.app.journaling import Journaling
from asyncflow.app.listeners import Listeners
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.store.reader import MEMORY
from asyncflow.store.records import StoreFacts

_BEHIND_TURNS = 5_000  # what a busy engine is behind by is projected in well under a second
_STALL_SHOWN_MS = 60_000
_HUNG_MS = 10_000  # a call that is told to stop may take a moment
_DISK_FULL = 0.8
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        name: which kind, stable.
        is_fatal: whether the engine can do nothing until it is mended.
    """

    name: str
    message: str
    is_fatal: bool = False


class Health:
    """Looks at one engine and its database.

    Attributes:
        journaling: what writes journal files; None where there are none.
        listeners: who is told of events; None where nobody is.
    """

    def __init__(self, engine: Engine, facts: StoreFacts) -> None:
        """`facts` are those of the database when it was opened."""
        self.facts = facts
        self.journaling: Journaling | None = None
        self.listeners: Listeners | None = None
        self._engine = engine
        self._stalls = 0
        self._stalled_ms: int | None = None

    def findings(self) -> list[Finding]:
        """Everything that is wrong now, the worst first; empty while all is well."""
        return [*self._of_store(), *self._of_engine(), *self._of_work()]

    def details(self) -> JsonObject:
        """What there is to know besides, for people and monitors."""
        engine, facts = self._engine, self.facts
        return {
            "sqliteVersion": facts.sqlite_version,
            "walRaceFixed": facts.wal_race_fixed,
            "schemaVersion": facts.schema_version,
            "durability": facts.durability,
            "lastStopWasClean": facts.was_clean,
            "turns": engine.turns.number,
            "viewsTurn": engine.projection.turn,
            "executionsInMemory": len(engine.turns.states),
            "attemptsUnderWay": engine.attempts.count,
            "loopStalls": engine.watchdog.stalls,
        }

    def _of_store(self) -> Iterator[Finding]:
        turns, projection = self._engine.turns, self._engine.projection
        if turns.failure is not None:
            yield Finding("store", f"the engine stopped: {turns.failure}", is_fatal=True)
        elif turns.commits.trouble:
            yield Finding("store", f"nothing can be committed now: {turns.commits.trouble}", is_fatal=True)
        behind = turns.number - projection.turn
        if projection.trouble:
            yield Finding("views", f"they cannot be written: {projection.trouble}")
        elif projection.is_behind and behind > _BEHIND_TURNS:
            yield Finding("views", f"they are {behind} turns behind")
        used = disk_used(self.facts.path)
        if used >= _DISK_FULL:
            yield Finding("disk", f"{used:.0%} of the disk of the database are in use")
        if self.journaling is not None and self.journaling.trouble:
            yield Finding("journal", f"files are behind: {self.journaling.trouble}")

    def _of_engine(self) -> Iterator[Finding]:
        engine = self._engine
        for part, times in engine.supervisor.faults.items():
            yield Finding("engine", f"the part {part!r} ended by itself {times} times")
        now_ms, stalls = engine.clock.now().elapsed_ms, engine.watchdog.stalls
        if stalls != self._stalls:
            self._stalls, self._stalled_ms = stalls, now_ms
        if self._stalled_ms is not None and now_ms - self._stalled_ms < _STALL_SHOWN_MS:
            yield Finding("loop", f"it was held for more than a second, {stalls} times since the start")

    def _of_work(self) -> Iterator[Finding]:
        engine = self._engine
        if engine.catalog.unreadable:
            yield Finding("definitions", f"cannot be read: {_listed(sorted(engine.catalog.unreadable))}")
        yield from self._of_threads()
        missing = sorted(set(engine.carry.admitting.unloaded.values()))
        if missing:
            yield Finding("functions", f"tasks wait for functions that are not loaded: {_listed(missing)}")
        for word, names in self._resources().items():
            if names:
                yield Finding("resources", f"{word}: {_listed(sorted(names))}")
        for word, named in ({} if self.listeners is None else self.listeners.troubles()).items():
            yield Finding("listeners", f"{word}: {_listed(named)}")
        quarantined = sorted(engine.turns.quarantined)
        if quarantined:
            yield Finding("executions", f"quarantined: {_listed(quarantined)}")

    def _of_threads(self) -> Iterator[Finding]:
        """Calls that nobody waits for any more and that do not end, each of which costs a thread."""
        until_ms = self._engine.clock.now().elapsed_ms - _HUNG_MS
        hung = [each.label for each in self._engine.threads.hung_calls() if each.since_ms <= until_ms]
        threads = self._engine.threads.statistics()
        if hung:
            held = f"{threads.waiting} wait for a thread, as " if threads.stuck else ""
            yield Finding("threads", f"{held}{len(hung)} calls were given up and do not end: {_listed(hung)}")

    def _resources(self) -> dict[str, list[str]]:
        """The resources that somebody has to see to, by the word for how they stand."""
        kept = self._engine.kept_resources
        if kept is None:
            return {}
        states = {**kept.orphans, **{name: keeper.state for name, keeper in kept.keepers.items()}}
        return {
            "damaged": [name for name, state in states.items() if state.damage],
            "orphaned": [name for name, state in kept.orphans.items() if not state.damage],
            "unusable": [*kept.unusable],
            "broken": [name for name, keeper in kept.keepers.items() if keeper.is_broken],
            "an instance has to be decided": [
                name
                for name, state in states.items()
                if any(each.phase == "undecided" for each in state.instances.values())
            ],
        }


def disk_used(path: str) -> float:
    """How much of the disk of a file is in use, from 0 to 1; 0 where nobody can tell."""
    try:
        usage = shutil.disk_usage(Path(path).absolute().parent)
    except OSError:
        return 0.0
    return 0.0 if path == MEMORY else 1 - usage.free / max(1, usage.total)


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
