"""The definition that an execution is bound to, as Conductor shows it: every task with a task definition.

What is made is kept with the node or graph that it shows, so that an execution, a task and a poll
share it; whoever reads it must not change it. The rest of an execution is in `decide/render`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import cast

from pydantic_core import to_json as encode

from asyncflow.model.definition import TaskDefinition, to_json
from asyncflow.model.graph import Graph, Node
from asyncflow.model.values import JsonObject


def shown_task(node: Node, *, keep: bool = True) -> JsonObject:
    """The WorkflowTask of a node, with what is inside it; made once, if it is kept.

    What only one record shows, such as a branch that was made at run time, is better not kept: it is
    some 4 KiB.
    """
    if node.shown is not None:
        return node.shown
    shown = _completed(to_json(node.task))
    if keep:
        node.shown = shown
    return shown


def definition_text(graph: Graph) -> bytes:
    """The WorkflowDef of a graph as JSON text; made once, and with it what is shown of every node.

    Cost: some 20 µs a task the first time; it may be called in a thread.
    """
    if graph.text is None:
        shown = to_json(graph.definition)
        todo = _objects(shown["tasks"])
        while todo:
            task = todo.pop()
            _add_definition(task)
            graph.nodes[str(task["taskReferenceName"])].shown = task
            todo += _inside(task)
        graph.text = encode(shown, inf_nan_mode="null")
    return graph.text


def _completed(task: JsonObject) -> JsonObject:
    """A rendered task, its own object, with a definition in it and in every task inside it."""
    _add_definition(task)
    for inner in _inside(task):
        _completed(inner)
    return task


def _add_definition(task: JsonObject) -> None:
    if "taskDefinition" not in task:
        task["taskDefinition"] = _ad_hoc(str(task["name"]), is_worker=task["type"] == "SIMPLE")


@lru_cache(maxsize=1_024)
def _ad_hoc(name: str, *, is_worker: bool) -> JsonObject:
    """What Conductor writes into a task that neither embeds a definition nor has one registered.

    A worker's task is tried again as by default, any other is not; `decide/compile` takes the same for
    the policy.
    """
    definition = TaskDefinition(name=name)
    if not is_worker:
        definition = TaskDefinition(name=name, retry_count=0, response_timeout_seconds=0)
    return to_json(definition)


def _inside(task: JsonObject) -> Iterator[JsonObject]:
    yield from _objects(task["defaultCase"])
    yield from _objects(task["loopOver"])
    for branch in cast("list[object]", task["forkTasks"]):
        yield from _objects(branch)
    for case in cast("dict[str, object]", task["decisionCases"]).values():
        yield from _objects(case)


def _objects(tasks: object) -> list[JsonObject]:
    return list(cast("list[JsonObject]", tasks))
