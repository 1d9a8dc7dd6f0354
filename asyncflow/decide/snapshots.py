"""The definition that an execution is bound to, as Conductor shows it: every task with a task definition.

What is made is kept with the node or graph that it shows, so that an execution, a task and a poll
share it; whoever reads it must not change it. The rest of an execution is in `decide/render`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from pydantic_core import to_json as encode

from asyncflow.model.definition import TaskDefinition, to_json
from asyncflow.model.graph import Graph, Node
from asyncflow.model.values import JsonObject

# What Conductor writes into a task that neither embeds a definition nor has one registered: a worker's
# task is tried again as by default, any other is not. `decide/compile` takes the same for the policy.
_OF_WORKERS = to_json(TaskDefinition())
_OF_OTHERS = to_json(TaskDefinition(retry_count=0, response_timeout_seconds=0))


def shown_task(node: Node) -> JsonObject:
    """The WorkflowTask of a node, with what is inside it; made once."""
    if node.shown is None:
        node.shown = _completed(to_json(node.task))
    return node.shown


def definition_text(graph: Graph) -> bytes:
    """The WorkflowDef of a graph as JSON text; made once.

    Cost: some 20 µs a task the first time; it may be called in a thread.
    """
    if graph.text is None:
        shown = to_json(graph.definition)
        shown["tasks"] = [_completed(task) for task in _objects(shown["tasks"])]
        graph.text = encode(shown, inf_nan_mode="null")
    return graph.text


def _completed(task: JsonObject) -> JsonObject:
    """A rendered task, its own object, with a definition in it and in every task inside it."""
    if "taskDefinition" not in task:
        ad_hoc = _OF_WORKERS if task["type"] == "SIMPLE" else _OF_OTHERS
        task["taskDefinition"] = {**ad_hoc, "name": task["name"]}
    for inner in _inside(task):
        _completed(inner)
    return task


def _inside(task: JsonObject) -> Iterator[JsonObject]:
    yield from _objects(task["defaultCase"])
    yield from _objects(task["loopOver"])
    for branch in cast("list[object]", task["forkTasks"]):
        yield from _objects(branch)
    for case in cast("dict[str, object]", task["decisionCases"]).values():
        yield from _objects(case)


def _objects(tasks: object) -> list[JsonObject]:
    return cast("list[JsonObject]", tasks)
