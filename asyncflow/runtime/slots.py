"""Executions on their way to a slot: how many of one key may be open, who has one, who is next.

It asks the same admission as attempts do and starts nothing; its key is the execution's with record
number 0. What a slot means to an execution is in `decide/slots`, order and counts in `decide/admission`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.errors import AsyncflowError, Refused
from asyncflow.model.definition import WorkflowDefinition
from asyncflow.model.inputs import AttemptEnded, Message
from asyncflow.model.resources import Need, Waiter
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import FAILED
from asyncflow.runtime.admitting import Admitting, refusal_of
from asyncflow.runtime.needs import execution_priority, granted_needs


class Slots:
    """The limits of executions, each for as long as anybody is at it.

    A limit is that of the newest registered definition of the workflow's name, else of the definition
    that the execution has. Where workflows share a key, the least of their limits holds for all of them.
    """

    def __init__(self, admitting: Admitting, catalog: DefinitionCatalog) -> None:
        """Nobody waits."""
        self._admitting, self._catalog = admitting, catalog
        self._users: dict[str, tuple[str, str]] = {}  # execution -> resource, name of the workflow
        self._at: dict[str, dict[str, _Crowd]] = {}  # resource -> name of the workflow -> who is there
        self._of: dict[str, set[str]] = {}  # name of the workflow -> resources

    @property
    def in_memory(self) -> int:
        """Executions, keys and names that are remembered."""
        return len(self._users) + len(self._at) + len(self._of)

    # --- what executions ask ------------------------------------------------------------------------

    def check_room(self, state: ExecutionState) -> None:
        """Return if an execution that has begun to wait, and is not recorded yet, may do so.

        Raises:
            Refused: its definition rejects starts beyond the limit, and no slot is free.
        """
        if _rejects(state) and self._is_full(state):
            raise Refused(_refusal(state))

    def request(self, state: ExecutionState) -> Iterable[Message]:
        """Ask for a slot; what the execution is told when it has one, or is not to have one."""
        if self._admitting.is_draining:
            return ()
        stream = state.execution_id
        key = (stream, 0)
        if _rejects(state) and self._is_full(state):
            return (Message(stream, AttemptEnded(0, FAILED, {}, _refusal(state))),)
        try:
            priority = execution_priority(state)
        except AsyncflowError as fault:
            return (refusal_of(key, fault),)
        freed = self._join(state) if state.slot else ()
        slot = (Need(state.slot),) if state.slot else ()
        needs = (*slot, *granted_needs(state.slot_needs))
        waiter = Waiter(key, needs, priority, stream, state.awaits_since_ms)
        return (*freed, *self._admitting.ask(waiter))

    def release(self, stream: str) -> Iterable[Message]:
        """The execution ended, or does not ask any more; its slot goes to the next."""
        found = [*self._admitting.release((stream, 0))]
        user = self._users.pop(stream, None)
        return [*found, *self._leave(*user)] if user is not None else found

    def restore(self, state: ExecutionState) -> None:
        """What an execution had when its process ended, it has."""
        if state.slot and not (state.awaits_slot or state.is_ended):
            self._join(state)
            self._admitting.hold((state.execution_id, 0), (Need(state.slot),))

    def definition_changed(self, name: str) -> Iterable[Message]:
        """A definition of this name was registered or deleted: its limit holds for what waits now."""
        found: list[Message] = []
        for resource in sorted(self._of.get(name, ())):
            found += self._admitting.limit_slots(resource, self._least(resource))
        return found

    # --- limits -----------------------------------------------------------------------------------

    def _join(self, state: ExecutionState) -> Iterable[Message]:
        """Count the execution among those at its limit, which holds from here on."""
        resource, name = state.slot, state.name
        if self._users.get(state.execution_id) == (resource, name):
            return ()
        self._users[state.execution_id] = (resource, name)
        crowd = self._at.setdefault(resource, {}).setdefault(name, _Crowd())
        crowd.count += 1
        crowd.own_limit = _limit(state.graph.definition)
        self._of.setdefault(name, set()).add(resource)
        return self._admitting.limit_slots(resource, self._least(resource))

    def _leave(self, resource: str, name: str) -> Iterable[Message]:
        crowds = self._at[resource]
        crowds[name].count -= 1
        if crowds[name].count:
            return ()
        del crowds[name]
        self._of[name].discard(resource)
        if not self._of[name]:
            del self._of[name]
        if not crowds:
            del self._at[resource]
        return self._admitting.limit_slots(resource, self._least(resource))

    def _least(self, resource: str) -> int:
        """The least limit of those whose executions are there; 0 for none."""
        crowds = self._at.get(resource, {})
        limits = [self._limit_of(name, crowd.own_limit) for name, crowd in crowds.items()]
        return min((limit for limit in limits if limit), default=0)

    def _limit_of(self, name: str, own_limit: int) -> int:
        versions = self._catalog.workflows.get(name)
        return _limit(versions[max(versions)]) if versions else own_limit

    def _is_full(self, state: ExecutionState) -> bool:
        """Whether one more of this workflow would have to wait."""
        admission, resource = self._admitting.admission, state.slot
        own = self._limit_of(state.name, _limit(state.graph.definition))
        least = min((each for each in (own, self._least(resource)) if each), default=0)
        return bool(least) and (admission.in_use(resource) >= least or admission.waiting_at(resource) > 0)


@dataclass(slots=True)
class _Crowd:
    """The executions of one workflow at one limit: how many, and what the newest's definition says."""

    count: int = 0
    own_limit: int = 0


def _limit(definition: WorkflowDefinition) -> int:
    limited = definition.rate_limit_config
    return 0 if limited is None else max(0, limited.concurrent_exec_limit)


def _rejects(state: ExecutionState) -> bool:
    """Whether it is refused rather than made to wait; what was open before waits in any case."""
    limited = state.graph.definition.rate_limit_config
    is_new = state.begins and not state.epoch and bool(state.slot)
    return limited is not None and limited.policy == "REJECT" and is_new


def _refusal(state: ExecutionState) -> str:
    return f"no more executions may be open at {state.slot} now: rateLimitConfig of {state.name} rejects them"
