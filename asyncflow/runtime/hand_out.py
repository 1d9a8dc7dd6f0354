"""Tasks for workers elsewhere: what is offered, who polls, and who gets which.

Limits and order are those of the one admission: a task that is offered waits there for demand, and a
poll is demand, counted in `runtime/demand`. A poll is answered only when what it gives is durable; which
workers may have a task is in `runtime/hand_out_rules`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import NamedTuple

from asyncflow.decide.policy import setting
from asyncflow.decide.render import render_task
from asyncflow.decide.wanted import attempt_start
from asyncflow.errors import ShuttingDown
from asyncflow.model.effects import Lease, Offer
from asyncflow.model.inputs import AttemptAdmitted, Message, ReleaseAttempt
from asyncflow.model.resources import Grant
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import IN_PROGRESS, TIMED_OUT
from asyncflow.model.values import JsonObject
from asyncflow.runtime.admitting import Admitting
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.demand import SHARE, Demand, HandOutSettings
from asyncflow.runtime.hand_out_rules import ANY, UNVERSIONED, Place, rule_of, task_name
from asyncflow.runtime.queues import Poll, Queue
from asyncflow.runtime.timers import TimerKey
from asyncflow.runtime.timetable import Timetable
from asyncflow.runtime.turns import Turns
from asyncflow.runtime.worker_roll import Key, Leased, Roll
from asyncflow.runtime.worker_watch import WORKER, WorkerWatch

OFFER, PREFER, POLL = "offer", "prefer", "held poll"
"""Kinds of timers: a task may be offered, may go to any worker, a poll has waited long enough."""

_GONE = "the worker that polled for it was gone"


class _Assigned(NamedTuple):
    """A task on its way to a poll; `start` is that of the attempt it will be."""

    ticket: int
    poll: Poll
    start: int


class HandOut:
    """Offers, polls and leases of one engine.

    What turns call gives messages for executions; what comes from outside reports them itself.

    Attributes:
        roll: the workers that were seen, and what they have.
        demand: the queues, and what their pollers may have.
        on_due: what is done when a timer of one of these kinds has come.
    """

    def __init__(
        self,
        clock: Clock,
        admitting: Admitting,
        timetable: Timetable,
        *,
        turns: Turns,
        settings: HandOutSettings,
    ) -> None:
        """Nobody polls, and nothing is offered."""
        self.roll = Roll()
        self.watch = WorkerWatch(clock, self.roll, timetable, lost_ms=int(settings.lost_seconds * 1000))
        self.demand = Demand(
            clock, admitting, timetable, roll=self.roll, catalog=turns.catalog, settings=settings
        )
        self._prefer_ms = int(settings.prefer_seconds * 1000)
        self._clock, self._admitting, self._timetable, self._turns = clock, admitting, timetable, turns
        self._assigned: dict[Key, _Assigned] = {}
        self._leasing: list[tuple[Key, _Assigned]] = []
        self._closed: list[tuple[Key, _Assigned]] = []
        self._polls: dict[int, Poll] = {}
        self._count = 0  # of polls and tickets, in one numbering
        admitting.hand_over = self._hand_over
        self.on_due: dict[str, Callable[[TimerKey], None]] = {
            OFFER: lambda key: self._report(self._ask(key.stream, key.number)),
            PREFER: self._prefer_no_more,
            POLL: lambda key: self._time_up(self._polls[key.number]),
            SHARE: lambda key: self._report(self.demand.look_again(key)),
            WORKER: self.watch.look,
        }

    def _report(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._turns.report(message.to, message.input)

    def _now(self) -> int:
        return self._clock.now().elapsed_ms

    # --- polls --------------------------------------------------------------------------------------

    async def poll(
        self, name: str, domain: str, *, worker: str, count: int, timeout_ms: int, version: str
    ) -> list[JsonObject]:
        """Tasks for a worker, as Conductor's Task objects, or none when the time is up.

        Raises:
            ShuttingDown, StoreError: nothing can be recorded.

        Durability: what is given is IN_PROGRESS and has its grants, on disk.
        Cancellation: what was on its way to the caller is given back, without using a retry.
        """
        self._turns.check_open()
        if self._admitting.is_draining:
            raise ShuttingDown("the engine hands out no tasks any more")
        poll = self._enter(self.demand.queue(name, domain), worker, count=count, version=version)
        self.demand.opened(poll.queue, gathers=timeout_ms > 0)
        self._seat(poll, count)
        if timeout_ms:
            self._timetable.set(TimerKey("", poll.number, POLL), poll.at_ms + timeout_ms)
        self._balance(poll.queue)
        if not timeout_ms:
            self._time_up(poll)
        self._turns.wake()
        try:
            return await self._turns.unless_failed(poll.answer)
        except BaseException:
            self._give_back(poll)
            raise

    def _enter(self, queue: Queue, worker: str, *, count: int, version: str) -> Poll:
        """Note who polls."""
        seen = self.watch.heard(worker)
        seen.version = version or seen.version
        self.roll.polled.setdefault(queue.key, {})[worker] = seen.last_ms, seen.last_wall_ms
        self._count += 1
        answer: asyncio.Future[list[JsonObject]] = asyncio.get_running_loop().create_future()
        return Poll(self._count, queue, worker, version, count, seen.last_ms, answer)

    def _seat(self, poll: Poll, count: int) -> None:
        """Hold a poll."""
        seat = poll.queue.seat(poll.worker)
        seat.slots = seat.load + seat.wanted() + count
        seat.seen_ms = poll.at_ms
        seat.polls[poll.number] = poll.queue.polls[poll.number] = self._polls[poll.number] = poll

    def _balance(self, queue: Queue) -> None:
        self._report(self.demand.balance(queue))

    def _time_up(self, poll: Poll) -> None:
        """It gets nothing more; what is on its way is waited for."""
        poll.is_due = poll.is_closed = True
        self._answer_if_complete(poll)
        self._balance(poll.queue)

    def _answer_if_complete(self, poll: Poll) -> None:
        if poll.number not in self._polls or poll.pending:
            return
        poll.is_closed = poll.is_due or bool(poll.tasks)
        if poll.is_closed:
            self._leave(poll)
            if not poll.answer.done():
                poll.answer.set_result(poll.tasks)

    def _leave(self, poll: Poll) -> None:
        """The poll is held no more."""
        self._timetable.cancel(TimerKey("", poll.number, POLL))
        self._polls.pop(poll.number, None)
        poll.queue.polls.pop(poll.number, None)
        seat = poll.queue.seat(poll.worker)
        seat.polls.pop(poll.number, None)
        seat.seen_ms = self._now()

    def _give_back(self, poll: Poll) -> None:
        """The one who polled is gone: nothing on its way to it may be lost, or count as tried."""
        self._leave(poll)
        for key in [key for key, assigned in self._assigned.items() if assigned.poll is poll]:
            if key not in poll.begun:
                self._report(self._take_back(key))
        for (stream, number), start in poll.begun.items():
            self._turns.report(stream, ReleaseAttempt(number, _GONE, start))
        self._balance(poll.queue)

    def close(self) -> None:
        """Hold no poll any more."""
        for poll in [*self._polls.values()]:
            self._time_up(poll)

    # --- offers, in the turn ------------------------------------------------------------------------

    def offered(self, state: ExecutionState, offer: Offer) -> Iterable[Message]:
        """A task waits for a worker, once it is due."""
        task = state.tasks[offer.number]
        key = (state.execution_id, offer.number)
        self._queue_of(task).offers[key] = ""
        if offer.due_ms > self._turns.moment().elapsed_ms:
            self._timetable.set(TimerKey(*key, OFFER), offer.due_ms)
            return ()
        return self._ask(*key)

    def _queue_of(self, task: TaskState) -> Queue:
        return self.demand.queue(task_name(task), task.domain or "")

    def _ask(self, stream: str, number: int) -> Iterable[Message]:
        """Have a task that is offered wait for demand, at the place that its rule gives."""
        state = self._turns.states.get(stream)
        effects = () if state is None else state.wanted.get(number, ())
        offer = next((each for each in effects if type(each) is Offer), None)
        if state is None or offer is None:
            return ()
        task = state.tasks[number]
        queue = self._queue_of(task)
        queue.most = _most_of(task)
        resource = queue.offers[stream, number] = self._place_of(queue, state, task, version=offer.version)
        messages: list[Message] = []
        if queue.is_stale and queue.polls:
            messages += self.demand.balance(queue)
        messages += self._admitting.offer(state, number, resource)
        if queue.polls and (stream, number) not in self._assigned:
            messages += self.demand.balance(queue)
        return messages

    def _place_of(self, queue: Queue, state: ExecutionState, task: TaskState, *, version: str) -> str:
        """Where a task waits; a worker that is only wished for is not waited for without end."""
        rule = rule_of(state, task, version)
        if rule.is_preference:
            until_ms = max(task.scheduled_ms, task.due_ms) + self._prefer_ms
            if until_ms > self._now():
                self._timetable.set(TimerKey(state.execution_id, task.number, PREFER), until_ms)
            else:
                rule = rule._replace(host="", not_worker="")
        return queue.general.resource if rule == ANY else self.demand.place(queue, Place(*queue.key, rule))

    def _prefer_no_more(self, timer: TimerKey) -> None:
        """The worker that was wished for did not come: any other may have the task."""
        key = (timer.stream, timer.number)
        if key not in self._assigned:
            self._report(self._admitting.release(key))
            self._report(self._ask(*key))

    def withdrawn(self, state: ExecutionState | None, key: Key) -> Iterable[Message]:
        """A task is offered no more: a worker has it now, or nobody needs it."""
        self._timetable.cancel(TimerKey(*key, OFFER))
        self._timetable.cancel(TimerKey(*key, PREFER))
        task = None if state is None else state.tasks.get(key[1])
        for queue in (self._queue_of(task),) if task is not None else self.demand.queues.values():
            queue.offers.pop(key, None)
        assigned = self._assigned.get(key)
        if assigned is None:
            return self._admitting.release(key)
        if task is not None and task.status == IN_PROGRESS and attempt_start(task) == assigned.start:
            return ()  # it holds now what it was granted
        return self._forfeit(key, assigned)

    # --- grants -------------------------------------------------------------------------------------

    def _hand_over(self, grant: Grant) -> Iterable[Message]:
        """Give a task that admission granted to the poller who is next."""
        key = grant.waiter.key
        place = self.demand.places[grant.waiter.needs[0].resource]
        queue, poll = self.demand.chosen(place)
        state = self._turns.states.get(key[0])
        if poll is None or state is None:
            return self._nobody(key, place)
        self._count += 1
        task = state.tasks[key[1]]
        self._assigned[key] = _Assigned(self._count, poll, attempt_start(task) + 1)
        poll.pending += 1
        poll.left -= 1
        seat = queue.seat(poll.worker)
        seat.load += 1
        seat.served_ms = self._now()
        self.roll.worker(poll.worker).take(place.name, 1)
        admitted = AttemptAdmitted(
            key[1],
            [[need.resource, need.weight, need.mode, need.key] for need in grant.waiter.needs[1:]],
            grant.fence,
            poll.worker,
            input_bytes=self._admitting.size_of(task),
            version=poll.version or UNVERSIONED,
            ticket=self._count,
        )
        return (Message(key[0], admitted),)

    def _nobody(self, key: Key, place: Place) -> Iterable[Message]:
        """Whoever was to get it has got something else meanwhile: it waits again."""
        messages = [*self._admitting.set_demand(place.resource, 0), *self._admitting.release(key)]
        return [*messages, *self._ask(*key)]

    def holds(self, key: Key, ticket: int) -> bool:
        """Whether a task is still on its way to the poll that it was given to."""
        assigned = self._assigned.get(key)
        return assigned is not None and assigned.ticket == ticket

    def not_begun(self, key: Key, ticket: int) -> Iterable[Message]:
        """Deciding made nothing of it: the task waits again, if it is offered still."""
        return self._take_back(key) if self.holds(key, ticket) else ()

    def _take_back(self, key: Key) -> Iterable[Message]:
        return [*self._forfeit(key, self._assigned[key]), *self._ask(*key)]

    def _forfeit(self, key: Key, assigned: _Assigned) -> list[Message]:
        """The task does not come to its poll, which may have another one."""
        del self._assigned[key]
        poll = assigned.poll
        poll.pending -= 1
        poll.left += 1
        poll.queue.leave(poll.worker)
        self.roll.worker(poll.worker).take(poll.queue.key[0], -1)
        self._answer_if_complete(poll)
        messages = [*self._admitting.release(key)]
        return messages + self.demand.balance(poll.queue) if poll.queue.polls else messages

    # --- leases -------------------------------------------------------------------------------------

    def leased(self, state: ExecutionState, lease: Lease) -> None:
        """A worker has a task from here on."""
        task = state.tasks[lease.number]
        key = (state.execution_id, lease.number)
        queue = self._queue_of(task)
        assigned = self._assigned.get(key)
        worker = task.worker_id
        if assigned is not None and assigned.start == lease.start:
            assigned.poll.begun[key] = lease.start
            self._leasing.append((key, assigned))
        else:  # it was taken before this process began, or by an update
            queue.seat(worker).load += 1
            self.roll.worker(worker).take(queue.key[0], 1)
        self.roll.lease(key, Leased(queue.key, worker, lease.start))
        self.watch.leased(worker)

    def ended(self, state: ExecutionState | None, key: Key) -> list[Message]:
        """A worker has a task no more; who waits for what it held follows in this turn."""
        leased = self.roll.end_lease(key)
        assigned = self._assigned.pop(key, None)
        if assigned is not None:  # before its poll was answered
            assigned.poll.pending -= 1
            assigned.poll.left += 1
            assigned.poll.begun.pop(key, None)
            self._answer_if_complete(assigned.poll)
        messages = [*self._admitting.release(key)]
        if leased is None:
            return messages
        task = None if state is None else state.tasks.get(key[1])
        if (
            task is not None
            and task.status == TIMED_OUT
            and (task.reason or "").startswith("responseTimeout")
        ):
            self.watch.overdue(leased.worker, key)
        queue = self.demand.queue(*leased.queue)
        queue.leave(leased.worker)
        queue.is_stale = True
        for each in self._asked_by(leased.worker, queue):
            messages += self.demand.balance(each)
        return messages

    def _asked_by(self, worker: str, queue: Queue) -> Iterable[Queue]:
        """The queues in which a task less of a worker lets somebody have more."""
        others = {poll.queue.key: poll.queue for poll in self._polls.values() if poll.worker == worker}
        if queue.polls and (others or self._admitting.admission.waiting_at(queue.general.resource)):
            others[queue.key] = queue
        return others.values()

    # --- around the commit --------------------------------------------------------------------------

    def close_turn(self) -> None:
        """Who gets something with this turn gets no more: it is answered once that is durable."""
        self._closed, self._leasing = self._leasing, []
        for assigned in (assigned for _, assigned in self._closed):
            assigned.poll.is_closed = True
        for queue in {id(each.poll.queue): each.poll.queue for _, each in self._closed}.values():
            self._balance(queue)

    def committed(self) -> None:
        """What was leased is durable: answer those who wait for it."""
        closed, self._closed = self._closed, []
        for key, assigned in closed:
            if self._assigned.get(key) is not assigned:
                continue  # it ended meanwhile
            del self._assigned[key]
            poll, state = assigned.poll, self._turns.states[key[0]]
            poll.pending -= 1
            poll.tasks.append(render_task(state, state.tasks[key[1]]))
        for poll in {assigned.poll.number: assigned.poll for _, assigned in closed}.values():
            self._answer_if_complete(poll)


def _most_of(task: TaskState) -> int:
    """How many tasks of its name one worker may have by the definition of this one."""
    made = task.node.task
    if made.extension is None and made.task_definition is None:
        return 0
    most = setting(made, "max_in_flight_per_worker")
    return most if isinstance(most, int) else 0
