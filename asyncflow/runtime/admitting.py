"""Tasks that run here on their way to a slot: what each needs, whether it is there, who is next.

It asks `decide/admission`, which owns all counts, and turns grants into inputs of the turn; what
cannot begin at all is reported as failed, by name. It starts nothing: see `runtime/carry`.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from functools import lru_cache

from pydantic_core import to_json

from asyncflow.decide.admission import Admission
from asyncflow.decide.holds import rest_of
from asyncflow.decide.left_held import LeftHeld
from asyncflow.errors import AsyncflowError, LimitExceeded
from asyncflow.model.holds import HoldState
from asyncflow.model.inputs import AttemptAdmitted, AttemptEnded, Message
from asyncflow.model.limits import Limits
from asyncflow.model.resources import SLOT_PREFIX, Grant, Need, ResourceLimit, Waiter
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import FAILED_TERMINALLY, IN_PROGRESS
from asyncflow.model.values import JsonValue
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.known_limits import KnownLimits
from asyncflow.runtime.needs import (
    function_name,
    granted_needs,
    needs_of,
    priority_of,
)
from asyncflow.runtime.placing import JOB, NOWHERE, Place, Placing

_FUNCTIONS = frozenset({"loop", "thread", "process"})
_KEPT_BYTES = 64 << 10  # an input above is encoded again when its attempt starts

Key = tuple[str, int]


class Admitting:
    """The requests of this engine's attempts.

    Attributes:
        known: which limits are in force.
        unloaded: the tasks that wait for a function of this name to be loaded, by key.
        placing: who has reserved which instance.
        hand_over: gives a task that waited for a worker elsewhere to one.
        is_draining: nothing is admitted any more; what waits asks again after the next start.
    """

    def __init__(
        self,
        clock: Clock,
        admission: Admission,
        *,
        functions: Container[str],
        limits: Limits,
        placing: Placing,
        states: Mapping[str, ExecutionState],
    ) -> None:
        """Nobody asked yet; `functions` are the names that can be performed in this process."""
        self.admission = admission
        self.placing = placing
        self._states = states
        self.unloaded: dict[Key, str] = {}
        self.is_draining = False
        self.hand_over: Callable[[Grant], Iterable[Message]] = lambda _grant: ()
        self._clock, self._functions, self._limits = clock, functions, limits
        self._payloads: dict[Key, bytes] = {}
        self.known = KnownLimits(clock, admission)

    # --- limits -----------------------------------------------------------------------------------

    def set_limit(self, resource: str, limit: ResourceLimit | None) -> Iterable[Message]:
        """Change a limit while it is in use; what fits now begins."""
        self.known.set(resource, limit)
        return self._begun(self.admission.set_limit(resource, limit, self._clock.now().elapsed_ms))

    def set_part_limit(self, resource: str, limit: ResourceLimit) -> Iterable[Message]:
        """Change what limits each part of a resource; what fits now begins."""
        return self._begun(self.known.resize_parts(resource, limit))

    def set_demand(self, resource: str, count: int) -> Iterable[Message]:
        """So many tasks that wait at this place for workers elsewhere are wanted now; see `Admission`."""
        grants = self.admission.set_demand(resource, count, self._clock.now().elapsed_ms)
        if count:
            self.placing.polled(self.admission.waiting_at)
        return self._begun(grants)

    # --- asking -----------------------------------------------------------------------------------

    def request(self, state: ExecutionState, number: int) -> Iterable[Message]:
        """Ask for what a record needs; one that needs nothing may begin."""
        if self.is_draining:
            return ()
        task = state.tasks[number]
        key = (state.execution_id, number)
        name = task.name or task.node.name
        if task.executor in _FUNCTIONS and function_name(task) not in self._functions:
            self.unloaded[key] = function_name(task)
            return ()
        try:
            payload = encoded(task, self._limits)
        except LimitExceeded as limit:
            return (refusal_of(key, limit),)
        size = len(payload)
        self.known.take_up(task)
        try:
            needs = self.placing.needs(task, needs_of(state, task, is_limited=name in self.known.limited))
            if not needs:
                self._keep_payload(key, task, payload)
                return (Message(key[0], AttemptAdmitted(number, input_bytes=size)),)
            self.known.limit_parts(self.placing.part_limits(needs))
            grant = self._ask(key, needs, state, task)
        except AsyncflowError as refusal:
            return (refusal_of(key, refusal),)
        if grant is None:
            self.placing.refused(needs)
            return ()
        self._keep_payload(key, task, payload)
        return (self._admitted(grant, size),)

    def _keep_payload(self, key: Key, task: TaskState, payload: bytes) -> None:
        """Keep it for the attempt that begins now; of those that wait, there may be very many."""
        if task.executor != JOB and len(payload) <= _KEPT_BYTES:
            self._payloads[key] = payload

    def offer(self, state: ExecutionState, number: int, demand: str) -> Iterable[Message]:
        """Have a record wait until a worker elsewhere wants it, and its limits let it begin.

        The limit of its name is asked for even where there is none: one may be set while it waits.
        """
        task = state.tasks[number]
        key = (state.execution_id, number)
        self.known.take_up(task)
        try:
            encoded(task, self._limits)
            needs = (Need(demand, is_demand=True), *needs_of(state, task, is_limited=True))
            grant = self._ask(key, needs, state, task)
        except AsyncflowError as refusal:
            return (refusal_of(key, refusal),)
        if grant is None:
            self.placing.offered(needs)
            self.placing.polled(self.admission.waiting_at)
            return ()
        return self.hand_over(grant)

    def _ask(self, key: Key, needs: tuple[Need, ...], state: ExecutionState, task: TaskState) -> Grant | None:
        for need in needs:
            if not need.is_demand:
                self.known.meet(need.resource)
        since_ms = max(task.scheduled_ms, task.due_ms)
        waiter = Waiter(key, needs, priority_of(state, task), state.execution_id, since_ms)
        return self.admission.request(waiter, self._clock.now().elapsed_ms)

    def ask(self, waiter: Waiter) -> Iterable[Message]:
        """Have somebody wait whose needs are all in the waiter; what it is told if it need not wait."""
        for need in waiter.needs:
            if not need.resource.startswith(SLOT_PREFIX):
                self.known.meet(need.resource)
        grant = self.admission.request(waiter, self._clock.now().elapsed_ms)
        return () if grant is None else (self._admitted(grant, 0),)

    def hold(self, key: Key, needs: tuple[Need, ...]) -> None:
        """Recovery: this is held, whatever the limits say."""
        self.admission.restore(key, needs, 0, None)

    def limit_slots(self, resource: str, most: int) -> Iterable[Message]:
        """Let so many hold the resource, 0 for any number; what fits now begins."""
        limit = ResourceLimit(most) if most else None
        if self.admission.limit_unused(resource, limit):
            return ()
        return self._begun(self.admission.set_limit(resource, limit, self._clock.now().elapsed_ms))

    def _begun(self, grants: Iterable[Grant]) -> list[Message]:
        """What grants are for executions; who waited for a worker goes to one."""
        messages: list[Message] = []
        for grant in grants:
            if grant.waiter.needs[0].is_demand:
                messages += self.hand_over(grant)
            else:
                messages.append(self._admitted(grant))
        return messages

    def _admitted(self, grant: Grant, size: int | None = None) -> Message:
        stream, number = grant.waiter.key
        if size is None:
            size = _size(grant, self._states)
        place = _placed(grant, self._states, self.placing)
        return Message(
            stream,
            AttemptAdmitted(
                number,
                _rows(grant.waiter.needs),
                grant.fence,
                input_bytes=size,
                resource=place[0],
                instance=place[1],
            ),
        )

    def holds(self, key: Key, fence: int) -> bool:
        """Whether a grant that is on its way is still good: it may have been given back meanwhile.

        Who gave it back may have asked again, and wait, or have been granted another one.
        """
        return self.admission.fence_of(key) == fence

    def take_payload(self, key: Key, task: TaskState) -> bytes:
        """The input of an attempt that starts, as JSON.

        Raises:
            LimitExceeded: it is too large: one that began with its record was not asked for before.
        """
        payload = self._payloads.pop(key, None)
        return encoded(task, self._limits) if payload is None else payload

    # --- giving back --------------------------------------------------------------------------------

    def withdraw(self, key: Key, task: TaskState | None) -> Iterable[Message]:
        """A record does not ask any more: it was admitted, or is not wanted."""
        if self.unloaded:
            self.unloaded.pop(key, None)
        if task is not None and not task.is_ended and task.starts and task.status == IN_PROGRESS:
            return ()  # it holds now what it asked for, until its attempt ends
        return self.release(key)

    def release(self, key: Key) -> Iterable[Message]:
        """An attempt is over, or a request given up: what it held or waited for goes to the next."""
        self._payloads.pop(key, None)  # of an attempt that ended before it began
        if not self.admission.knows(key):
            return ()
        self.placing.release(key)
        return self._begun(self.admission.release(key, self._clock.now().elapsed_ms))

    def begun(self, key: Key, job_key: Key) -> None:
        """The attempt is a job from here on, which holds what was granted until its own end."""
        self._payloads.pop(key, None)
        self.placing.rename(key, job_key)
        self.admission.rename(key, job_key)

    def keep(self, state: ExecutionState, hold: HoldState) -> None:
        """Part of what was granted to an attempt, or for a start, is the execution's from here on."""
        key, taker = (state.execution_id, hold.key), (state.execution_id, hold.taker)
        rest, moved = granted_needs(rest_of(state, hold)), granted_needs([hold.grant])
        self.admission.split(taker, key, rest, moved, hold.fence)

    def keep_left(self, stream: str, left: LeftHeld) -> None:
        """What an execution holds that a start set aside, and that has no state."""
        key = (stream, left.number)
        if left.resource:
            self.placing.restore(key, left.resource, left.instance)
        else:
            self.placing.restore_rows(key, left.grants)
        self._restore(key, left.grants, left.fence)

    def restore(self, state: ExecutionState) -> None:
        """What an execution held when its process ended, it holds until its attempts are ended."""
        for task in state.tasks.values():
            if task.grants and not task.is_ended:
                key = (state.execution_id, task.number)
                self.placing.restore_rows(key, task.grants)
                self._restore(key, task.grants, task.fence)
        for job in state.jobs.values():
            key = (state.execution_id, -job.serial)
            if self.admission.fence_of(key) is None:  # else it was set aside here, and kept what it had
                self.placing.restore(key, job.resource, job.instance)
                self._restore(key, job.grants or [], job.fence)
        for hold in state.holds.values():
            self._restore((state.execution_id, hold.key), [hold.grant], hold.fence)

    def _restore(self, key: Key, grants: list[list[JsonValue]], fence: int) -> None:
        for need in (needs := granted_needs(grants)):
            self.known.meet(need.resource)
        self.admission.restore(key, needs, fence, None)

    def refilled(self, now_ms: int) -> Iterable[Message]:
        """Who may begin because a rate allows it again."""
        due = self.admission.next_due_ms()
        if due is None or due > now_ms:
            return ()
        return self._begun(self.admission.advance(now_ms))

    def loaded(self) -> list[Key]:
        """The tasks whose missing function is here now; they wait no more and ask again."""
        found = [key for key, name in self.unloaded.items() if name in self._functions]
        for key in found:
            del self.unloaded[key]
        return found

    def why(self, key: Key) -> dict[str, object] | None:
        """What a record that has not begun waits for; None if it does not wait here."""
        name = self.unloaded.get(key)
        if name is not None:
            return {"state": "function_not_loaded", "name": name}
        if not self.admission.knows(key):
            return None
        return self.admission.why(key, self._clock.now().elapsed_ms)


@lru_cache(maxsize=1_000)
def _rows(needs: tuple[Need, ...]) -> list[list[object]]:
    """What was granted as it is recorded: one list, never changed, for all that need the same."""
    return [[need.resource, need.weight, need.mode, need.key] for need in needs]


def _task_of(grant: Grant, states: Mapping[str, ExecutionState]) -> TaskState | None:
    """The record that was granted what it needs; None for an execution, or where it is gone meanwhile."""
    stream, number = grant.waiter.key
    state = states.get(stream)
    return None if state is None else state.tasks.get(number)


def _size(grant: Grant, states: Mapping[str, ExecutionState]) -> int:
    """Bytes of the input of one who waited; of those that wait no text is kept."""
    task = _task_of(grant, states)
    return 0 if task is None else size_of(task)


def size_of(task: TaskState) -> int:
    """Bytes of the input of a record, as JSON."""
    return len(to_json(task.input)) if task.input else 2


def _placed(grant: Grant, states: Mapping[str, ExecutionState], placing: Placing) -> Place:
    """Where an attempt goes that was granted what it needs."""
    task = _task_of(grant, states)
    if task is None:
        return NOWHERE
    return placing.place(grant.waiter.key, grant.waiter.needs, is_job=task.executor == JOB)


def refusal_of(key: Key, error: AsyncflowError) -> Message:
    """The end of an attempt that can never begin."""
    return Message(key[0], AttemptEnded(key[1], FAILED_TERMINALLY, {}, str(error)))


def encoded(task: TaskState, limits: Limits) -> bytes:
    """The input of a record as JSON. Raises LimitExceeded: it is too large."""
    if not task.input:
        return b"{}"
    payload = to_json(task.input)
    allowed = limits.payload_bytes
    if len(payload) > allowed:
        raise LimitExceeded("payload_too_large: task input in bytes", allowed=allowed, actual=len(payload))
    return payload
