"""Where the flow of an execution had stopped, and going on from there.

An execution that ends leaves follow-ups undone: a branch that never began, a task whose successor
was to come in the next turn. After a reopening they are found from the records and the shape of
the definition alone. What follows a record is in `decide/flow`.
"""

from __future__ import annotations

from collections.abc import Iterator

from asyncflow.decide.counters import first_nodes, is_free
from asyncflow.decide.flow import begin_list
from asyncflow.decide.scheduling import Frame
from asyncflow.decide.shape import FORKS, JOINS, chosen_list, completes, list_done
from asyncflow.decide.step import Step
from asyncflow.model.graph import Node, NodeList
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import COMPLETED

# Following a record twice is harmless, because nothing is scheduled where a record exists. So what
# is found here may be too much, never too little; it is kept small only for its cost, which is
# linear in the records.


def resume(step: Step) -> None:
    """Schedule what should follow from the records as they are now.

    Cost: linear in the records of the execution, and in the edges of its DAG lists.
    """
    state = step.state
    for loop in [t for t in state.tasks.values() if t.node.type == "DO_WHILE" and not t.is_ended]:
        if loop.iteration and not state.is_ended:
            _begin_body(step, loop)
    if not state.tasks:
        begin_list(step, state.graph.root, Frame())
    if not state.is_ended:
        step.pending.extend(frontier(state))


def _begin_body(step: Step, loop: TaskState) -> None:
    """Begin the iteration of a loop that was stopped before the iteration had a record."""
    body = loop.node.body
    if body is not None:
        begin_list(step, body, Frame(f"{loop.suffix}__{loop.iteration}", loop.iteration, loop.number))


def frontier(state: ExecutionState) -> Iterator[TaskState]:
    """The records that something should have followed, and nothing did."""
    for task in state.tasks.values():
        if task.node.type == "DO_WHILE" and not task.is_ended:
            if not task.iteration or _body_done(state, task):
                yield task
        elif task.settled and not task.superseded and _stopped_at(state, task):
            yield task


def _stopped_at(state: ExecutionState, task: TaskState) -> bool:
    node, suffix = task.node, task.suffix
    if node.type in FORKS and task.status == COMPLETED:
        return _fork_stopped(state, task)
    chosen = chosen_list(task)
    if chosen is not None:
        return _is_missing(state, chosen, suffix)
    return completes(task) and _is_last_reached(state, node, suffix)


def _fork_stopped(state: ExecutionState, task: TaskState) -> bool:
    """Whether a fork has no JOIN yet, or a branch that did not begin, or in a DAG more behind it."""
    join = task.node.follower
    if join is None or join.type not in JOINS:
        return False
    if join.ref + task.suffix not in state.by_ref:
        return True
    if any(_is_missing(state, branch, task.suffix) for branch in task.node.branches):
        return True
    return task.node.home.dag and _is_last_reached(state, task.node, task.suffix)


def _is_missing(state: ExecutionState, home: NodeList, suffix: str) -> bool:
    return any(node.ref + suffix not in state.by_ref for node in first_nodes(home))


def _is_last_reached(state: ExecutionState, node: Node, suffix: str) -> bool:
    """Whether nothing was scheduled behind a node that is done, out of as many cases as end with it.

    Loops are looked at from their own record, see `_body_done`.
    """
    current: Node | None = node
    while current is not None:
        home = current.home
        if home.dag:
            if any(
                d.ref + suffix not in state.by_ref and is_free(state, d, suffix) for d in current.dependents
            ):
                return True
        elif current.next is not None:
            return current.next.ref + suffix not in state.by_ref
        if home.kind != "case" or not list_done(state, home, suffix):
            return False
        current = home.owner
    return False


def _body_done(state: ExecutionState, loop: TaskState) -> bool:
    """Whether the present iteration has nothing left to do, so that the loop has to decide."""
    body = loop.node.body
    if body is None or (loop.more is not None and loop.more.asking):
        return False
    return list_done(state, body, f"{loop.suffix}__{loop.iteration}")
