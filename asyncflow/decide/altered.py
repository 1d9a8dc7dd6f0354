"""What a smart rerun found to have changed: kept by `evolve` as records begin and end.

A task behind one that came out as before need not run again; here it is said which did. It decides
nothing: what is taken up again is in `decide/reusing`, and how a rerun begins in `decide/changing`.
"""

from __future__ import annotations

import copy

from asyncflow.decide.gather import join_refs
from asyncflow.decide.shape import CHOICES, FORKS, JOINS, chosen_list
from asyncflow.model.execution_events import ExecutionReopened
from asyncflow.model.graph import Node, NodeList
from asyncflow.model.state import ExecutionState, Memo, TaskState

CHANGE = "change"
"""The cause of a reopening that is a smart rerun."""

# A record is *altered* if what follows it has to count on another result. Tasks are altered by their own
# output alone, so a change ends where an output is as before. What only arranges others, or waits, has no
# result of its own: it hands on that what it follows is altered. An empty output shows nothing of what was
# done, nor does that of a command, which works on files; both count as altered whenever they ran.
_THROUGH = FORKS | CHOICES | {"DO_WHILE", "NOOP", "WAIT"}
_SHOWS_LITTLE = frozenset({"COMMAND"})
_CHILD = "subWorkflowId"


def opened(state: ExecutionState, event: ExecutionReopened) -> None:
    """A smart rerun adds to what an earlier one left, a retry goes on with it, a rerun forgets it."""
    if event.cut_off:
        memo = state.memo = state.memo or Memo(event.cut_off)
        memo.cut_off = event.cut_off
        memo.redo.update(dict.fromkeys(event.redo or ()))
        memo.keep = dict.fromkeys(event.keep or ())
        memo.inside = event.inside or {}
    elif event.cause == "rerun":
        state.memo = None
    if event.variables is not None:
        state.variables = event.variables


def set_aside(memo: Memo, task: TaskState, *, newest: bool) -> None:
    """A record is removed, and may be taken up again."""
    memo.records[task.number] = task
    if newest:
        memo.newest[task.ref] = task.number
        memo.former.pop(task.ref, None)
    if task.number in memo.altered:
        del memo.altered[task.number]
        memo.unsure[task.ref] = None


def reset(memo: Memo, task: TaskState) -> None:
    """A record is about to be opened in place."""
    memo.former[task.ref] = copy.copy(task)
    if task.number in memo.altered:
        memo.unsure[task.ref] = None
        if task.node.type not in _THROUGH:
            del memo.altered[task.number]


def begun(state: ExecutionState, memo: Memo, task: TaskState) -> None:
    """A record was made: what only arranges others hands on at once what it follows."""
    if task.node.type in _THROUGH and (
        former_of(memo, task.ref) is None
        or follows_altered(state, memo, task.node, task.suffix, loop=task.loop, fork=task.fork)
    ):
        _mark(state, memo, task)


def forked(memo: Memo, fork: TaskState) -> None:
    """A dynamic fork knows its branches; others than before alter what gathers them."""
    former = former_of(memo, fork.ref)
    if former is None or former.input != fork.input:
        memo.altered[-fork.number] = None


def ended(state: ExecutionState, memo: Memo, task: TaskState) -> None:
    """A record came to its end, and the flow goes on from it."""
    if task.ref in memo.unsure or memo.cut_off == "none" or _is_altered(state, memo, task):
        memo.unsure.pop(task.ref, None)
        _mark(state, memo, task)


def taken_up(state: ExecutionState, memo: Memo, task: TaskState) -> None:
    """A record counts as it is; if what follows was not held against it yet, it is altered nevertheless."""
    if task.ref in memo.unsure:
        del memo.unsure[task.ref]
        _mark(state, memo, task)


def former_of(memo: Memo, ref: str) -> TaskState | None:
    """How the record of a full name was before this rerun, or None where there was none."""
    return memo.former.get(ref) or memo.records.get(memo.newest.get(ref, 0))


def follows_altered(
    state: ExecutionState, memo: Memo, node: Node, suffix: str, *, loop: int, fork: int
) -> bool:
    """Whether something that a node follows at once is altered.

    Cost: linear in what it follows.
    """
    altered = memo.altered
    if fork:
        return fork in altered
    if node.before:
        return any(_end_altered(state, memo, each, suffix) for each in node.before)
    home = node.home
    if home.owner is None:
        return False
    if home.kind == "loop":
        return loop in altered
    owner = state.by_ref.get(home.owner.ref + suffix)
    return owner is not None and owner.number in altered


def _end_altered(state: ExecutionState, memo: Memo, node: Node, suffix: str) -> bool:
    """Whether the end of a node is altered: of a SWITCH, that of the case it chose."""
    task = state.by_ref.get(node.ref + suffix)
    if task is None:
        return False
    if task.number in memo.altered:
        return True
    chosen = chosen_list(task) if node.type in CHOICES else None
    return chosen is not None and any(_end_altered(state, memo, end, suffix) for end in _ends(chosen))


def _ends(home: NodeList) -> list[Node]:
    return [node for node in home.nodes if not node.dependents] if home.dag else home.nodes[-1:]


def _is_altered(state: ExecutionState, memo: Memo, task: TaskState) -> bool:
    kind = task.node.type
    if kind in JOINS:
        return -task.fork in memo.altered or any(
            member is None or member.number in memo.altered
            for member in (state.by_ref.get(ref) for ref in join_refs(state, task))
        )
    former = former_of(memo, task.ref)
    if former is None:
        return True
    if kind == "DO_WHILE":
        return former.iteration != task.iteration
    if kind in CHOICES:
        return _case(former) != _case(task)
    if kind in _THROUGH:
        return kind == "WAIT" and former.output != task.output
    if kind == "SET_VARIABLE":
        return former.input != task.input
    shown = _shown(task)
    return not shown or kind in _SHOWS_LITTLE or former.status != task.status or _shown(former) != shown


def _case(task: TaskState) -> tuple[str | None, str | None]:
    return (None, None) if task.more is None else (task.more.case, task.more.branch)


def _shown(task: TaskState) -> dict[str, object]:
    """The output that counts: a child of another name is no other result."""
    output = task.output or {}
    return {key: output[key] for key in output if key != _CHILD} if _CHILD in output else output


def _mark(state: ExecutionState, memo: Memo, task: TaskState) -> None:
    """It is altered, and so is every loop around it, whose output gathers it."""
    around: TaskState | None = task
    while around is not None and (around is task or around.number not in memo.altered):
        memo.altered[around.number] = None
        around = state.tasks.get(around.loop)
