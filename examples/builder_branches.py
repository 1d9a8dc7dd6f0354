"""Branches, a loop over a list, a decision and a graph, in one workflow."""

from __future__ import annotations

from asyncflow.sdk import operators as nodes
from asyncflow.sdk.tasks import task
from asyncflow.sdk.workflow import Workflow


@task
def count(words: list[str]) -> int:
    """How many words there are."""
    return len(words)


@task
def check(word: str) -> bool:
    """Whether the word is short."""
    return len(word) < 5


with Workflow("branches") as wf:
    counted = count.node("count", words=wf.input.words)
    each = nodes.loop(lambda at: check.node("check", word=at.item), over=wf.input.words, ref="each")
    size = nodes.switch(
        "$.n > 2 ? 'many' : 'few'",
        cases={"many": nodes.set_variables({"size": "many"}, ref="many")},
        default=nodes.set_variables({"size": "few"}, ref="few"),
        evaluator="javascript",
        inputs={"n": counted.output.result},
        ref="size",
    )
    wf >> [counted >> size, each]
    wf.output(size=wf.variables.size, last=each.output.iteration)

with Workflow("graph") as graph:
    left = count.node("left", words=["a"])
    right = count.node("right", words=["b", "c"])
    count.node("both", words=[left.output.result, right.output.result], after=[left, right])
