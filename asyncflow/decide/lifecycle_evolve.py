"""What recorded events make of a resource and its instances.

It accepts every event ever recorded and judges none; what happens next is in `decide/lifecycle`. Counts of
who is on an instance are no events of the resource: they follow from the open jobs.
"""

from __future__ import annotations

from typing import cast

from asyncflow.model import resource_events as ev
from asyncflow.model.resource_events import ResourceEvent
from asyncflow.model.resource_state import Instance, InstancePhase, ResourceState

FIRST_DELAY_MS = 5_000
MOST_DELAY_MS = 300_000
LOST = "lost"
"""The cause of the end of an instance that a service said is gone or going."""


def evolve_resource(state: ResourceState, event: ResourceEvent, at_ms: int) -> None:
    """Make an event true, in place."""
    state.seq += 1
    match event:
        case ev.ResourceConfigured(kind, settings):
            state.configured = (kind, dict(settings))
            state.is_removed, state.least, state.most = False, None, None
        case ev.ResourceRemoved():
            state.is_removed = True
        case ev.ResourceDrained(by, reason):
            state.drained, state.drained_by, state.drained_ms = reason or "drained", by, at_ms
        case ev.ResourceResumed():
            state.drained, state.drained_by, state.drained_ms = "", "", 0
        case ev.ResourceResized(least, most):
            state.least, state.most = least, most
        case ev.ResourceReleased(next_number):
            state.next_number, state.damage = next_number, ""
        case ev.ResourceForgotten():
            state.instances.clear()
            state.doubles.clear()
        case ev.InstanceAsked(number, token, cause):
            made = Instance(number, token, asked_ms=at_ms, since_ms=at_ms, by=cause, sent_ms=at_ms)
            state.instances[number] = made
            state.next_number = max(state.next_number, number + 1)
        case ev.InstanceRefused(number, reason, tries, retry_ms):
            state.instances.pop(number, None)
            state.tries, state.retry_ms, state.error = tries, retry_ms, reason
        case ev.InstanceGone(number, reason):
            gone = state.instances.pop(number, None)
            if gone is not None and not gone.ready_ms and gone.cause in {"", "broken", LOST}:
                state.tries += 1
                state.retry_ms, state.error = at_ms + creation_delay_ms(state.tries), reason
        case ev.InstanceDoubled() | ev.DoubleDestroyed():
            _evolve_doubles(state, event)
        case _:
            instance = state.instances.get(event.number)
            if instance is not None:
                _evolve(state, instance, event, at_ms)


def creation_delay_ms(tries: int) -> int:
    """How long after so many creations in a row that came to nothing the next one is asked for."""
    return min(MOST_DELAY_MS, int(FIRST_DELAY_MS) << min(tries - 1, 10)) if tries > 0 else 0


def _evolve_doubles(state: ResourceState, event: ev.InstanceDoubled | ev.DoubleDestroyed) -> None:
    if isinstance(event, ev.InstanceDoubled):
        state.doubles[event.handle] = event.number
    else:
        state.doubles.pop(event.handle, None)


def _evolve(state: ResourceState, instance: Instance, event: ResourceEvent, at_ms: int) -> None:
    match event:
        case ev.InstanceAskedAgain():
            instance.was_resent, instance.is_unsure, instance.is_refused = True, False, False
            _enter(instance, "asked", at_ms)
        case ev.InstanceCreated(_, handle):
            instance.handle = handle
            _enter(instance, "created", at_ms)
        case ev.InstanceUndecided(_, reason):
            instance.reason = reason
            _enter(instance, "undecided", at_ms)
        case ev.InstanceReady():
            instance.ready_ms = instance.idle_ms = at_ms
            instance.is_idle_known = False
            state.tries, state.retry_ms, state.error = 0, 0, ""
            _enter(instance, "active", at_ms)
        case ev.InstanceIdle(_, since_ms):
            instance.idle_ms, instance.is_idle_known = since_ms, True
        case ev.InstanceUsed():
            instance.is_idle_known = False
        case ev.InstanceDraining(_, cause, fence, reason):
            instance.cause, instance.fence, instance.reason = cause, fence, reason
            state.fence = max(state.fence, fence)
            _enter(instance, "draining", at_ms)
        case ev.InstanceBack(_, reason):
            instance.cause, instance.reason = "", reason
            instance.idle_ms, instance.is_idle_known = at_ms, False
            _enter(instance, "active", at_ms)
        case ev.InstanceDestroying(_, cause, fence, reason):
            instance.cause, instance.fence, instance.reason = cause, fence, reason
            state.fence = max(state.fence, fence)
            _enter(instance, "destroying", at_ms)
        case ev.InstanceTroubled(_, reason):
            instance.error = reason


def _enter(instance: Instance, phase: str, at_ms: int) -> None:
    instance.phase, instance.since_ms = cast("InstancePhase", phase), at_ms
    instance.next_ms, instance.tries, instance.is_free = 0, 0, False
    instance.change += 1
