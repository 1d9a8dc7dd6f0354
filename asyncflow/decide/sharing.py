"""How tasks that wait are shared among those who poll for them: the one with the fewest is next.

It must not know queues or limits; it counts what may be given now to those whose polls are held, and
what is owed to others who poll but are between two polls. Who asks it is `runtime/hand_out`.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heapify, heappop, heapreplace
from typing import NamedTuple

_JUST_SERVED = 1 << 62


class Hand(NamedTuple):
    """One poller of a queue.

    Attributes:
        load: tasks of the queue that it has.
        served_ms: when it last got one, 0 if that is long ago; of two with equal loads the one that was
            served earlier is next.
        free: how many more it can take.
        is_held: whether its poll is held now, so that it can be given something.
    """

    load: int
    served_ms: int
    free: int
    is_held: bool


def share_now(hands: Iterable[Hand], ready: int) -> int:
    """How many of the tasks that are ready, and then of those that come, go to pollers that are held.

    Tasks are dealt one by one, as if all were there to take them. Where all that are ready go to those who
    are held, it goes on with those that come, until one would be owed to somebody who is not there.

    Cost: linear in the pollers where nobody who is not there can take anything, or there is enough for
    all; else in what is dealt.
    """
    able = [hand for hand in hands if hand.free > 0]
    held = sum(hand.free for hand in able if hand.is_held)
    away = sum(hand.free for hand in able if not hand.is_held)
    if not away or not held or ready >= held + away:
        return held
    # Who is held comes first of equals: it need not be waited for.
    heap = [(hand.load, hand.served_ms, not hand.is_held, place) for place, hand in enumerate(able)]
    heapify(heap)
    left = [hand.free for hand in able]
    given = dealt = 0
    while heap:
        load, _, is_away, place = heap[0]
        if dealt >= ready and (is_away or given < dealt):
            break
        dealt += 1
        given += not is_away
        left[place] -= 1
        if left[place]:
            heapreplace(heap, (load + 1, _JUST_SERVED, is_away, place))
        else:
            heappop(heap)
    return given
