"""Why a task waits for a worker elsewhere, and what is known of the worker that has one.

It changes nothing. The keys of what it returns are part of REST and of `asyncflow why`.
"""

from __future__ import annotations

from asyncflow.model.state import TaskState
from asyncflow.runtime.hand_out import HandOut
from asyncflow.runtime.hand_out_rules import task_name
from asyncflow.runtime.queues import PRESENT_MS, Queue
from asyncflow.runtime.worker_roll import Key, Roll

# What is said of workers, the first that holds:
#   never_seen     nobody ever polled for tasks of this name in this domain
#   not_eligible   workers poll, but none that the rule of the task allows
#   last_seen      nobody polls any more; `lastSeenMs` says since when
#   limit          a limit of workers or of the task is reached; `reason` and `holders` say which
#   busy           workers were there lately, and have all they asked for
#   polling        somebody polls now, and others come first


def why_offered(hand_out: HandOut, key: Key, task: TaskState, *, elapsed_ms: int) -> dict[str, object]:
    """What a task that is offered waits for; empty if it is not offered, or is held back until it is due."""
    demand, roll = hand_out.demand, hand_out.roll
    queue = demand.queues.get((task_name(task), task.domain or ""))
    if queue is None or key not in queue.offers:
        return {}
    found = hand_out.why_admission(key)
    resource = queue.offers[key]
    place = demand.places.get(resource, queue.general)
    polled = roll.polled.get(queue.key, {})
    eligible = {worker for worker in polled if place.rule.accepts(worker, roll.known(worker).version)}
    seen_ms = max((polled[worker][1] for worker in polled), default=None)
    others = sorted({domain for name, domain in roll.polled if name == queue.key[0]} - {queue.key[1]})
    found["workers"] = _workers(hand_out, queue, eligible, found=found, elapsed_ms=elapsed_ms)
    found |= {"lastSeenMs": seen_ms, "workersSeen": len(polled), "otherDomains": others}
    rule = {name: value for name, value in place.rule._asdict().items() if value}
    return {**found, "rule": rule} if rule else found


def _workers(
    hand_out: HandOut, queue: Queue, eligible: set[str], *, found: dict[str, object], elapsed_ms: int
) -> str:
    polled = hand_out.roll.polled.get(queue.key, {})
    if not polled:
        return "never_seen"
    if not eligible:
        return "not_eligible"
    seats = [seat for seat in queue.seats.values() if seat.worker in eligible]
    if not any(seat.load or elapsed_ms - seat.seen_ms <= PRESENT_MS or seat.polls for seat in seats):
        return "last_seen"
    if found.get("reason") not in {None, "no_demand"}:
        return "limit"
    if all(hand_out.demand.room(queue, seat) <= 0 for seat in seats):
        return "limit"
    return "polling" if any(seat.polls for seat in seats) else "busy"


def why_leased(roll: Roll, key: Key) -> dict[str, object]:
    """What is known of the worker that has a task; empty if none has it."""
    leased = roll.leases.get(key)
    if leased is None:
        return {}
    worker = roll.known(leased.worker)
    return {"lastSeenMs": worker.last_wall_ms or None, "lost": worker.is_lost, "version": worker.version}
