"""Orders and ancestor sets of small directed graphs given as predecessors by position.

Nothing here knows what a node stands for. The importers use it to order tasks and to name
cycles, the exporter (`conductor_dag`) to compare what must precede what.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Sequence


def order_or_cycle(predecessors: Sequence[Collection[int]]) -> tuple[list[int], list[int]]:
    """A topological order that keeps the given order where it can, or else one cycle.

    Returns:
        The order and an empty list; or an empty list and the nodes of a cycle, each preceding
        the next and the last one preceding the first; the first in the given order begins it.
    """
    waits = [len(set(before)) for before in predecessors]
    followers = successors(predecessors)
    ready = [node for node, count in enumerate(waits) if not count]
    order: list[int] = []
    while ready:
        node = heapq.heappop(ready)
        order.append(node)
        for follower in followers[node]:
            waits[follower] -= 1
            if not waits[follower]:
                heapq.heappush(ready, follower)
    if len(order) == len(predecessors):
        return order, []
    return [], _cycle_among({node for node, count in enumerate(waits) if count}, predecessors)


def successors(predecessors: Sequence[Collection[int]]) -> list[list[int]]:
    """The same graph seen from the other end; each list ascending and free of repeats."""
    followers: list[list[int]] = [[] for _ in predecessors]
    for node, before in enumerate(predecessors):
        for other in set(before):
            followers[other].append(node)
    return followers


def _cycle_among(stuck: set[int], predecessors: Sequence[Collection[int]]) -> list[int]:
    # Every stuck node has a stuck predecessor, so walking back must come round again.
    seen: dict[int, int] = {}
    trail: list[int] = []
    node = min(stuck)
    while node not in seen:
        seen[node] = len(trail)
        trail.append(node)
        node = min(other for other in predecessors[node] if other in stuck)
    cycle = trail[seen[node] :][::-1]
    first = cycle.index(min(cycle))
    return cycle[first:] + cycle[:first]


def ancestor_sets(predecessors: Sequence[Collection[int]], order: Sequence[int]) -> list[int]:
    """For each node the bit set of all nodes that must precede it.

    Cost: n² bits; 10,000 nodes take 12 MB and about a second at most.
    """
    sets = [0] * len(predecessors)
    for node in order:
        for before in predecessors[node]:
            sets[node] |= sets[before] | 1 << before
    return sets


def direct_only(predecessors: Sequence[Collection[int]], ancestors: Sequence[int]) -> list[list[int]]:
    """The graph without the edges that follow from others, each list ascending."""
    reduced: list[list[int]] = []
    for before in predecessors:
        implied = 0
        for other in before:
            implied |= ancestors[other]
        reduced.append([other for other in sorted(set(before)) if not implied >> other & 1])
    return reduced
