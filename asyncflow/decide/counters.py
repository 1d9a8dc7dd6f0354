"""What joins and DAG lists still wait for, counted as tasks settle.

Only `evolve` calls these. After a reset the counts are built anew from the records, once,
before they are next used; otherwise each settled task costs only what depends on it.
"""

from __future__ import annotations

from asyncflow.decide.shape import JOINS, PASSIVE, completes, list_key, member_ref, owner_completed
from asyncflow.model.emptiness import own
from asyncflow.model.graph import Node, NodeList
from asyncflow.model.state import ExecutionState, Operator, TaskState
from asyncflow.model.statuses import SKIPPED, TASK_UNSUCCESSFUL

# Three counts, each taken down where a record settles, none by looking around:
#   `waiting` of a JOIN: names in its `joinOn` whose newest record did not settle yet. `joins` says,
#     for each of these names, which joins count on it. A name that has no record counts as well.
#   `done` of a dynamic fork: its settled branches; its JOIN waits for the rest of them.
#   `countdown` of a DAG: per node the dependencies left, per list the nodes left.
# An EXCLUSIVE_JOIN is looked at whenever one of its members settles, because any may decide it.


def closed(state: ExecutionState, task: TaskState) -> None:
    """One open record less."""
    state.open_count -= 1
    if task.node.type in PASSIVE:
        state.passive_count -= 1
        state.ready_joins.pop(task.number, None)
        if task.more is not None and task.more.join_on is not None:
            _unregister(state, task.number, task.more.join_on)


def _unregister(state: ExecutionState, number: int, refs: list[str]) -> None:
    """Forget a join that ended before its members did."""
    for ref in refs:
        counting = state.joins.get(ref)
        if counting is None or number not in counting:
            continue
        left = tuple(each for each in counting if each != number)
        if left:
            state.joins[ref] = left  # its own: it was in there
        else:
            del state.joins[ref]


def reopened(state: ExecutionState, task: TaskState) -> None:
    """One open record more."""
    state.open_count += 1
    if task.node.type in PASSIVE:
        state.passive_count += 1


def register_join(state: ExecutionState, task: TaskState, fork: int) -> None:
    """Count what a new JOIN waits for: the members of its dynamic fork, or its `joinOn`."""
    more = task.more = task.more or Operator()
    if fork:
        opener = state.tasks[fork].more
        assert opener is not None  # the record of an opened fork always has it
        assert opener.members is not None
        opener.join = task.number
        more.waiting = opener.members.count - opener.done
        if not more.waiting:
            _ready(state, task)
        return
    node = task.node
    named = [*node.task.join_on, *node.task.default_exclusive_join_task]
    more.join_on = [member_ref(node, ref, state, task.suffix) for ref in dict.fromkeys(named)]
    more.waiting = 0
    for ref in more.join_on:
        member = state.by_ref.get(ref)
        if member is None or not member.settled:
            more.waiting += 1
            joins = state.joins = own(state.joins)
            joins[ref] = (*joins.get(ref, ()), task.number)
    if _is_ready(state, task, more):
        _ready(state, task)


def _ready(state: ExecutionState, join: TaskState) -> None:
    ready = state.ready_joins = own(state.ready_joins)
    ready[join.number] = None


def _is_ready(state: ExecutionState, join: TaskState, more: Operator) -> bool:
    if join.node.type == "JOIN":
        return not more.waiting
    return exclusive_choice(state, join) is not None


def exclusive_choice(state: ExecutionState, join: TaskState) -> TaskState | None:
    """The member whose end is the end of an EXCLUSIVE_JOIN, or None while it has to wait.

    The first of `joinOn` that was taken counts; where none was, or it is not done yet, the first
    of the defaults. A permissive failure counts only once nothing it names is under way.
    """
    node = join.node
    for named in (node.task.join_on, node.task.default_exclusive_join_task):
        found = (state.by_ref.get(member_ref(node, ref, state, join.suffix)) for ref in named)
        taken = (member for member in found if member is not None and member.status != SKIPPED)
        first = next(taken, None)  # looked at each time a member settles, so no further than needed
        if first is None or not first.settled:
            continue
        if first.status not in TASK_UNSUCCESSFUL or all(member.settled for member in taken):
            return first
    return None


def count_settled(state: ExecutionState, task: TaskState) -> None:
    """Take a task that settled off everything that counts on it."""
    if state.counters_stale:
        if not state.recovering:  # until then nobody asks, and each that ends would count all anew
            rebuild(state)
        return
    if task.fork_index >= 0 or state.joins:
        _count_members(state, task)
    home = task.node.home
    if (home.dag or home.kind == "case") and completes(task):
        _count_completed(state, task.node, task.suffix)


def rebuild(state: ExecutionState) -> None:
    """Count everything anew from the records.

    Cost: linear in the records of the execution.
    """
    state.counters_stale = False
    state.joins.clear()
    state.ready_joins.clear()
    state.countdown.clear()
    for task in state.tasks.values():
        if task.more is not None and task.more.members is not None:
            task.more.done = 0
    for task in state.tasks.values():
        if task.fork_index >= 0 and task.settled and not task.superseded:
            opener = state.tasks[task.fork].more if task.fork in state.tasks else None
            if opener is not None:
                opener.done += 1
    for task in list(state.tasks.values()):
        if task.node.type in JOINS and not task.is_ended:
            register_join(state, task, task.fork if task.fork_index < 0 else 0)
    for task in state.tasks.values():
        if task.settled and not task.superseded and completes(task):
            _count_completed(state, task.node, task.suffix)


def _count_members(state: ExecutionState, task: TaskState) -> None:
    for number in state.joins.pop(task.ref, ()):
        _member_settled(state, state.tasks.get(number))
    if task.fork_index >= 0:
        fork = state.tasks.get(task.fork)
        opener = None if fork is None else fork.more
        if opener is not None:
            opener.done += 1
            _member_settled(state, state.tasks.get(opener.join))


def _member_settled(state: ExecutionState, join: TaskState | None) -> None:
    if join is None or join.more is None or join.is_ended:
        return
    join.more.waiting -= 1
    if _is_ready(state, join, join.more):
        _ready(state, join)


def _count_completed(state: ExecutionState, node: Node, suffix: str) -> None:
    """Count a completed node in its DAG, and every SWITCH that ended with it."""
    current: Node | None = node
    while current is not None:
        if current.home.dag:
            _count_in_dag(state, current, suffix)
        current = owner_completed(state, current, suffix)


def _count_in_dag(state: ExecutionState, node: Node, suffix: str) -> None:
    countdown = state.countdown = own(state.countdown)
    for dependent in node.dependents:
        key = dependent.ref + suffix
        countdown[key] = countdown.get(key, dependent.needs) - 1
    whole = list_key(node.home, suffix)
    countdown[whole] = countdown.get(whole, len(node.home.nodes)) - 1


def is_free(state: ExecutionState, node: Node, suffix: str) -> bool:
    """Whether everything the node of a DAG depends on has ended."""
    return state.countdown.get(node.ref + suffix, node.needs) == 0


def first_nodes(home: NodeList) -> list[Node]:
    """The nodes of a list that start at once."""
    if not home.dag:
        return home.nodes[:1]
    return [node for node in home.nodes if node.needs == 0]
