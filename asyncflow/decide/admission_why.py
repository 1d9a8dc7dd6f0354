"""What a waiter is told: what refused it, who holds that, how many come first, and until when.

It must not change anything, nor look at more than a bounded number of waiters, since anyone may ask
at any time. The keys of what it returns are part of REST and of `asyncflow why`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain, islice

from asyncflow.decide.admission_order import Entry, Lane, Line
from asyncflow.decide.admission_places import KeyLock, Place, Resource
from asyncflow.decide.admission_plan import Plan
from asyncflow.model.resources import AttemptKey

HOLDERS_SHOWN = 20
_LOOKED_AT = 10_000


def holding(plan: Plan, fence: int) -> dict[str, object]:
    """What an attempt holds."""
    return {"state": "holding", "resources": dict(plan.weights), "fence": fence}


def describe(
    entry: Entry, refused_by: Place | None, *, now_ms: int, resources: Mapping[str, Resource]
) -> dict[str, object]:
    """Why an entry still waits; `refused_by` is what would refuse it now."""
    lane = entry.lane
    assert lane is not None
    place = refused_by if refused_by is not None else lane.place
    assert isinstance(place, Place)
    resource = _resource_of(place)
    weight = dict(entry.plan.weights).get(resource.name, 0)
    ahead, is_exact = _ahead(entry)
    return {
        "state": "waiting",
        "reason": _reason(place, weight, now_ms),
        "resource": resource.name,
        "key": place.key if isinstance(place, KeyLock) else None,
        "weight": weight,
        "limit": resource.max_concurrent or None,
        "free": max(resource.max_concurrent - resource.in_use, 0) if resource.max_concurrent else None,
        "holders": _holders(place),
        "holder_count": _holder_count(place),
        "position": ahead + 1,
        "position_is_exact": is_exact,
        "priority": entry.waiter.priority,
        "waiting_ms": max(now_ms - entry.waiter.since_ms, 0),
        "rate_refill_ms": _refill(resource, now_ms),
        "reserved_by": _reserved_by(place, entry, now_ms),
        "reserves_at_ms": entry.waiter.since_ms + resource.reserve_after_ms,
        "needs": dict(entry.plan.weights),
        "impossible": [
            name for name, wanted in entry.plan.weights if 0 < resources[name].max_concurrent < wanted
        ],
    }


def usage_of(resource: Resource, now_ms: int) -> dict[str, object]:
    """How much of a resource is in use, and how many wait for it."""
    limit, window = resource.limit, resource.window
    waiting = sum(band.live for lane in _lanes(resource) for band in lane.bands.values())
    if window is not None:
        window.is_full(now_ms)
    return {
        "in_use": resource.in_use,
        "holders": len(resource.holders),
        "waiting": waiting,
        "is_open": not resource.is_closed,
        "limit": resource.max_concurrent or None,
        "rate": limit.rate if limit and limit.rate else None,
        "rate_window_ms": limit.rate_window_ms if limit and limit.rate else None,
        "started_in_window": window.count if window else None,
        "rate_refill_ms": _refill(resource, now_ms),
        "keys_held": sum(lock.is_held for lock in resource.locks.values()),
        "fence": resource.fence,
    }


def people_of(resource: Resource, now_ms: int) -> dict[str, object]:
    """The first of those who hold something of a resource, and of those who wait at it, best ranked first."""
    found = [
        each
        for lane in _lanes(resource)
        for band in lane.bands.values()
        for each in islice(band.ages.queue, _LOOKED_AT)
        if each.alive
    ]
    first = sorted(found, key=lambda each: (-each.priority, each.age))[:HOLDERS_SHOWN]
    waiting = [
        {
            **_named(each.waiter.key),
            "priority": each.priority,
            "waiting_ms": max(now_ms - each.waiter.since_ms, 0),
            "weight": dict(each.plan.weights).get(resource.name, 0),
        }
        for each in first
    ]
    locks = [
        {"key": lock.key, "held_by": _holders(lock)}
        for lock in islice((lock for lock in resource.locks.values() if lock.is_held), HOLDERS_SHOWN)
    ]
    return {"held_by": _holders(resource), "waited_by": waiting, "keys": locks}


def _resource_of(place: Place) -> Resource:
    if isinstance(place, KeyLock):
        return place.resource
    assert isinstance(place, Resource)
    return place


def _reason(place: Place, weight: int, now_ms: int) -> str:
    if isinstance(place, KeyLock):
        return "key_held" if place.is_held else "reserved"
    assert isinstance(place, Resource)
    if place.demand is not None:
        return "no_demand"
    if place.is_closed:
        return "closed"
    if 0 < place.max_concurrent < weight:
        return "weight_above_limit"
    if len(place.holders) >= place.most_holders:
        return "no_place"
    if place.max_concurrent and place.in_use + weight > place.max_concurrent:
        return "limit_reached"
    if place.window is not None and place.window.is_full(now_ms):
        return "rate_reached"
    return "reserved"


def _holders(place: Place) -> list[dict[str, object]]:
    """The first of those who hold what refuses, with their weights, or modes at a key."""
    shown: list[dict[str, object]] = []
    if isinstance(place, KeyLock):
        if place.exclusive is not None:
            shown.append({**_named(place.exclusive), "mode": "exclusive"})
        shown.extend({**_named(key), "mode": "shared"} for key in islice(place.shared, HOLDERS_SHOWN))
    elif isinstance(place, Resource):
        items = islice(place.holders.items(), HOLDERS_SHOWN)
        shown.extend({**_named(key), "weight": weight} for key, weight in items)
    return shown[:HOLDERS_SHOWN]


def _holder_count(place: Place) -> int:
    if isinstance(place, KeyLock):
        return len(place.shared) + (place.exclusive is not None)
    assert isinstance(place, Resource)
    return len(place.holders)


def _named(key: AttemptKey) -> dict[str, object]:
    return {"execution_id": key[0], "number": key[1]}


def _refill(resource: Resource, now_ms: int) -> int | None:
    window = resource.window
    return window.refill_ms(now_ms) if window is not None and window.is_full(now_ms) else None


def _reserved_by(place: Place, entry: Entry, now_ms: int) -> dict[str, object] | None:
    """The best ranked of those who keep this one out by having waited so long, here or elsewhere."""
    since_ms = now_ms - _resource_of(place).reserve_after_ms
    oldest = [band.oldest() for lane in place.lanes.values() for band in lane.bands.values()]
    reserving = [each for each in oldest if each.waiter.since_ms <= since_ms]
    claim = place.first_claim()
    if claim is not None:
        reserving.append(claim)
    first = min(reserving, key=_score, default=entry)
    return _named(first.waiter.key) if first.score < entry.score else None


def _score(entry: Entry) -> int:
    return entry.score


def _ahead(entry: Entry) -> tuple[int, bool]:
    """How many of its lane come first if nobody else arrives, and whether everyone was counted.

    Cost: bounded by ten thousand waiters and executions looked at.
    """
    lane, mine = entry.lane, entry.priority
    assert lane is not None
    band = lane.bands[mine]
    above = sum(other.live for other in lane.bands.values() if other.priority > mine)
    flow = band.flows[entry.waiter.execution_id]
    older = sum(1 for each in islice(flow.queue, _LOOKED_AT) if each.alive and each.age < entry.age)
    older += sum(1 for _, _, each in islice(flow.late, _LOOKED_AT) if each.alive and each.age < entry.age)
    for execution, other in islice(band.flows.items(), _LOOKED_AT):
        if execution != entry.waiter.execution_id:
            above += _living(other, older + 1 if other.stamp < flow.stamp else older)
    is_exact = len(flow) <= _LOOKED_AT and len(band.flows) <= _LOOKED_AT
    assert isinstance(lane.place, Place)
    return above + older, is_exact and len(lane.bands) == len(lane.place.lanes) == 1


def _living(line: Line, most: int) -> int:
    """How many of a line still wait, counted up to `most`; the dead are dropped from it only now and then."""
    late = (each for _, _, each in line.late)
    return sum(1 for _ in islice((each for each in chain(line.queue, late) if each.alive), most))


def _lanes(resource: Resource) -> list[Lane]:
    at_keys = [lane for lock in resource.locks.values() for lane in lock.lanes.values()]
    return [*resource.lanes.values(), *at_keys]
