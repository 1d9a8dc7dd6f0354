"""What the events of an execution say of how it went: its shape, and whether it is one that may be.

The shape of a run without kills and of one with a hundred is the same: what was interrupted and begun again
does not show in it. It reads events only and knows no state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from asyncflow.model import events as ev
from asyncflow.model.turn import Recorded

Histories = Mapping[str, Sequence[Recorded]]
Shape = Mapping[tuple[object, ...], int]


def names_in(history: Sequence[Recorded]) -> dict[int, str]:
    """The full reference names of all records, by number; dynamic forks list inputs of one template."""
    names: dict[int, str] = {}
    prefixes: dict[int, str] = {}
    suffixes: dict[int, str] = {}
    for recorded in history:
        match recorded.event:
            case ev.TaskScheduled() as made:
                names[made.number] = f"{made.ref}{made.suffix}"
                suffixes[made.number] = made.suffix
            case ev.ForkOpened() as fork:
                prefixes[fork.number] = fork.prefix
            case ev.BranchesScheduled() as made:
                prefix, suffix, shift = prefixes[made.fork], suffixes[made.fork], made.number - made.first
                names |= {shift + index: f"{prefix}{index}{suffix}" for index in range(made.first, made.last)}
            case _:
                pass
    return names


def shape_of(stream: str, histories: Histories) -> Shape:
    """What happened how often, the children's own shapes among it."""
    names = names_in(histories[stream])
    found: Counter[tuple[object, ...]] = Counter()
    for recorded in histories[stream]:
        match recorded.event:
            case ev.TaskEnded() as end if end.state not in ("INTERRUPTED", "RELEASED"):
                found["ended", names[end.number], end.status, end.settled] += 1
            case ev.LoopAdvanced(number, iteration):
                found["iteration", names[number], iteration] += 1
            case ev.ForkOpened() as fork:
                found["fork", names[fork.number], fork.count] += 1
            case ev.ChildStarted(number, child):
                inner = frozenset(shape_of(child, histories).items()) if child in histories else None
                found["child", names[number], inner] += 1
            case ev.ExecutionEnded(status=status):
                found["over", status] += 1
    return found


def judge_history(history: Sequence[Recorded], may_end: Collection[str]) -> list[str]:
    """I4: no gap, one end, and of each record one."""
    ends = [each.event.status for each in history if isinstance(each.event, ev.ExecutionEnded)]
    wrong = []
    if not ends:
        wrong.append("stuck: it has not ended")
    elif len(ends) > 1:
        wrong.append(f"doubled: it ended {ends}")
    elif ends[0] not in may_end:
        wrong.append(f"wrong: it ended {ends[0]}")
    if [each.seq for each in history] != [*range(1, len(history) + 1)]:
        wrong.append("wrong: its sequence has gaps")
    counted = Counter(each.event.number for each in history if isinstance(each.event, ev.TaskEnded))
    return wrong + [f"doubled: record {number} ended" for number, count in counted.items() if count > 1]
