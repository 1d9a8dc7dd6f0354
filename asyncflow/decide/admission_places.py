"""The places where a waiter can be refused: a resource with its limits, and one key of it.

They count what is held and keep the lanes parked at them. They must not choose: whom to admit is
`decide/admission`, in which order is `decide/admission_order`.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from asyncflow.decide.admission_order import Entry, Lane
from asyncflow.decide.admission_plan import Shape
from asyncflow.decide.rate_window import RateWindow
from asyncflow.model.resources import RESERVE_AFTER_MS, AttemptKey, ResourceLimit

ANY = 1 << 62
_TURNS_KEPT = 64
Claim = tuple[int, int, Entry]


class Place:
    """Lanes parked here, whose turn is when, and who elsewhere has reserved it."""

    __slots__ = ("_sweep_at", "claims", "lanes", "turns")

    def __init__(self) -> None:
        self.lanes: dict[Shape, Lane] = {}
        self.turns: dict[str, int] = {}  # execution -> the end of the round when it was last served
        self._sweep_at = _TURNS_KEPT
        self.claims: list[Claim] = []  # by score, a heap; the dead are dropped when they come to the top

    def claim(self, entry: Entry) -> None:
        """Reserve this place for one who waits elsewhere."""
        heappush(self.claims, (entry.score, entry.seq, entry))

    def first_claim(self) -> Entry | None:
        """The best ranked of those who wait elsewhere and have reserved this place."""
        claims = self.claims
        while claims and not claims[0][2].alive:
            heappop(claims)
        return claims[0][2] if claims else None

    def served(self, execution_id: str, turn: int) -> None:
        """Move the execution to the end of the round; those that wait no more are forgotten now and then."""
        turns = self.turns
        turns[execution_id] = turn
        if len(turns) > self._sweep_at:
            bands = [band for lane in self.lanes.values() for band in lane.bands.values()]
            waiting = dict.fromkeys(each for band in bands for each in band.flows)
            self.turns = {each: turns[each] for each in waiting if each in turns}
            self._sweep_at = _TURNS_KEPT + 2 * len(self.turns)


class KeyLock(Place):
    """One key of a resource: who holds it, exclusively or shared."""

    __slots__ = ("exclusive", "key", "resource", "shared")

    def __init__(self, resource: Resource, key: str) -> None:
        super().__init__()
        self.resource = resource
        self.key = key
        self.exclusive: AttemptKey | None = None
        self.shared: dict[AttemptKey, None] = {}

    @property
    def is_held(self) -> bool:
        """Whether anyone holds it."""
        return self.exclusive is not None or bool(self.shared)

    def refuses(self, *, exclusive: bool) -> bool:
        """Whether the holders exclude one more of this mode."""
        return self.exclusive is not None or (exclusive and bool(self.shared))

    def take(self, key: AttemptKey, *, exclusive: bool) -> None:
        """Hold it, too; recovery may hold what the rules would refuse."""
        if exclusive:
            self.exclusive = key
        else:
            self.shared[key] = None

    def give(self, key: AttemptKey) -> None:
        """Hold it no longer."""
        if self.exclusive == key:
            self.exclusive = None
        self.shared.pop(key, None)


class Resource(Place):
    """One named resource: its limit, who holds how much of it, its keys and its window."""

    __slots__ = (
        "companions",
        "demand",
        "early",
        "fence",
        "holders",
        "in_use",
        "limit",
        "locks",
        "max_concurrent",
        "most_holders",
        "name",
        "refill_ms",
        "window",
    )

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.limit: ResourceLimit | None = None
        self.max_concurrent = 0
        self.most_holders = ANY  # 0 while it is closed
        self.in_use = 0
        self.demand: int | None = None  # how many are wanted here now; None where nobody has to be
        self.companions: dict[str, None] = {}  # what those who wait for demand here need besides
        self.holders: dict[AttemptKey, int] = {}
        self.locks: dict[str, KeyLock] = {}
        self.window: RateWindow | None = None
        self.fence = 0
        self.early: tuple[int, ...] = ()  # starts restored before the rate was known
        self.refill_ms: int | None = None  # when `advance` is asked to look again

    def set_limit(self, limit: ResourceLimit | None, now_ms: int) -> None:
        """Hold from now on to this limit; starts still in the window count under the new rate, too."""
        self.limit = limit
        self.refill_ms = None  # of the old window; the visit that follows asks the new one
        self.max_concurrent = limit.max_concurrent if limit else 0
        self.most_holders = _most_holders(limit)
        if limit is None or not limit.rate:
            self.window = None
        elif self.window is None:
            self.window = RateWindow(limit.rate, limit.rate_window_ms)
            self.window.restore(self.early)
            self.early = ()
        else:
            self.window = self.window.resized(limit.rate, limit.rate_window_ms, now_ms)

    def ask_for_demand(self, needed: Iterable[tuple[str, int]]) -> None:
        """Let nobody in from here on who is not wanted; nobody is, so far. `needed` is all they need."""
        if self.demand is None:
            self.demand = 0
        for name, _ in needed:
            if name != self.name:
                self.companions[name] = None

    @property
    def reserve_after_ms(self) -> int:
        """How long one waits here before those ranked below are kept out."""
        return self.limit.reserve_after_ms if self.limit else RESERVE_AFTER_MS

    def refuses(self, weight: int, now_ms: int) -> bool:
        """Whether its limits refuse one more start of this weight."""
        if self.demand is not None:
            return self.demand < weight
        limit = self.max_concurrent
        if len(self.holders) >= self.most_holders or (limit and self.in_use + weight > limit):
            return True
        return self.window is not None and self.window.is_full(now_ms)

    def restore_history(self, starts_ms: Iterable[int], fence: int) -> None:
        """Recovery: no fence below this one, and starts of before the restart."""
        self.fence = max(self.fence, fence)
        self.restore_starts(starts_ms)

    def restore_starts(self, starts_ms: Iterable[int]) -> None:
        """Recovery: count starts of before the restart, whether or not the rate is known yet."""
        if self.window is None:
            self.early += tuple(starts_ms)
        else:
            self.window.restore([*self.window.history(), *starts_ms])

    @property
    def is_closed(self) -> bool:
        """Whether nobody begins here until another limit is set."""
        return not self.most_holders

    @property
    def is_idle(self) -> bool:
        """Whether nothing would be lost if it were forgotten."""
        return not self.is_used and self.limit is None

    @property
    def waiting(self) -> int:
        """How many wait here."""
        return sum(band.live for lane in self.lanes.values() for band in lane.bands.values())

    def oldest(self) -> Entry | None:
        """Who of those waits longest; None for nobody."""
        found = (band.oldest() for lane in self.lanes.values() for band in lane.bands.values())
        return min(found, key=lambda entry: entry.age, default=None)

    def is_quiet(self, now_ms: int) -> bool:
        """Whether nobody uses it and no start of its window counts any more, whatever its limit is."""
        return not self.is_used and (self.window is None or self.window.is_empty(now_ms))

    @property
    def is_used(self) -> bool:
        """Whether anyone holds or waits for it."""
        anything = self.holders or self.demand or self.lanes or self.locks
        return bool(anything) or self.first_claim() is not None


def _most_holders(limit: ResourceLimit | None) -> int:
    if limit is None:
        return ANY
    return (limit.max_holders or ANY) if limit.is_open else 0
