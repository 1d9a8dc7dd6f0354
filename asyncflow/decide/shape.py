"""How far the end of a task reaches in the shape of a definition.

Both `evolve`, which counts, and `flow`, which schedules what comes next, walk the definition
by these functions, so that the two can never disagree. They read and return; they change nothing.
"""

from __future__ import annotations

from asyncflow.model.graph import Node, NodeList
from asyncflow.model.state import ExecutionState, TaskState

CHOICES = frozenset({"SWITCH", "DECISION"})
FORKS = frozenset({"FORK_JOIN", "FORK_JOIN_DYNAMIC"})
GATHERING = frozenset({"JOIN", "DO_WHILE"})
JOINS = frozenset({"JOIN", "EXCLUSIVE_JOIN"})
PASSIVE = JOINS | {"DO_WHILE"}
STRUCTURE = CHOICES | FORKS | PASSIVE
"""The types that only arrange others: they are never retried, and their failure repeats that of another."""


def chosen_list(task: TaskState) -> NodeList | None:
    """The list of tasks a SWITCH or DECISION chose, or None where it chose none."""
    more = task.more
    if more is None or more.branch is None:
        return None
    chosen = task.node.cases.get(more.branch)
    if more.branch == "" and (more.case != "" or chosen is None or not chosen.nodes):
        chosen = task.node.default  # a case may be named "" as well
    return chosen if chosen is not None and chosen.nodes else None


def list_key(home: NodeList, suffix: str) -> str:
    """The name under which the countdown of a DAG list as a whole is kept."""
    owner = "" if home.owner is None else home.owner.ref
    return f"#{owner}#{home.key}{suffix}"


def completes(task: TaskState) -> bool:
    """Whether the end of this record is also the end of what its node stands for.

    A SWITCH goes on through the tasks it chose; nothing follows a TERMINATE.
    """
    kind = task.node.type
    if kind in CHOICES:
        return chosen_list(task) is None
    return kind != "TERMINATE"


def owner_completed(state: ExecutionState, node: Node, suffix: str) -> Node | None:
    """The SWITCH or DECISION around the node's list that ended with the node, or None."""
    home = node.home
    if home.kind != "case" or not list_ended(state, node, suffix):
        return None
    return home.owner


def list_ended(state: ExecutionState, node: Node, suffix: str) -> bool:
    """Whether the list of a completed node has nothing left to do."""
    if node.home.dag:
        return state.countdown.get(list_key(node.home, suffix)) == 0
    return node.next is None


def node_done(state: ExecutionState, node: Node, suffix: str) -> bool:
    """Whether the flow has gone on from a node, a SWITCH with all of the case it chose."""
    task = state.by_ref.get(node.ref + suffix)
    if task is None or not task.settled:
        return False
    chosen = chosen_list(task)
    return completes(task) if chosen is None else list_done(state, chosen, suffix)


def list_done(state: ExecutionState, home: NodeList, suffix: str) -> bool:
    """Whether every node of a list is done.

    The end of the last one says so in a sequence that runs for the first time. It does not where
    an earlier node was opened again: then whichever ends last has to look.

    Cost: linear in the list, or constant for a DAG.
    """
    if home.dag:
        return state.countdown.get(list_key(home, suffix)) == 0
    return all(node_done(state, node, suffix) for node in home.nodes)


def member_ref(node: Node, ref: str, state: ExecutionState, suffix: str) -> str:
    """The full reference name by which a JOIN in a loop iteration means one of `joinOn`."""
    if not suffix:
        return ref
    member = state.graph.nodes.get(ref) or state.forked_nodes.get(ref)
    if member is None or member.loop is node.loop:
        return ref + suffix
    return _outer_suffix(ref, member, suffix)


def _outer_suffix(ref: str, member: Node, suffix: str) -> str:
    """The reference of a task that stands outside the innermost loop of the one who asks."""
    depth = 0
    loop = member.loop
    while loop is not None:
        depth, loop = depth + 1, loop.loop
    return ref + "".join(f"__{part}" for part in suffix.split("__")[1 : 1 + depth])
