"""Tasks that are offered to workers elsewhere: when each may go, and at which place of admission it waits.

Nothing is handed out here; who gets what admission grants is `runtime/hand_out`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable

from asyncflow.decide.policy import setting
from asyncflow.model.effects import Offer
from asyncflow.model.inputs import Message
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.runtime.admitting import Admitting
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.demand import Demand
from asyncflow.runtime.hand_out_rules import ANY, Place, rule_of, task_name
from asyncflow.runtime.queues import Queue
from asyncflow.runtime.timers import TimerKey
from asyncflow.runtime.timetable import Timetable
from asyncflow.runtime.turns import Turns
from asyncflow.runtime.worker_roll import Key

OFFER, PREFER = "offer", "prefer"
"""Kinds of timers: a task may be offered, a task may go to any worker."""


class Offers:
    """The offers of one engine; every method gives what begins by it."""

    def __init__(  # noqa: PLR0913 - put together in one place
        self,
        clock: Clock,
        admitting: Admitting,
        demand: Demand,
        *,
        timetable: Timetable,
        turns: Turns,
        assigned: Container[Key],
        prefer_ms: int,
    ) -> None:
        """Nothing is offered; `assigned` are the tasks on their way to polls."""
        self._clock, self._admitting, self._demand = clock, admitting, demand
        self._timetable, self._turns, self._assigned = timetable, turns, assigned
        self._prefer_ms = prefer_ms

    def offered(self, state: ExecutionState, offer: Offer) -> Iterable[Message]:
        """A task waits for a worker, once it is due."""
        task = state.tasks[offer.number]
        key = (state.execution_id, offer.number)
        self.queue_of(task).put(key, "")
        if offer.due_ms > self._turns.moment().elapsed_ms:
            self._timetable.set(TimerKey(*key, OFFER), offer.due_ms)
            return ()
        return self.ask(*key)

    def queue_of(self, task: TaskState) -> Queue:
        """The queue in which a task waits."""
        return self._demand.queue(task_name(task), task.domain or "")

    def ask(self, stream: str, number: int) -> Iterable[Message]:
        """Have a task that is offered wait for demand, at the place that its rule gives."""
        state = self._turns.states.get(stream)
        effects = () if state is None else state.wanted.get(number, ())
        offer = next((each for each in effects if type(each) is Offer), None)
        if state is None or offer is None:
            return ()
        task = state.tasks[number]
        queue = self.queue_of(task)
        queue.most = _most_of(task)
        resource = self._place_of(queue, state, task, version=offer.version)
        queue.put((stream, number), resource)
        messages: list[Message] = []
        if queue.is_stale and queue.is_asked:
            messages += self._demand.balance(queue)
        messages += self._admitting.offer(state, number, resource)
        if queue.is_asked and (stream, number) not in self._assigned:
            messages += self._demand.balance(queue)
        return messages

    def _place_of(self, queue: Queue, state: ExecutionState, task: TaskState, *, version: str) -> str:
        """Where a task waits; a worker that is only wished for is not waited for without end."""
        rule = rule_of(state, task, version)
        if rule.is_preference:
            until_ms = max(task.scheduled_ms, task.due_ms) + self._prefer_ms
            if until_ms > self._clock.now().elapsed_ms:
                self._timetable.set(TimerKey(state.execution_id, task.number, PREFER), until_ms)
            else:
                rule = rule._replace(host="", not_worker="")
        return queue.general.resource if rule == ANY else self._demand.place(queue, Place(*queue.key, rule))

    def prefer_no_more(self, timer: TimerKey) -> list[Message]:
        """The worker that was wished for did not come: any other may have the task."""
        key = (timer.stream, timer.number)
        if key in self._assigned:
            return []
        return [*self._admitting.release(key), *self.ask(*key)]

    def forget(self, state: ExecutionState | None, key: Key) -> None:
        """A task is offered no more."""
        self._timetable.cancel(TimerKey(*key, OFFER))
        self._timetable.cancel(TimerKey(*key, PREFER))
        task = None if state is None else state.tasks.get(key[1])
        for queue in (self.queue_of(task),) if task is not None else self._demand.queues.values():
            queue.drop(key)


def _most_of(task: TaskState) -> int:
    """How many tasks of its name one worker may have by the definition of this one."""
    made = task.node.task
    if made.extension is None and made.task_definition is None:
        return 0
    most = setting(made, "max_in_flight_per_worker")
    return most if isinstance(most, int) else 0
