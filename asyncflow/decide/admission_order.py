"""Who of those that wait is next: priority with aging, then round robin over executions, then age.

It must not know what is free; it only orders. A lane holds waiters whose needs are alike, so that
what refuses one refuses all of them: `decide/admission` asks only for the head of a lane, and never
looks at the rest.

Aging. A priority of a lane has the age of its oldest waiter, and rises by one class per aging step.
It is the class that ages, not each waiter: otherwise a waiter of another execution that came a
minute later would stand behind every one of ten thousand older siblings, and taking turns would mean
nothing where it is needed. The oldest of a class is still bounded: once its class has risen to the
top, only the turns of the other executions lie before it.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush, heapreplace

from asyncflow.decide.admission_plan import Plan
from asyncflow.model.resources import TOP_PRIORITY, Waiter

Rank = tuple[int, int, int, int]
"""Smaller comes first: the class it has risen to, negated; the turn of its execution; its age."""


class Entry:
    """A waiter in one lane; when it moves to another lane it becomes another entry.

    `score` is its rank where reservations meet: the time it became ready, less an aging step per
    class. Unlike the class it never changes, so that two of them can never keep each other out.
    """

    __slots__ = ("age", "alive", "lane", "plan", "priority", "score", "seq", "waiter", "watched")

    def __init__(self, waiter: Waiter, plan: Plan, *, score: int, seq: int) -> None:
        self.waiter = waiter
        self.plan = plan
        self.priority = priority_of(waiter)
        self.score = score
        self.seq = seq
        self.age = (waiter.since_ms, seq)  # smaller for one that waits longer
        self.alive = True
        self.watched = False
        self.lane: Lane | None = None

    def __lt__(self, other: Entry) -> bool:
        # Heaps ask it of two entries of one waiter, a dead and a living one; any answer will do.
        return self.seq < other.seq

    def again(self) -> Entry:
        """The same waiter at the same rank, for another lane."""
        return Entry(self.waiter, self.plan, score=self.score, seq=self.seq)


class Line:
    """Entries by age; those that are not alive any more are dropped when they come to the front."""

    __slots__ = ("late", "queue", "stamp")

    def __init__(self, stamp: int = 0) -> None:
        self.stamp = stamp
        self.queue: deque[Entry] = deque()
        self.late: list[tuple[int, int, Entry]] = []  # came after somebody younger; a heap

    def __len__(self) -> int:
        return len(self.queue) + len(self.late)

    def add(self, entry: Entry) -> None:
        """Put an entry at its place by age."""
        queue = self.queue
        if not queue or queue[-1].age <= entry.age:
            queue.append(entry)
        else:
            heappush(self.late, (*entry.age, entry))

    def head(self) -> Entry | None:
        """The oldest that is alive."""
        queue, late = self.queue, self.late
        while queue and not queue[0].alive:
            queue.popleft()
        if not late:
            return queue[0] if queue else None
        while late and not late[0][2].alive:
            heappop(late)
        if not late:
            return queue[0] if queue else None
        oldest = late[0][2]
        return queue[0] if queue and queue[0].age < oldest.age else oldest

    def living(self) -> list[Entry]:
        """Everyone alive, oldest first."""
        alive = [entry for entry in self.queue if entry.alive]
        if self.late:
            alive.extend(entry for _, _, entry in self.late if entry.alive)
            alive.sort(key=_age)
        return alive


class Band:
    """The waiters of one priority in a lane: their ages, and the executions that take turns."""

    __slots__ = ("ages", "flows", "live", "priority", "ring")

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.live = 0
        self.ages = Line()
        self.flows: dict[str, Line] = {}
        self.ring: list[tuple[int, str]] = []  # (turn, execution): a heap, corrected when looked at

    def add(self, entry: Entry, stamp: int) -> None:
        """Join the line of the execution; a new line stands at the end of the round."""
        self.live += 1
        self.ages.add(entry)
        execution = entry.waiter.execution_id
        flow = self.flows.get(execution)
        if flow is None:
            flow = self.flows[execution] = Line(stamp)
            heappush(self.ring, (stamp, execution))
        flow.add(entry)

    def left(self) -> None:
        """One fewer is alive; the dead are swept out before they outnumber the living."""
        self.live -= 1
        if len(self.ages.queue) > 2 * self.live + 64 or len(self.ages.late) > 2 * self.live + 64:
            self._sweep()

    def next(self, turns: dict[str, int]) -> tuple[int, Entry]:
        """The turn and the entry of the execution whose turn is next; the band is not empty."""
        ring, flows = self.ring, self.flows
        while True:
            stamp, execution = ring[0]
            flow = flows.get(execution)
            if flow is None or flow.stamp != stamp:
                heappop(ring)
                continue
            entry = flow.head()
            if entry is None:
                heappop(ring)
                del flows[execution]
                continue
            turn = turns.get(execution, 0)
            if turn <= stamp:
                return stamp, entry
            flow.stamp = turn
            heapreplace(ring, (turn, execution))

    def _sweep(self) -> None:
        self.ages = _swept(self.ages)
        swept = {execution: _swept(flow) for execution, flow in self.flows.items()}
        self.flows = {execution: flow for execution, flow in swept.items() if len(flow)}
        self.ring = sorted((flow.stamp, execution) for execution, flow in self.flows.items())

    def oldest(self) -> Entry:
        """The one that waits longest; the band is not empty."""
        entry = self.ages.head()
        assert entry is not None
        return entry


class Lane:
    """Everyone whose needs are alike and who waits at one place, by priority.

    `place` is where the lane is parked: the one resource or key that refused it.
    """

    __slots__ = ("bands", "place", "plan")

    def __init__(self, plan: Plan, place: object) -> None:
        self.plan = plan
        self.place = place
        self.bands: dict[int, Band] = {}

    def add(self, entry: Entry, stamp: int) -> None:
        """Take in a waiter; `stamp` is the end of the round of turns."""
        priority = entry.priority
        band = self.bands.get(priority)
        if band is None:
            band = self.bands[priority] = Band(priority)
        entry.lane = self
        band.add(entry, stamp)

    def remove(self, entry: Entry) -> None:
        """Let a waiter go, whoever it is."""
        entry.alive = False
        priority = entry.priority
        band = self.bands[priority]
        band.left()
        if not band.live:
            del self.bands[priority]

    def next(self, now_ms: int, *, step_ms: int, turns: dict[str, int]) -> tuple[Rank, Entry]:
        """The rank and the entry of who is next here, comparable with those of other lanes."""
        return min([_ranked(band, now_ms, step_ms, turns) for band in self.bands.values()], key=_rank)

    def only(self, turns: dict[str, int]) -> Entry | None:
        """Who is next here, if all are of one priority, so that ranks need not be compared."""
        if len(self.bands) > 1:
            return None
        for band in self.bands.values():
            return band.next(turns)[1]
        return None

    def best(self) -> int:
        """The best score of anyone here: the rank at which the lane as a whole is judged."""
        if len(self.bands) == 1:
            for band in self.bands.values():
                return band.oldest().score
        return min([band.oldest().score for band in self.bands.values()])

    def reserves(self, since_ms: int) -> int | None:
        """The best score among those that have waited since that time or longer, or None."""
        found: int | None = None
        for band in self.bands.values():
            oldest = band.oldest()
            if oldest.waiter.since_ms <= since_ms and (found is None or oldest.score < found):
                found = oldest.score
        return found


def band_class(band: Band, now_ms: int, step_ms: int) -> int:
    """The class a priority has risen to by the age of its oldest waiter."""
    waited = now_ms - band.oldest().waiter.since_ms
    return min(TOP_PRIORITY, band.priority + max(waited, 0) // step_ms)


def priority_of(waiter: Waiter) -> int:
    """The priority class of a waiter, within 0 to 99."""
    return min(max(waiter.priority, 0), TOP_PRIORITY)


def _ranked(band: Band, now_ms: int, step_ms: int, turns: dict[str, int]) -> tuple[Rank, Entry]:
    stamp, entry = band.next(turns)
    return (-band_class(band, now_ms, step_ms), stamp, *entry.age), entry


def _rank(ranked: tuple[Rank, Entry]) -> Rank:
    return ranked[0]


def _age(entry: Entry) -> tuple[int, int]:
    return entry.age


def _swept(line: Line) -> Line:
    other = Line(line.stamp)
    other.queue.extend(line.living())
    return other
