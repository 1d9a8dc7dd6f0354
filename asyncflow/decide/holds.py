"""Who takes a hold, and what is covered by one: leases that span several tasks of one execution.

A task that names what the execution holds needs nothing more of it; one that begins a hold leaves its
grant to the execution. Nothing is counted here, which is for `decide/admission`; what the events do is in
`decide/evolve_holds`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from asyncflow.decide.java_text import java_text
from asyncflow.decide.policy import setting
from asyncflow.decide.scope import StateScope
from asyncflow.errors import AsyncflowError, InvalidInput
from asyncflow.model.graph import Node
from asyncflow.model.holds import HoldState, span_of
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonValue

Row = list[JsonValue]
_COVERED = {"exclusive": ("exclusive", "shared", None), "shared": ("shared", None), None: (None,)}

# The grant is asked for with everything else that the first task needs, so all of it is there or nothing.
# Whoever waits for its turn at another resource while it holds one may be waited for by somebody who has
# that one: that is what holding over several tasks means, and `why` names both.
#
# A child has what its parent holds when it is started, and so have its own children: else it would wait for
# its parent, which waits for it. The task that stands for it uses the hold as an attempt does, so that
# nothing is given back while the child is open.
#
# A hold ends with its last task, not with its use. If that task is never reached, it ends with the
# execution. One that is opened again holds and inherits nothing: tasks then take what they name for
# themselves.


class Taken(NamedTuple):
    """What of a grant stays with the attempt, which holds it brings, and which ones it begins under.

    `fence` is the highest of what it begins under, its parents' holds included.
    """

    grants: list[Row] | None
    holds: list[Row] | None = None
    under: list[int] | None = None
    fence: int = 0


def take(state: ExecutionState, task: TaskState, grants: list[Row] | None) -> Taken:
    """Divide what an attempt was granted between it and the execution."""
    if not (state.holds or state.inherited or any(_spans(task.node))):
        return Taken(grants)
    rows = _rows(state, task)
    named = [row for row in rows if row]
    over = [hold for hold in state.holds.values() if any(covers(hold, row) for row in named)]
    above = [grant[4] for grant in state.inherited if any(_has(grant, row) for row in named)]
    fences = [hold.fence for hold in over] + [fence for fence in above if isinstance(fence, int)]
    rest, holds = list(grants or ()), list[Row]()
    for row, hold in zip(rows, _spans(task.node), strict=True):
        span = None if hold is None else span_of(hold)
        if row is None or span is None or span[0] != task.node.ref or is_covered(state, row):
            continue
        last, suffix = _last(state, task, span[1])
        end = state.by_ref.get(last + suffix)
        given = next((each for each in rest if (each[0], each[2], each[3]) == (row[0], row[2], row[3])), None)
        if given is not None and (end is None or not end.settled):
            rest.remove(given)
            holds.append([last, suffix, *given[:4]])
            if given[4:]:  # the instance stays with the attempt
                rest.append([given[0], 0, None, "", *given[4:]])
    under = [hold.serial for hold in over]
    return Taken(rest if grants is not None else None, holds or None, under or None, max(fences, default=0))


def rest_of(state: ExecutionState, hold: HoldState) -> list[Row]:
    """What stays with the attempt that began a hold, or with the start of the execution."""
    if not hold.taker:
        return [[state.slot, 1, None, ""]] if state.slot else []
    job = state.jobs.get(state.job_of.get(hold.taker, 0))
    return (state.tasks[hold.taker].grants if job is None else job.grants) or []


def covers(hold: HoldState, row: Row) -> bool:
    """Whether who needs this `[resource, weight, mode, key]` has it by the hold."""
    return not hold.is_over and _has(hold.grant, row)


def _has(grant: Row, row: Row) -> bool:
    resource, weight, mode, key = grant[:4]
    return (
        (row[0], row[3]) == (resource, key)
        and row[2] in _COVERED.get(mode if isinstance(mode, str) else None, ())
        and isinstance(row[1], int)
        and isinstance(weight, int)
        and row[1] <= weight
    )


def is_covered(state: ExecutionState, row: Row) -> bool:
    """Whether the execution holds it, or one above it, so that an attempt need not ask for it."""
    return any(covers(hold, row) for hold in state.holds.values()) or any(
        _has(grant, row) for grant in state.inherited
    )


def in_force(state: ExecutionState) -> list[int] | None:
    """The serial numbers of the holds that somebody may begin under; None for none."""
    return [hold.serial for hold in state.holds.values() if not hold.is_over] or None


def passed_down(state: ExecutionState) -> list[Row] | None:
    """What a child that is started now has by the holds above it, with their fences; None for nothing."""
    own = [[*hold.grant[:4], hold.fence] for hold in state.holds.values() if not hold.is_over]
    return [*state.inherited, *own] or None


def execution_rows(state: ExecutionState) -> list[Row]:
    """What the definition has the whole execution hold beyond what those above it do, expressions resolved.

    Raises:
        InvalidInput: something comes to nothing usable; the message names it.
    """
    resolved = state.graph.extra["resources"].resolve(StateScope(state))
    rows: list[Row] = []
    for index, entry in enumerate(resolved if isinstance(resolved, list) else ()):
        row, where = _row(entry), f"asyncflow.resources[{index}]"
        if row is None or not isinstance(row[0], str) or not row[0]:
            raise InvalidInput("gives no resource and key as text", field=where)
        if not isinstance(row[1], int) or row[1] < 1:
            raise InvalidInput(f"at least 1 expected, got {row[1]!r}", field=f"{where}.weight")
        uses = state.graph.definition.extension
        if uses is not None and uses.resources[index].key is not None and not row[3]:
            raise InvalidInput("gives no text", field=f"{where}.key")
        if not any(_has(grant, row) for grant in state.inherited):
            rows.append(row)
    return rows


def _spans(node: Node) -> list[str | None]:
    uses = setting(node.task, "resources")
    return [use.hold for use in uses] if isinstance(uses, list) else []


def _rows(state: ExecutionState, task: TaskState) -> list[Row | None]:
    """What a record names, in order; None where it comes to nothing usable, which admission refuses."""
    try:
        resolved = task.node.extra["resources"].resolve(StateScope(state, creating=task.number))
    except AsyncflowError:
        resolved = None
    found = resolved if isinstance(resolved, list) else [None] * len(_spans(task.node))
    return [_row(entry) for entry in found]


def _row(entry: JsonValue) -> Row | None:
    if not isinstance(entry, Mapping):
        return None
    key = entry.get("key")
    if not isinstance(key, str | int | float | bool | None):
        return None
    return [entry.get("name"), entry.get("weight"), entry.get("mode"), "" if key is None else java_text(key)]


def _last(state: ExecutionState, task: TaskState, ref: str) -> tuple[str, str]:
    """The name whose end ends a hold that this record begins, and the suffix it then has.

    Only loops that both are in tell one iteration from another. Where the last task is in a loop of its
    own, the end of that loop counts; what is in no definition lasts as long as the execution.
    """
    node = state.graph.nodes.get(ref)
    if node is None:
        return "", ""
    ours, theirs = _loops(task.node), _loops(node)
    shared = 0
    while shared < min(len(ours), len(theirs)) and ours[shared].ref == theirs[shared].ref:
        shared += 1
    parts = task.suffix.split("__")[1:] if task.suffix else []
    last = theirs[shared] if len(theirs) > shared else node
    return last.ref, "".join(f"__{part}" for part in parts[:shared])


def _loops(node: Node) -> list[Node]:
    """The loops around a node, the outermost first."""
    found: list[Node] = []
    loop = node.loop
    while loop is not None:
        found.append(loop)
        loop = loop.loop
    return found[::-1]
