"""Forks of every form, each with the JOIN that follows it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from asyncflow.sdk import operators as nodes
from asyncflow.sdk.composition import Block, Node
from asyncflow.sdk.references import Reference

Make = Callable[[], Block]
Tasks = Callable[[Make], list[object]]

x = Reference("workflow.input.x")
X = "${workflow.input.x}"


def noop_json(ref: str) -> dict[str, object]:
    return {"name": ref, "taskReferenceName": ref, "type": "NOOP"}


def named(task_type: str, ref: str, **fields: object) -> dict[str, object]:
    return {"name": ref, "taskReferenceName": ref, "type": task_type, **fields}


def noop(ref: str) -> Node:
    return nodes.noop(ref=ref)


TWO_TASKS: list[tuple[Make, list[dict[str, object]]]] = [
    (
        lambda: nodes.fork([noop("a"), [noop("b"), noop("c")]], ref="f"),
        [
            named("FORK_JOIN", "f", forkTasks=[[noop_json("a")], [noop_json("b"), noop_json("c")]]),
            named("JOIN", "join_f", joinOn=["a", "c"]),
        ],
    ),
    (
        lambda: nodes.fork(
            [noop("a"), noop("b")], ref="f", join=nodes.join(["a"], mode="SYNC", ref="j", optional=True)
        ),
        [
            named("FORK_JOIN", "f", forkTasks=[[noop_json("a")], [noop_json("b")]]),
            named("JOIN", "j", joinOn=["a"], joinMode="SYNC", optional=True),
        ],
    ),
    (
        lambda: nodes.dynamic_fork(x, task="resize", ref="f"),
        [
            named("FORK_JOIN_DYNAMIC", "f", inputParameters={"forkTaskInputs": X, "forkTaskName": "resize"}),
            named("JOIN", "join_f", joinOn=[]),
        ],
    ),
    (
        lambda: nodes.dynamic_fork([{"uri": x}], task_type="HTTP", ref="f", join=nodes.join(ref="j")),
        [
            named(
                "FORK_JOIN_DYNAMIC",
                "f",
                inputParameters={"forkTaskInputs": [{"uri": X}], "forkTaskType": "HTTP"},
            ),
            named("JOIN", "j", joinOn=[]),
        ],
    ),
    (
        lambda: nodes.dynamic_fork(x, workflow="child", version=2, ref="f"),
        [
            named(
                "FORK_JOIN_DYNAMIC",
                "f",
                inputParameters={
                    "forkTaskInputs": X,
                    "forkTaskWorkflow": "child",
                    "forkTaskWorkflowVersion": "2",
                },
            ),
            named("JOIN", "join_f", joinOn=[]),
        ],
    ),
    (
        lambda: nodes.dynamic_fork_tasks(x.tasks, x.inputs, ref="f"),
        [
            named(
                "FORK_JOIN_DYNAMIC",
                "f",
                dynamicForkTasksParam="dynamicTasks",
                dynamicForkTasksInputParamName="dynamicTasksInputs",
                inputParameters={
                    "dynamicTasks": "${workflow.input.x.tasks}",
                    "dynamicTasksInputs": "${workflow.input.x.inputs}",
                },
            ),
            named("JOIN", "join_f", joinOn=[]),
        ],
    ),
    (
        lambda: nodes.dynamic_fork_legacy(x, ref="f"),
        [
            named(
                "FORK_JOIN_DYNAMIC",
                "f",
                dynamicForkJoinTasksParam="dynamicForkTasks",
                inputParameters={"dynamicForkTasks": X},
            ),
            named("JOIN", "join_f", joinOn=[]),
        ],
    ),
]


@pytest.mark.parametrize(("make", "tasks"), TWO_TASKS)
def test_fork_is_written_with_its_join(make: Make, tasks: list[object], tasks_of: Tasks) -> None:
    assert tasks_of(make) == tasks


def test_fork_output_is_that_of_its_join() -> None:
    forked = nodes.fork([noop("a")], ref="f")

    assert str(forked.output.a.value) == "${join_f.output.a.value}"
    assert forked.last_ref == "join_f"
