"""What another definition means for a smart rerun: of which records it says something else, which it lacks.

It compares the tasks as they are written and changes nothing. What the flow then takes up again is decided in
`decide/reusing`, by the inputs that tasks really get; the plan is in `decide/rerun_plan`.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncflow.decide.input_reads import sources
from asyncflow.model.graph import Graph, Node
from asyncflow.model.state import ExecutionState, TaskState


class Comparison(NamedTuple):
    """What is different.

    `reasons` are by the numbers of records that have to be made again, `gone` by those whose task is not in
    the definition; `added` are the names of tasks that there is no record of, in the order of the definition.
    """

    reasons: dict[int, str]
    gone: dict[int, str]
    added: tuple[str, ...]


def compare(state: ExecutionState, graph: Graph) -> Comparison:
    """The records of an execution held against another definition.

    Cost: linear in the records and in the definition.
    """
    version = f"version {graph.definition.version}"
    reasons: dict[int, str] = {}
    gone: dict[int, str] = {}
    for task in state.by_ref.values():
        if _is_made_by_a_fork(state, task):
            continue
        node = graph.nodes.get(task.ref.removesuffix(task.suffix))
        if node is None:
            gone[task.number] = f"{version} has no such task: its result is left aside"
        elif why := _difference(task.node, node):
            reasons[task.number] = f"{why} in {version}"
    added = tuple(ref for ref in graph.nodes if ref not in state.latest)
    return Comparison(reasons, gone, added)


def _is_made_by_a_fork(state: ExecutionState, task: TaskState) -> bool:
    """Whether only a dynamic fork knows the task, which is made anew and names its branches again."""
    return task.fork_index >= 0 or task.node.ref in state.forked_nodes


def _difference(before: Node, after: Node) -> str:
    """In what a task is another one, besides its place; empty if in nothing that makes its result another."""
    if before.type != after.type:
        return f"it is a {after.type}"
    if before.name != after.name:
        return f"it is done by {after.name}"
    if before.task.sub_workflow_param != after.task.sub_workflow_param:
        return "it starts another workflow"
    if sources(before) != sources(after):
        return "its input is made otherwise"
    return ""
