"""The calls that the state of a resource makes, and what their answers mean.

It must not call anybody: `runtime/resource_calls` does, at most one call about an instance at a time. Beside
the events that an answer makes it keeps what only this process needs, such as when to ask again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from asyncflow.decide.lifecycle import Terms, idle_after_ms, idle_noted_ms
from asyncflow.decide.lifecycle_evolve import LOST, creation_delay_ms
from asyncflow.model import resource_events as ev
from asyncflow.model.resource_events import ResourceEvent
from asyncflow.model.resource_state import Instance, ResourceState

CallKind = Literal["create", "find", "check", "destroy", "destroy_double"]

MARGIN_MS = 10_000
MOST_PAUSE_MS = 60_000
AGAIN_MS = 300_000
"""An instance that is still there so long after the order to destroy it gets the order again."""
_ASKED_BEFORE_MS = 600_000


class Call(NamedTuple):
    """A call that is to be made, from this time on. `change` is that of the instance when it is made."""

    kind: CallKind
    number: int
    due_ms: int
    handle: str = ""


class Listed(NamedTuple):
    """An instance that carries the token of an order, as the plugin's `Found`."""

    handle: str
    created_ms: int = 0
    is_open: bool = True


class Standing(NamedTuple):
    """How an instance stands, as the plugin's `InstanceStatus`."""

    word: str
    reason: str = ""
    raw: str = ""
    facts: Mapping[str, object] = {}


class Failed(NamedTuple):
    """A call that did not do what it was to do; `kind` is refused, open, throttled or credentials."""

    kind: str
    reason: str
    retry_after_ms: int = 0


def wanted_calls(state: ResourceState, terms: Terms) -> Iterator[Call]:
    """Everything that is to be called, now or later; one call for an instance and one for a double."""
    if not (terms.is_open and terms.has_instances):
        return
    for instance in state.instances.values():
        kind = _kind(instance, terms)
        if kind:
            yield Call(kind, instance.number, instance.next_ms, instance.handle)
    for handle, number in state.doubles.items():
        yield Call("destroy_double", number, 0, handle)


def _kind(instance: Instance, terms: Terms) -> CallKind | None:
    match instance.phase:
        case "asked":
            return "find" if instance.is_unsure and _must_search(instance, terms) else "create"
        case "undecided":
            return None
        case "destroying" if not instance.ended_ms:
            return "destroy"
    return "find" if instance.looked_ms and instance.next_ms >= instance.looked_ms else "check"


def _must_search(instance: Instance, terms: Terms) -> bool:
    """Whether the same order sent once more could make a second instance."""
    is_known = terms.tier == "token" and instance.since_ms + terms.token_life_ms > instance.sent_ms
    return terms.can_find and not is_known


def quiet_ms(terms: Terms) -> int:
    """After so long without a trace of it, what was sent is surely not there."""
    return round(terms.submit_timeout_ms + terms.listing_lag_ms) + MARGIN_MS


def begin(state: ResourceState, now_ms: int) -> None:
    """Recovery: what an earlier process asked for may be there.

    Nothing is idle since before now but what is recorded to be.
    """
    for instance in state.instances.values():
        instance.sent_ms = now_ms
        instance.idle_ms = instance.idle_ms if instance.is_idle_known else now_ms
        instance.is_unsure = instance.phase == "asked"


def since_ms_of(instance: Instance) -> int:
    """The moment from which on a search for the instance looks."""
    return max(0, instance.asked_ms - _ASKED_BEFORE_MS)


# --- answers ------------------------------------------------------------------------------------------


def created(state: ResourceState, number: int, handle: str, terms: Terms) -> list[ResourceEvent]:
    """The service answered an order with a handle."""
    instance = state.instances.get(number)
    if instance is None or instance.phase not in {"asked", "undecided"}:
        return []
    if instance.was_resent and terms.can_find:
        instance.looked_ms = instance.sent_ms + quiet_ms(terms)
    return [ev.InstanceCreated(number, handle)]


def found(
    state: ResourceState, number: int, listed: Sequence[Listed], *, terms: Terms, now_ms: int
) -> list[ResourceEvent]:
    """What a whole listing says of an instance: taken over, one too many, or not there."""
    instance = state.instances.get(number)
    if instance is None:
        return []
    instance.tries = 0
    matches = sorted(listed, key=lambda each: (each.created_ms, each.handle))
    if instance.phase != "asked":
        instance.looked_ms = 0
        doubles = [each.handle for each in matches if each.handle != instance.handle and each.is_open]
        return [ev.InstanceDoubled(number, handle) for handle in doubles if handle not in state.doubles]
    if matches:
        first: list[ResourceEvent] = [ev.InstanceCreated(number, matches[0].handle, adopted=True)]
        return first + [ev.InstanceDoubled(number, each.handle) for each in matches[1:] if each.is_open]
    if now_ms >= instance.sent_ms + quiet_ms(terms):
        if instance.is_refused:
            return [_refused(state, instance, instance.error, now_ms)]
        return [ev.InstanceAskedAgain(number, "it was not found")]
    instance.next_ms = min(now_ms + 5_000, instance.sent_ms + quiet_ms(terms))
    return []


def checked(
    state: ResourceState, number: int, status: Standing, *, terms: Terms, now_ms: int, change: int
) -> list[ResourceEvent]:
    """How the service says that an instance stands; `change` is what it was when the call began."""
    instance = state.instances.get(number)
    if instance is None or not instance.handle:
        return []
    instance.facts = {**status.facts, "word": status.raw or status.word}
    _ask_later(instance, terms, now_ms)
    if status.word == "gone":
        return _gone(state, instance, status, terms=terms, now_ms=now_ms)
    if instance.phase == "destroying":
        if now_ms >= instance.ended_ms + AGAIN_MS:
            instance.ended_ms = 0
        return []
    if status.word == "failed":
        return _broken(state, instance, status, change=change)
    instance.error = ""
    if instance.phase == "created" and status.word in {"ready", "busy"}:
        return [ev.InstanceReady(number)]
    if instance.phase == "draining" and change == instance.change and not instance.reserved:
        if status.word == "busy" and instance.cause == "idle":
            return [ev.InstanceBack(number, status.reason or "others work on it")]
        instance.is_free = status.word != "busy"
    return []


def _gone(
    state: ResourceState, instance: Instance, status: Standing, *, terms: Terms, now_ms: int
) -> list[ResourceEvent]:
    if instance.phase == "created" and now_ms < instance.since_ms + terms.listing_lag_ms:
        return []  # not listed yet
    is_lost = instance.cause == LOST
    reason = instance.reason if is_lost else status.reason or "the service does not know it"
    if instance.looked_ms:  # it is kept in mind until its double has been looked for, and takes no place
        return lost(state, instance.number, reason)
    return [ev.InstanceGone(instance.number, reason, is_lost or instance.phase != "destroying")]


def _broken(
    state: ResourceState, instance: Instance, status: Standing, *, change: int
) -> list[ResourceEvent]:
    reason = status.reason or "the service says that it failed"
    if instance.phase == "draining":
        instance.is_free = change == instance.change and not instance.reserved
        return []
    trouble = ev.InstanceTroubled(instance.number, reason)
    return [trouble, ev.InstanceDraining(instance.number, "broken", state.fence + 1, reason)]


def _ask_later(instance: Instance, terms: Terms, now_ms: int) -> None:
    """The next look: soon while something is to happen, seldom while nothing is."""
    settings = terms.settings
    first, last = round(settings.poll_first_s * 1_000), round(settings.poll_max_s * 1_000)
    instance.tries = 0
    waited = now_ms - instance.since_ms
    soon = min(last, max(first, waited // 2))
    instance.next_ms = now_ms + (last if instance.phase == "active" else soon)
    if instance.looked_ms:
        instance.next_ms = min(instance.next_ms, max(now_ms, instance.looked_ms))


def destroyed(state: ResourceState, number: int, *, terms: Terms, now_ms: int) -> list[ResourceEvent]:
    """The service took the order to destroy an instance; it is looked at until it is gone."""
    instance = state.instances.get(number)
    if instance is not None and instance.phase == "destroying":
        instance.ended_ms = now_ms
        instance.next_ms = now_ms + round(terms.settings.poll_first_s * 1_000)
    return []


def lost(state: ResourceState, number: int, reason: str) -> list[ResourceEvent]:
    """Somebody was told that the instance is gone or going: who is on it leaves, and it is made sure of.

    One that is only going could go on with their work beside the attempts that replace it, so it is
    destroyed, which is safe for one that is gone, and looked at until it is.
    """
    instance = state.instances.get(number)
    if instance is None or not instance.handle or instance.phase == "destroying":
        return []
    return [ev.InstanceDestroying(number, LOST, state.fence + 1, reason)]


def failed(
    state: ResourceState, call: Call, failure: Failed, *, terms: Terms, now_ms: int
) -> list[ResourceEvent]:
    """A call failed: when it is made again, or what follows where it is not."""
    instance = state.instances.get(call.number)
    if instance is None or call.kind == "destroy_double":
        return []
    if call.kind == "create" and failure.kind == "refused":
        instance.is_refused = instance.was_resent and terms.can_find  # an earlier delivery may be there
        if not (instance.is_unsure or instance.is_refused):
            return [_refused(state, instance, failure.reason, now_ms)]
    instance.tries += 1
    pause = min(MOST_PAUSE_MS, 1_000 << min(instance.tries, 6))
    if failure.kind == "credentials":
        pause = MOST_PAUSE_MS
    instance.next_ms = now_ms + max(pause, failure.retry_after_ms)
    if call.kind == "destroy" and failure.kind == "refused":
        instance.ended_ms = now_ms  # it may be gone, of which a check tells; else the order is given again
    events: list[ResourceEvent] = []
    if call.kind == "create" and failure.kind in {"open", "refused"}:
        instance.is_unsure = True
        events = _unsure(instance, failure, terms)
    if failure.reason != instance.error:
        events.append(ev.InstanceTroubled(call.number, failure.reason))
    return events


def _refused(state: ResourceState, instance: Instance, reason: str, now_ms: int) -> ResourceEvent:
    tries = state.tries + 1
    return ev.InstanceRefused(instance.number, reason, tries, now_ms + creation_delay_ms(tries))


def _unsure(instance: Instance, failure: Failed, terms: Terms) -> list[ResourceEvent]:
    """What becomes of an order of which nobody knows whether it was done."""
    if terms.can_find or terms.tier == "token":
        return []
    if terms.settings.at_least_once:
        return [ev.InstanceAskedAgain(instance.number, failure.reason)]
    return [ev.InstanceUndecided(instance.number, failure.reason)]


def unknown_after_restart(state: ResourceState, terms: Terms) -> list[ResourceEvent]:
    """Recovery, once it is known what the manager can: orders that nobody can be asked about.

    Of one that was asked for more than once another may have come to light late: it is searched for again.
    """
    events: list[ResourceEvent] = []
    for instance in state.instances.values():
        if instance.was_resent and instance.handle and terms.can_find:
            instance.looked_ms = instance.sent_ms + quiet_ms(terms)
        if instance.phase == "asked" and instance.is_unsure:
            events += _unsure(instance, Failed("open", "the engine was restarted meanwhile"), terms)
    return events


# --- time ---------------------------------------------------------------------------------------------


def next_due_ms(state: ResourceState, terms: Terms) -> int | None:
    """When `settle` can find something new, calls apart; None while only an input can bring it."""
    if not terms.has_instances:
        return None
    settings = terms.settings
    dues = [state.retry_ms] if state.retry_ms else []
    for instance in state.instances.values():
        if instance.phase != "active":
            continue
        if not instance.reserved:
            after_ms = idle_after_ms(settings) if instance.is_idle_known else idle_noted_ms(settings)
            dues.append(instance.idle_ms + after_ms)
        if settings.max_age_s:
            dues.append(instance.ready_ms + round(settings.max_age_s * 1_000))
    return min(dues, default=None)
