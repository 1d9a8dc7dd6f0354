"""State after `DefinitionMigrated`: every record bound to its node in the new definition.

It judges nothing: which records have a place there was decided and recorded before, see
`decide/migration_plan`. What waits for whom is counted anew, as after every reset; the other handlers
are in `decide/evolve`.
"""

from __future__ import annotations

from dataclasses import replace

from asyncflow.decide.counters import rebuild
from asyncflow.decide.evolve_holds import renamed
from asyncflow.decide.forks import nested_nodes
from asyncflow.decide.wanted import refresh, refresh_execution
from asyncflow.model import events as ev
from asyncflow.model.graph import Node, NodeList
from asyncflow.model.state import ExecutionState, TaskState

# Names go first, because joins are counted by name; then nodes, indexes, counts, and at last what is
# wanted, which follows from the policies of the new nodes. An attempt under way stays what it was: its
# effect is equal to the one before, so nobody starts or stops anything.


def definition_migrated(state: ExecutionState, event: ev.DefinitionMigrated, at_ms: int) -> None:  # noqa: ARG001 - as every handler
    """Records take their nodes, and some of them other names, from the new definition."""
    graph = state.graph = state.graphs[event.definition]
    state.version = event.version
    state.variables = {**graph.definition.variables, **state.variables}
    _rename(state, event.mapping or {})
    renamed(state, event.mapping or {})
    detached = set(event.detached or ())
    for task in state.tasks.values():
        if task.number in detached:
            task.node = _without_place(task)
        elif not is_forked(state, task):
            task.node = graph.nodes[task.ref.removesuffix(task.suffix)]
            _rehome_members(task)
    _index(state)
    rebuild(state)
    for task in state.tasks.values():
        state.changed[task.number] = None
        refresh(state, task)
    refresh_execution(state)


def is_forked(state: ExecutionState, task: TaskState) -> bool:
    """Whether only a dynamic fork knows the node of a record, which no definition holds."""
    return task.fork_index >= 0 or task.node.ref in state.forked_nodes


def _rename(state: ExecutionState, mapping: dict[str, str]) -> None:
    """Give records and what joins recorded the names of the new definition."""
    names: dict[str, str] = {}
    for task in state.tasks.values():
        plain = task.ref.removesuffix(task.suffix)
        if plain in mapping and not is_forked(state, task):
            names[task.ref] = mapping[plain] + task.suffix
    for task in state.tasks.values():
        task.ref = names.get(task.ref, task.ref)
        if task.more is not None and task.more.join_on is not None:
            task.more.join_on = [names.get(ref, ref) for ref in task.more.join_on]


def _without_place(task: TaskState) -> Node:
    """The node of a record that nothing follows any more; the body stays, outputs are gathered by it."""
    home = NodeList(key="", kind="root", owner=None)
    node = replace(
        task.node,
        ref=task.ref.removesuffix(task.suffix),
        home=home,
        next=None,
        follower=None,
        loop=None,
        needs=0,
        dependents=(),
        branches=(),
        cases={},
        default=None,
    )
    home.nodes.append(node)
    return node


def _rehome_members(fork: TaskState) -> None:
    """Let the branches that a dynamic fork made stand in the fork's new node, and in its loop."""
    members = None if fork.more is None else fork.more.members
    for node in () if members is None else members.nodes:
        node.home.owner = fork.node
        former, node.loop = node.loop, fork.node.loop
        for nested in nested_nodes(node):
            if nested.loop is former:
                nested.loop = node.loop


def _index(state: ExecutionState) -> None:
    """The newest record of every name: they stand in the order in which the flow came to them last.

    Their numbers do not: a result that a rerun took up again keeps its own.
    """
    state.by_ref.clear()
    state.latest.clear()
    for task in state.tasks.values():
        state.by_ref[task.ref] = task
        state.latest[task.ref.removesuffix(task.suffix)] = task
