"""Tasks for workers elsewhere: what is offered, who polls, and who gets which.

Limits and order are those of the one admission: a task that is offered waits there for demand, and a
poll is demand, counted in `runtime/demand`. A poll is answered only when what it gives is durable; which
workers may have a task is in `runtime/hand_out_rules`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from asyncflow.decide.render import render_task
from asyncflow.decide.wanted import UNVERSIONED, attempt_start
from asyncflow.model.effects import Lease, Offer
from asyncflow.model.inputs import AttemptAdmitted, Message
from asyncflow.model.resources import Grant
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import IN_PROGRESS, TIMED_OUT
from asyncflow.model.values import JsonObject
from asyncflow.runtime.admitting import Admitting, size_of
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.demand import SHARE, Demand, HandOutSettings
from asyncflow.runtime.hand_out_rules import Place
from asyncflow.runtime.held_polls import POLL, HeldPolls
from asyncflow.runtime.offers import OFFER, PREFER, Offers
from asyncflow.runtime.queues import Assigned, Queue
from asyncflow.runtime.timers import TimerKey
from asyncflow.runtime.timetable import Timetable
from asyncflow.runtime.turns import Turns
from asyncflow.runtime.worker_roll import Key, Leased, Roll
from asyncflow.runtime.worker_watch import WORKER, WorkerWatch


class HandOut:
    """Offers, polls and leases of one engine.

    What turns call gives messages for executions; what comes from outside reports them itself.

    Attributes:
        roll: the workers that were seen, and what they have.
        demand: the queues, and what their pollers may have.
        polls: those that are held.
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
        self._clock, self._admitting, self._turns = clock, admitting, turns
        self._assigned: dict[Key, Assigned] = {}
        self._leasing: list[tuple[Key, Assigned]] = []
        self._closed: list[tuple[Key, Assigned]] = []
        self._tickets = 0
        self.polls = HeldPolls(
            clock, self.demand, timetable, turns=turns, watch=self.watch, assigned=self._assigned
        )
        self._offers = Offers(
            clock,
            admitting,
            self.demand,
            timetable=timetable,
            turns=turns,
            assigned=self._assigned,
            prefer_ms=int(settings.prefer_seconds * 1000),
        )
        self.polls.take_back = self._take_back
        admitting.hand_over = self._hand_over
        self.on_due: dict[str, Callable[[TimerKey], None]] = {
            OFFER: lambda key: self._report(self._offers.ask(key.stream, key.number)),
            PREFER: lambda key: self._report(self._offers.prefer_no_more(key)),
            POLL: self.polls.time_up,
            SHARE: lambda key: self._report(self.demand.look_again(key)),
            WORKER: self.watch.look,
        }

    def _report(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._turns.report(message.to, message.input)

    # --- polls and offers ---------------------------------------------------------------------------

    async def poll(
        self, name: str, domain: str, *, worker: str, count: int, timeout_ms: int, version: str
    ) -> list[JsonObject]:
        """Tasks for a worker; see `HeldPolls.poll`."""
        return await self.polls.poll(
            name, domain, worker=worker, count=count, timeout_ms=timeout_ms, version=version
        )

    def close(self) -> None:
        """Hand out nothing any more; whose polls are held is told so."""
        self.polls.close()

    def offered(self, state: ExecutionState, offer: Offer) -> Iterable[Message]:
        """A task waits for a worker; see `Offers.offered`."""
        return self._offers.offered(state, offer)

    def withdrawn(self, state: ExecutionState | None, key: Key) -> Iterable[Message]:
        """A task is offered no more: a worker has it now, or nobody needs it."""
        self._offers.forget(state, key)
        assigned = self._assigned.get(key)
        if assigned is None:
            return self._admitting.release(key)
        task = None if state is None else state.tasks.get(key[1])
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
        self._tickets += 1
        task = state.tasks[key[1]]
        self._assigned[key] = Assigned(self._tickets, poll, attempt_start(task) + 1)
        poll.pending += 1
        poll.left -= 1
        queue.recount(poll)
        queue.load(poll.worker, 1, self._clock.now().elapsed_ms)
        self.roll.worker(poll.worker).take(place.name, 1)
        needs, placing = grant.waiter.needs[1:], self._admitting.placing
        resource, instance = placing.place(key, needs, is_job=False)
        admitted = AttemptAdmitted(
            key[1],
            placing.rows(key, needs),
            grant.fence,
            poll.worker,
            input_bytes=size_of(task),
            version=poll.version or UNVERSIONED,
            ticket=self._tickets,
            resource=resource,
            instance=instance,
        )
        return (Message(key[0], admitted),)

    def _nobody(self, key: Key, place: Place) -> Iterable[Message]:
        """Whoever was to get it has got something else meanwhile: it waits again."""
        messages = [*self._admitting.set_demand(place.resource, 0), *self._admitting.release(key)]
        return [*messages, *self._offers.ask(*key)]

    def holds(self, key: Key, ticket: int) -> bool:
        """Whether a task is still on its way to the poll that it was given to."""
        assigned = self._assigned.get(key)
        return assigned is not None and assigned.ticket == ticket

    def not_begun(self, key: Key, ticket: int) -> Iterable[Message]:
        """Deciding made nothing of it: the task waits again, if it is offered still."""
        return self._take_back(key) if self.holds(key, ticket) else ()

    def _take_back(self, key: Key) -> Iterable[Message]:
        return [*self._forfeit(key, self._assigned[key]), *self._offers.ask(*key)]

    def _forfeit(self, key: Key, assigned: Assigned) -> list[Message]:
        """The task does not come to its poll, which may have another one."""
        del self._assigned[key]
        poll = assigned.poll
        poll.pending -= 1
        poll.left += 1
        poll.queue.recount(poll)
        poll.queue.load(poll.worker, -1)
        self.roll.worker(poll.worker).take(poll.queue.key[0], -1)
        self.polls.answer_if_complete(poll)
        messages = [*self._admitting.release(key)]
        return messages + self.demand.balance(poll.queue) if poll.queue.is_asked else messages

    def why_admission(self, key: Key) -> dict[str, object]:
        """What admission says of a task that is offered."""
        return self._admitting.why(key) or {}

    # --- leases -------------------------------------------------------------------------------------

    def leased(self, state: ExecutionState, lease: Lease) -> None:
        """A worker has a task from here on."""
        task = state.tasks[lease.number]
        key = (state.execution_id, lease.number)
        queue = self._offers.queue_of(task)
        assigned = self._assigned.get(key)
        worker = task.worker_id
        if assigned is not None and assigned.start == lease.start:
            assigned.poll.begun[key] = lease.start
            self._leasing.append((key, assigned))
        else:  # it was taken before this process began, or by an update
            queue.load(worker, 1)
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
            assigned.poll.queue.recount(assigned.poll)
            assigned.poll.begun.pop(key, None)
            self.polls.answer_if_complete(assigned.poll)
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
        queue.load(leased.worker, -1)
        queue.is_stale = True
        for each in self._asked_by(leased.worker, queue):
            messages += self.demand.balance(each)
        return messages

    def _asked_by(self, worker: str, queue: Queue) -> Iterable[Queue]:
        """The queues in which a task less of a worker lets somebody have more."""
        asked = {each.key: each for each in self.polls.of(worker)}
        if queue.is_asked and (asked or self._admitting.admission.waiting_at(queue.general.resource)):
            asked[queue.key] = queue
        return asked.values()

    # --- around the commit --------------------------------------------------------------------------

    def close_turn(self) -> None:
        """Who gets something with this turn gets no more: it is answered once that is durable."""
        self._closed, self._leasing = self._leasing, []
        for assigned in (assigned for _, assigned in self._closed):
            assigned.poll.is_closed = True
            assigned.poll.queue.recount(assigned.poll)
        for queue in {id(each.poll.queue): each.poll.queue for _, each in self._closed}.values():
            self._report(self.demand.lower(queue))

    def committed(self) -> None:
        """What was leased is durable: answer those who wait for it."""
        closed, self._closed = self._closed, []
        for key, assigned in closed:
            if self._assigned.get(key) is not assigned:
                continue  # it ended meanwhile
            del self._assigned[key]
            poll, state = assigned.poll, self._turns.states[key[0]]
            poll.pending -= 1
            task = state.tasks[key[1]]
            poll.tasks.append(self._given(key, render_task(state, task), task.fence))
        for poll in {assigned.poll.number: assigned.poll for _, assigned in closed}.values():
            self.polls.answer_if_complete(poll)

    def _given(self, key: Key, task: JsonObject, fence: int) -> JsonObject:
        """The task as its worker gets it: it is told on which instances it is, and its fence."""
        handles, ours = self._admitting.placing.handles(key), task["asyncflow"]
        if isinstance(ours, dict):
            ours |= {"instances": handles} if handles else {}
            ours |= {"fence": fence} if fence else {}
        return task
