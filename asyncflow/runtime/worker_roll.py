"""The workers elsewhere that were seen: when, at which queues, with which tasks; and those that are lost.

It judges nothing and hands out nothing; a loss is told to whoever listens, and changes no task: that is
the business of response timeouts. Who gets what is `runtime/hand_out`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from asyncflow.runtime.recent import Recent

log = logging.getLogger("asyncflow.workers")

ACTIVE_MS = 10_000
"""A domain counts as served so long after a poll."""

MOST_WORKERS = 10_000
"""So many workers without tasks are kept."""

MOST_POLLERS = 100_000
"""Of so many pairs of a queue and a worker is kept when it polled."""

_FORGOTTEN_MS = 3_600_000  # who did not come for so long, once there are more than
_KEPT = 1_000

Key = tuple[str, int]
QueueKey = tuple[str, str]
"""Task name and domain, "" for none."""


class WorkerLost(NamedTuple):
    """Notice that a worker is not heard of any more, or did not speak of a task in time.

    `tasks` are those concerned, as execution and record number; `last_seen_ms` is on the wall clock.
    """

    worker: str
    reason: str
    tasks: tuple[Key, ...]
    last_seen_ms: int


class Leased(NamedTuple):
    """A task that a worker has."""

    queue: QueueKey
    worker: str
    start: int


class Seen:
    """One worker, by its id."""

    __slots__ = ("by_name", "in_flight", "is_lost", "last_ms", "last_wall_ms", "leases", "version")

    def __init__(self) -> None:
        self.version = ""
        self.last_ms = self.last_wall_ms = 0
        self.in_flight = 0  # leases, and what is on its way to become one
        self.by_name: dict[str, int] = {}
        self.leases: dict[Key, None] = {}
        self.is_lost = False

    def take(self, name: str, by: int) -> None:
        """Count a task more or less."""
        self.in_flight += by
        left = self.by_name.get(name, 0) + by
        if left:
            self.by_name[name] = left
        else:
            self.by_name.pop(name, None)


class Roll:
    """Everybody who was seen, and all leases.

    Attributes:
        listeners: told of each loss, at once; they must not raise.
        lost_count: how many losses there were.
    """

    def __init__(self) -> None:
        self.workers: dict[str, Seen] = {}
        self.leases: dict[Key, Leased] = {}
        self.polled: dict[QueueKey, dict[str, tuple[int, int]]] = {}  # worker -> when, on both clocks
        self.listeners: list[Callable[[WorkerLost], None]] = []
        self.lost_count = 0
        # Looked through when twice as many are known as were left the last time: a crowd costs no more each.
        self._kept_workers = _KEPT
        self._kept_polls: dict[QueueKey, int] = {}
        self._seen: Recent[str] = Recent(MOST_WORKERS)
        self._polls: Recent[tuple[QueueKey, str]] = Recent(MOST_POLLERS)

    def worker(self, name: str) -> Seen:
        """The worker of this id; of too many those who have no tasks are forgotten."""
        found = self.workers.get(name)
        if found is None:
            found = self.workers[name] = Seen()
            self._seen.touch(name)
            for each in self._seen.outdated(self._has_tasks):
                del self.workers[each]
        return found

    def known(self, name: str) -> Seen:
        """What is known of a worker, to look at: one who was not seen is not one from here on."""
        return self.workers.get(name) or Seen()

    def _has_tasks(self, name: str) -> bool:
        worker = self.workers[name]
        return bool(worker.in_flight or worker.leases)

    def see(self, name: str, elapsed_ms: int, wall_ms: int) -> Seen:
        """A worker gave a sign of life."""
        worker = self.worker(name)
        worker.last_ms, worker.last_wall_ms = elapsed_ms, wall_ms
        self._seen.touch(name)
        if len(self.workers) > self._kept_workers:
            for each in [each for each, w in self.workers.items() if w.last_ms <= elapsed_ms - _FORGOTTEN_MS]:
                if not self._has_tasks(each):
                    del self.workers[each]
                    self._seen.discard(each)
            self._kept_workers = max(_KEPT, 2 * len(self.workers))
        if worker.is_lost:
            worker.is_lost = False
            log.info("worker.found", extra={"worker": name})
        return worker

    # --- polls --------------------------------------------------------------------------------------

    def note_poll(self, queue: QueueKey, name: str) -> None:
        """A worker that was just seen polls; those who are long gone are forgotten now and then."""
        seen, polled = self.workers[name], self.polled.setdefault(queue, {})
        polled.pop(name, None)  # who polled last stands last
        polled[name] = seen.last_ms, seen.last_wall_ms
        self._polls.touch((queue, name))
        for each in self._polls.outdated():
            self._forget_poll(*each)
        if len(polled) > self._kept_polls.get(queue, _KEPT):
            old_ms = seen.last_ms - _FORGOTTEN_MS
            for worker in [worker for worker, at in polled.items() if at[0] <= old_ms]:
                self._polls.discard((queue, worker))
                self._forget_poll(queue, worker)
            self._kept_polls[queue] = max(_KEPT, 2 * len(polled))

    def _forget_poll(self, queue: QueueKey, worker: str) -> None:
        polled = self.polled[queue]
        del polled[worker]
        if not polled:
            del self.polled[queue]
            self._kept_polls.pop(queue, None)

    def forget_queue(self, queue: QueueKey) -> None:
        """Nobody is known to have polled a queue."""
        self._kept_polls.pop(queue, None)
        for worker in self.polled.pop(queue, {}):
            self._polls.discard((queue, worker))

    def newest_polls(self, name: str | None = None, *, most: int) -> list[tuple[QueueKey, str]]:
        """Who polled which queue, of one task name or of all, at most so many, the newest first."""
        found = (each for each in self._polls.newest() if name is None or each[0][0] == name)
        return [*islice(found, most)]

    # --- leases -------------------------------------------------------------------------------------

    def lease(self, key: Key, leased: Leased) -> None:
        """A worker has a task; that it is in flight was counted, or is counted by the caller."""
        self.leases[key] = leased
        self.worker(leased.worker).leases[key] = None

    def end_lease(self, key: Key) -> Leased | None:
        """A worker has a task no more; what it was, if it was known."""
        leased = self.leases.pop(key, None)
        if leased is not None:
            worker = self.worker(leased.worker)
            worker.leases.pop(key, None)
            worker.take(leased.queue[0], -1)
        return leased

    # --- losses -------------------------------------------------------------------------------------

    def lose(self, name: str, reason: str, tasks: tuple[Key, ...]) -> None:
        """A worker counts as lost until it is seen again."""
        worker = self.worker(name)
        worker.is_lost = True
        self.lost_count += 1
        facts = {"worker": name, "reason": reason, "tasks": len(tasks), "seen": worker.last_wall_ms}
        log.warning("worker.lost", extra=facts)
        for listener in self.listeners:
            listener(WorkerLost(name, reason, tasks, worker.last_wall_ms))

    # --- domains ------------------------------------------------------------------------------------

    def active_domains(self, now_ms: int) -> Mapping[str, frozenset[str]]:
        """By task name, the domains whose workers asked for work lately; looked up when asked for."""
        return _Active(self, now_ms)

    def active_of(self, name: str, now_ms: int) -> frozenset[str]:
        """The domains of one task name whose workers asked lately."""
        return frozenset(
            domain
            for (each, domain), workers in self.polled.items()
            if each == name and now_ms - next(reversed(workers.values()))[0] <= ACTIVE_MS
        )


class _Active(Mapping[str, frozenset[str]]):
    """The active domains at one moment, found only for the names that somebody asks about."""

    __slots__ = ("_now_ms", "_roll")

    def __init__(self, roll: Roll, now_ms: int) -> None:
        self._roll, self._now_ms = roll, now_ms

    def __getitem__(self, name: str) -> frozenset[str]:
        return self._roll.active_of(name, self._now_ms)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(name for name, _ in self._roll.polled))

    def __len__(self) -> int:
        return len({name for name, _ in self._roll.polled})
