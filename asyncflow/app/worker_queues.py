"""The queues of outside workers as people look at them: sizes, who polled when, what is open.

Nothing here changes anything. Polling and updating is `app/workers`.
"""

from __future__ import annotations

from collections.abc import Iterable

from asyncflow.decide.render import render_task
from asyncflow.errors import InvalidInput
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.hand_out import HandOut
from asyncflow.runtime.hand_out_rules import queue_name
from asyncflow.runtime.worker_roll import Key

MOST_POLL_DATA = 10_000
"""So many polls are shown at once, so that showing them holds nobody up."""

_MOST = 1_000


class WorkerQueues:
    """Queries on the queues of one engine."""

    def __init__(self, engine: Engine) -> None:
        """Look at the queues of this engine, which is open."""
        self.engine = engine

    @property
    def _hand_out(self) -> HandOut:
        return self.engine.carry.hand_out

    def queue_sizes(self) -> dict[str, int]:
        """How many tasks wait, by queue name (`domain:type` with a domain), sorted; also those held back."""
        queues = self._hand_out.demand.queues.items()
        return dict(sorted((queue_name(*key), len(queue.offers)) for key, queue in queues))

    def queue_size(self, task_type: str, domain: str | None = None) -> int:
        """How many tasks of a type wait in a domain, or in none."""
        queue = self._hand_out.demand.queues.get((task_type, domain or ""))
        return 0 if queue is None else len(queue.offers)

    def unacknowledged(self) -> dict[str, int]:
        """How many tasks workers have, by queue name, sorted."""
        counts = {queue_name(*key): 0 for key in self._hand_out.demand.queues}
        for leased in self._hand_out.roll.leases.values():
            name = queue_name(*leased.queue)
            counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items()))

    def poll_data(self, task_type: str | None = None) -> list[JsonObject]:
        """Who polled which queue when, in Conductor's PollData shape; ours is under `asyncflow`.

        Of more than `MOST_POLL_DATA` those who polled last, sorted by queue and worker.
        """
        roll = self._hand_out.roll
        found: list[JsonObject] = []
        for key, worker in sorted(roll.newest_polls(task_type, most=MOST_POLL_DATA)):
            seen = roll.known(worker)
            ours: JsonObject = {
                "inFlight": seen.in_flight,
                "lastSeen": seen.last_wall_ms,
                "lost": seen.is_lost,
                "version": seen.version,
            }
            found.append(
                {
                    "queueName": key[0],
                    "domain": key[1] or None,
                    "workerId": worker,
                    "lastPollTime": roll.polled[key][worker][1],
                    "asyncflow": ours,
                }
            )
        return found

    def requeue(self, task_type: str) -> int:
        """How many tasks of a type are open: none of them can be missing from its queue here."""
        return sum(1 for _ in self._keys(task_type))

    def _keys(self, task_type: str) -> Iterable[Key]:
        for (name, _), queue in self._hand_out.demand.queues.items():
            if name == task_type:
                yield from queue.offers
        for key, leased in self._hand_out.roll.leases.items():
            if leased.queue[0] == task_type:
                yield key

    async def pending(self, task_type: str, start: int = 0, count: int = 100) -> list[JsonObject]:
        """Open tasks of a type, those that wait and those that workers have, by execution and number.

        Raises:
            InvalidInput: a number is out of its range.

        Cost: sorts the open tasks of the type.
        """
        if start < 0:
            raise InvalidInput("at least 0 expected", field="start")
        if not 1 <= count <= _MOST:
            raise InvalidInput(f"1 to {_MOST} expected, got {count}", field="count")
        found: list[JsonObject] = []
        streams: list[str] = []
        for stream, number in sorted(self._keys(task_type))[start : start + count]:
            state = self.engine.turns.states.get(stream)
            if state is not None and number in state.tasks:
                found.append(render_task(state, state.tasks[number]))
                streams.append(stream)
        for stream in dict.fromkeys(streams):
            await self.engine.turns.settled(stream)
        return found
