"""Nodes that make no sense are refused where they are made, by workflow and node."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest

from asyncflow.errors import InvalidInput
from asyncflow.sdk import operators as nodes
from asyncflow.sdk.composition import Block, Node
from asyncflow.sdk.references import Reference
from asyncflow.sdk.workflow import Workflow

Make = Callable[[], Block]

x = Reference("workflow.input.x")


def noop(ref: str) -> Node:
    return nodes.noop(ref=ref)


def _definition(make: Make) -> dict[str, object]:
    with Workflow("w") as wf:
        _ = wf >> make()
    return wf.to_definition()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nodes.wait, "wait: give either seconds or duration"),
        (lambda: nodes.wait(seconds=1, duration="1s"), "wait: give either"),
        (lambda: nodes.wait(seconds=0.5), r"wait: 0\.5 has a fraction"),
        (lambda: nodes.wait_until(datetime(2030, 1, 1)), "wait_until: a datetime needs a time zone"),  # noqa: DTZ001 -- the fault itself
        (lambda: nodes.loop(noop("n"), ref="l"), "l: give one of"),
        (lambda: nodes.loop(noop("n"), times=2, over=[1], ref="l"), "l: give one of"),
        (lambda: nodes.fork([], ref="f"), r"^f: a fork needs a branch"),
        (lambda: nodes.fork([noop("a"), []], ref="f"), r"^f: a branch needs a task"),
        (lambda: nodes.sub_workflow(ref="s"), "s: give a workflow or a definition"),
        (lambda: nodes.dynamic_fork(x, task="a", workflow="b", ref="f"), "f: give a task or a workflow"),
        (lambda: nodes.switch(x, cases={"a": 5}), "5 is no node"),  # type: ignore[dict-item]  # as authors do
        (lambda: nodes.noop(ref="n", resources=5), r"w\.n\.resources: 5 is neither"),  # type: ignore[arg-type]
        (lambda: nodes.noop(ref="n", after=[5]), r"w\.n\.after: 5 is neither"),  # type: ignore[list-item]
        (lambda: nodes.noop(ref="n", start_delay=0.1), r"w\.n\.start_delay: 0\.1 has a fraction"),
        (lambda: nodes.noop(ref="n", extra={"type": "X"}), r"w\.n: extra repeats .* type"),
        (lambda: nodes.noop(ref="n", inputs={"a": object()}), r"w\.n\.inputs\.a: not JSON"),
    ],
)
def test_node_that_makes_no_sense_is_refused_by_name(make: Make, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        _definition(make)
