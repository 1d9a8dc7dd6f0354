"""When instances of a resource are made, closed, opened again and destroyed: the life cycle, pure.

The rules, which the property tests hold:

- An instance is reserved by the open attempts and jobs on it, and only an active one can be reserved. Who
  decides here and who reserves are one loop, so between looking and deciding nobody can come.
- Nothing is destroyed but out of `draining`, with nobody on it, and after the service itself was asked in
  that state. Work of others found there opens an idle one again, and holds up the end of any other.
- The exception is one that the service said is gone or going: who is on it is told, and it is destroyed.
- Of what was asked for twice a double is looked for until none can come any more, also when it is gone.
- `destroying` has no way back: whoever comes then waits for another instance.
- Instances are created one per intent, and a further one only when all that there are, or will be, are full.

It must not call anybody. Which calls that makes, and what their answers mean, is in `lifecycle_calls`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal, NamedTuple

from asyncflow.errors import Conflict, InvalidInput, NotFound
from asyncflow.ids import attempt_token
from asyncflow.model import resource_events as ev
from asyncflow.model.resource_events import ResourceEvent
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resource_state import Instance, ResourceState

_LASTING = frozenset({"age", "code", "broken"})
_COUNTED = frozenset({"asked", "undecided", "created", "active", "draining"})
_STANDING = _COUNTED - {"draining"}
_MOST_UNNOTED_MS = 30_000


class Terms(NamedTuple):
    """What holds for a resource besides its state: its settings, and what its manager says of itself.

    `is_open`: a manager is there and can be called.
    """

    settings: ResourceSettings
    installation: str = ""
    has_instances: bool = True
    is_open: bool = True
    tier: Literal["token", "tag", "none"] = "tag"
    can_find: bool = True
    token_life_ms: float = float("inf")
    listing_lag_ms: float = 0.0
    submit_timeout_ms: float = 30_000.0


def settle(state: ResourceState, terms: Terms, now_ms: int) -> list[ResourceEvent]:
    """What follows from the state and the time alone; ask again once it is made true, until nothing does."""
    if not terms.has_instances:
        return []
    least, most = bounds(state, terms)
    events: list[ResourceEvent] = []
    events += _drained(state, terms, now_ms, least=least, most=most)
    if not events:
        events += idle(state, now_ms - idle_noted_ms(terms.settings))
    if not events:
        events += _opened_or_ended(state, most=most, least=least)
    if not events:
        events += _created(state, terms, now_ms, least=least, most=most)
    return events


def idle_after_ms(settings: ResourceSettings) -> int:
    """After so long without anybody on it an instance is given back."""
    return round(settings.idle_after_s * 1_000)


def idle_noted_ms(settings: ResourceSettings) -> int:
    """After so long without anybody on it that is recorded, so that it counts in the next process too."""
    return min(_MOST_UNNOTED_MS, idle_after_ms(settings) // 4)


def idle(state: ResourceState, until_ms: int) -> list[ResourceEvent]:
    """What is to be recorded of instances that nobody is on since this moment, or since before it."""
    return [
        ev.InstanceIdle(each.number, each.idle_ms)
        for each in state.instances.values()
        if each.phase == "active" and not (each.reserved or each.is_idle_known) and each.idle_ms <= until_ms
    ]


def used(instance: Instance) -> list[ResourceEvent]:
    """What is to be recorded as somebody comes to an instance; nothing unless it is recorded as idle."""
    return [ev.InstanceUsed(instance.number)] if instance.is_idle_known else []


def bounds(state: ResourceState, terms: Terms) -> tuple[int, int]:
    """How many instances there are to be at least, and may be at most."""
    return (0, 0) if is_closed(state) else sizes(state, terms.settings)


def sizes(state: ResourceState, settings: ResourceSettings) -> tuple[int, int]:
    """How many there are to be at least, and at most, while it is open: as resized, else as configured."""
    least = settings.min_instances if state.least is None else state.least
    return least, settings.max_instances if state.most is None else state.most


def may_grow(state: ResourceState, settings: ResourceSettings) -> bool:
    """Whether one more who waits can have anything done: not where as many wait for all there may be."""
    standing = sum(each.phase in _STANDING for each in state.instances.values())
    return not state.waiting or standing < sizes(state, settings)[1]


def is_closed(state: ResourceState) -> bool:
    """Whether somebody closed it, it is not configured any more, or nobody knows what it has."""
    return bool(state.drained or state.damage) or state.is_removed


def has_room(instance: Instance, settings: ResourceSettings) -> bool:
    """Whether one more may go on an instance."""
    is_below = not settings.per_instance or instance.reserved < settings.per_instance
    return instance.phase == "active" and is_below


def chosen(state: ResourceState, settings: ResourceSettings) -> Instance | None:
    """The active instance that the next one goes on: the least loaded, then the oldest."""
    active = [each for each in state.instances.values() if each.phase == "active"]
    with_room = [each for each in active if has_room(each, settings)]
    return min(with_room or active, key=lambda each: (each.reserved, each.number), default=None)


def places(state: ResourceState, settings: ResourceSettings) -> int:
    """How many may hold the resource now, those on instances that are going included; 0 for any number."""
    if not settings.per_instance:
        return 0
    instances = state.instances.values()
    active = sum(settings.per_instance for each in instances if each.phase == "active")
    return active + sum(each.reserved for each in instances if each.phase != "active")


# --- closing ------------------------------------------------------------------------------------------


def _drained(
    state: ResourceState, terms: Terms, now_ms: int, *, least: int, most: int
) -> Iterator[ResourceEvent]:
    settings = terms.settings
    counted = [each for each in state.instances.values() if each.phase in _COUNTED]
    kept = [each for each in counted if each.phase != "draining"]
    surplus = len(kept) - most
    fence = state.fence
    for instance in sorted(kept, key=lambda each: (each.reserved, -each.number)):
        cause = _cause(state, instance, settings, now_ms)
        if not cause and surplus > 0 and instance.phase in {"created", "active"}:
            cause = "resized"
        if cause == "idle" and (len(kept) <= least or state.waiting):
            cause = ""
        if cause:
            fence += 1
            surplus -= 1
            kept = [each for each in kept if each is not instance]
            yield ev.InstanceDraining(instance.number, cause, fence, _said(state, instance, cause))


def _cause(state: ResourceState, instance: Instance, settings: ResourceSettings, now_ms: int) -> str:
    """Why an instance is to take nothing new any more; "" where it goes on."""
    if instance.phase not in {"created", "active"}:
        return ""
    if state.is_removed or state.drained:
        return "removed" if state.is_removed else "drained"
    if instance.phase == "created":
        return ""
    age_ms = round(settings.max_age_s * 1_000)
    if age_ms and now_ms >= instance.ready_ms + age_ms:
        return "age"
    is_idle = not instance.reserved and now_ms >= instance.idle_ms + idle_after_ms(settings)
    return "idle" if is_idle else ""


def _said(state: ResourceState, instance: Instance, cause: str) -> str:
    by = f" by {state.drained_by}" if state.drained_by else ""
    return {
        "idle": "nobody used it",
        "drained": f"{state.drained}{by}",
        "age": "it is as old as an instance may be",
        "resized": "there are more than there may be",
        "removed": "the resource is not configured any more",
    }.get(cause, instance.error)


# --- opening again, or ending -------------------------------------------------------------------------


def _opened_or_ended(state: ResourceState, *, least: int, most: int) -> Iterator[ResourceEvent]:
    counted = [each for each in state.instances.values() if each.phase in _COUNTED]
    live = sum(each.phase != "draining" for each in counted)
    fence = state.fence
    for instance in counted:
        if instance.phase != "draining":
            continue
        if _is_wanted_again(state, instance, live=live, least=least, most=most):
            live += 1
            yield ev.InstanceBack(instance.number, state.demand or "it may go on")
        elif instance.is_free and not instance.reserved:
            fence += 1
            yield ev.InstanceDestroying(instance.number, instance.cause, fence, instance.reason)


def _is_wanted_again(state: ResourceState, instance: Instance, *, live: int, least: int, most: int) -> bool:
    if instance.cause in _LASTING or not instance.ready_ms or is_closed(state) or live >= most:
        return False
    return instance.cause != "idle" or bool(state.waiting) or live < least


# --- creating -----------------------------------------------------------------------------------------


def _created(
    state: ResourceState, terms: Terms, now_ms: int, *, least: int, most: int
) -> Iterator[ResourceEvent]:
    if not terms.is_open or now_ms < state.retry_ms or is_closed(state):
        return
    counted = [each for each in state.instances.values() if each.phase in _COUNTED]
    missing = max(least - _live(counted), _missing(state, counted, terms.settings))
    for more in range(max(0, min(missing, most - len(counted)))):
        number = state.next_number + more
        token = token_of(state, number, terms.installation)
        cause = state.demand if state.waiting else "min_instances"
        yield ev.InstanceAsked(number, token, cause)


def _live(counted: list[Instance]) -> int:
    return sum(each.phase in {"asked", "created", "active"} for each in counted)


def _missing(state: ResourceState, counted: list[Instance], settings: ResourceSettings) -> int:
    """Instances that those who wait need beyond those that are on their way."""
    if not state.waiting or any(has_room(each, settings) for each in counted):
        return 0
    coming = sum(each.phase in {"asked", "created"} for each in counted)
    each_takes = settings.per_instance
    if not each_takes:
        return 1 - coming
    needed = -(-state.waiting // each_takes) - coming
    most_held = settings.limit.max_concurrent
    if most_held:
        needed = min(needed, -(-most_held // each_takes) - _live(counted))
    return needed


# --- what people say ----------------------------------------------------------------------------------


def resize(least: int, most: int, *, by: str, reason: str) -> list[ResourceEvent]:
    """Have so many instances from now on.

    Raises:
        InvalidInput: that cannot be.
    """
    if least < 0 or most < max(1, least):
        raise InvalidInput("0 <= min <= max and 1 <= max expected", field="instances")
    return [ev.ResourceResized(least, most, by, reason)]


def drain_instance(state: ResourceState, number: int, *, cause: str, reason: str) -> list[ResourceEvent]:
    """Have one instance take nothing new and be replaced; nothing where it is on its way out.

    Raises:
        NotFound: there is no such instance.
    """
    instance = state.instances.get(number)
    if instance is None:
        raise NotFound("instance", f"{state.name}/{number}")
    if instance.phase not in {"created", "active"}:
        return []
    return [ev.InstanceDraining(number, cause, state.fence + 1, reason)]


def release(
    state: ResourceState,
    next_number: int,
    handles: Mapping[int, str],
    *,
    installation: str,
    by: str,
    reason: str,
) -> list[ResourceEvent]:
    """Go on with a resource whose history cannot be read: count from there, with these instances.

    Raises:
        Conflict: its history can be read.
        InvalidInput: a number that is known, or one of the instances, is not below the next one.
    """
    if not state.damage:
        raise Conflict(f"resource {state.name} needs no release: its history can be read")
    least = max(state.next_number, *(number + 1 for number in handles), 1)
    if next_number < least:
        raise InvalidInput(f"at least {least} expected, got {next_number}", field="nextNumber")
    if any(number < 1 or not handle.strip() for number, handle in handles.items()):
        raise InvalidInput("numbers from 1 on, each with its handle, expected", field="instances")
    events: list[ResourceEvent] = [ev.ResourceReleased(next_number, by, reason)]
    for number, handle in sorted(handles.items()):
        events.append(ev.InstanceAsked(number, token_of(state, number, installation), "release"))
        events.append(ev.InstanceCreated(number, handle, adopted=True, by=by, reason=reason))
    return events


def token_of(state: ResourceState, number: int, installation: str) -> str:
    """The token under which an instance is asked for."""
    return attempt_token(installation, f"resource:{state.name}", "", attempt=number, epoch=0)


def decide_instance(
    state: ResourceState, number: int, decision: str, *, handle: str, by: str, reason: str = ""
) -> list[ResourceEvent]:
    """Say whether an instance is there that nobody knows of: `adopt` a handle, or `absent`.

    Raises:
        NotFound: there is no such instance.
        Conflict: it is known how it stands.
        InvalidInput: there is no such decision, or its handle is missing.
    """
    instance = state.instances.get(number)
    if instance is None:
        raise NotFound("instance", f"{state.name}/{number}")
    if instance.phase != "undecided":
        raise Conflict(f"instance {state.name}/{number} is {instance.phase}")
    if decision == "absent":
        why = f": {reason}" if reason else ""
        return [ev.InstanceGone(number, f"it was never there, says {by or 'somebody'}{why}")]
    if decision != "adopt" or not handle:
        raise InvalidInput("absent, or adopt with a handle, expected", field="decision")
    return [ev.InstanceCreated(number, handle, adopted=True, by=by, reason=reason)]
