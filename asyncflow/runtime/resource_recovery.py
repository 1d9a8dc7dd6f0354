"""The histories of resources folded at a start: states, and of one that cannot be read only what is certain.

A resource whose history is damaged is not begun anew: its instances would be counted from 1 again, under
tokens that the service knows. What becomes of it is said by a person, see `runtime/resource_operating`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from asyncflow.decide.lifecycle_evolve import evolve_resource
from asyncflow.errors import StoreError
from asyncflow.model.resource_events import ResourceEvent, resource_of
from asyncflow.model.resource_state import ResourceState
from asyncflow.model.turn import Recorded

Histories = Mapping[str, Sequence[Recorded]]


def restored(histories: Histories, damaged: Mapping[str, str]) -> dict[str, ResourceState]:
    """What is recorded of every resource, by name; the newest of its streams counts.

    Args:
        damaged: by stream, why it cannot be read; what else is known of it may be in `histories`.
    """
    newest: dict[str, tuple[int, str]] = {}
    for stream in (*histories, *damaged):
        name, generation = resource_of(stream)
        newest[name] = max(newest.get(name, (0, "")), (generation, stream))
    return {
        name: _state(name, generation, histories.get(stream, ()), damaged.get(stream, ""))
        for name, (generation, stream) in newest.items()
    }


def _state(name: str, generation: int, history: Sequence[Recorded], damage: str) -> ResourceState:
    if not damage:
        try:
            return _folded(name, generation, history)
        except Exception as fault:  # noqa: BLE001 - whatever is wrong with it is wrong with it alone
            damage = f"{type(fault).__name__}: {fault}"
    state = ResourceState(name, generation=generation + 1, damage=damage)
    state.next_number = 1 + _highest(each.event for each in history)
    return state


def _folded(name: str, generation: int, history: Sequence[Recorded]) -> ResourceState:
    state = ResourceState(name, generation=generation)
    for recorded in history:
        if recorded.seq != state.seq + 1:
            raise StoreError(f"events {state.seq + 1} to {recorded.seq - 1} are missing")
        if not isinstance(recorded.event, ResourceEvent):
            raise StoreError(f"event {recorded.seq} is none of a resource: {type(recorded.event).__name__}")
        evolve_resource(state, recorded.event, recorded.at_ms)
    return state


def _highest(events: Iterable[object]) -> int:
    """The highest number of an instance that was surely given."""
    return max((getattr(event, "number", 0) for event in events), default=0)
