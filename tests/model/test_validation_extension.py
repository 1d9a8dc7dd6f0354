from __future__ import annotations

import pytest

from tests.model.making import Json, fork, ours, problems, task, workflow


@pytest.mark.parametrize(
    "accepted",
    [
        ours(),
        ours(resources=[]),
        ours(resources=[{"name": "r"}, {"name": "s", "weight": 1_000_000, "mode": "shared"}]),
        ours(resources=[{"name": "r", "key": "a"}, {"name": "r", "key": "b"}]),
        ours(resources=[{"name": "r", "mode": "exclusive", "key": "${workflow.input.day}"}]),
        ours(resources=[{"name": "r", "hold": "from t to z"}]),
        ours(priority=0),
        ours(priority=99),
        ours(priority="${workflow.input.p}"),
        ours(weight=0),
        ours(retryDelays=[]),
        ours(retryDelays=[0, 300, 0.5]),
        ours(executor="process", executeWhenRecovering="true"),
        ours(anything=[1, {"at": "all"}]),
        task("SUB_WORKFLOW", subWorkflowParam={"name": "c"}, asyncflow={"priority": 3}),
    ],
)
def test_extension_is_accepted(accepted: Json) -> None:
    assert problems(workflow(accepted, task(ref="z"))) == []


def held(holder: str, extension: Json) -> Json:
    """The extension where the holder's path leads."""
    return {"asyncflow": extension} if holder == "asyncflow" else {"taskDefinition": {"asyncflow": extension}}


@pytest.mark.parametrize(
    ("extension", "part", "message"),
    [
        ({"maxInFlightPerWorker": -1}, "maxInFlightPerWorker", "must be at least 0 (0 for any), not -1"),
        ({"resources": [{}]}, "resources[0].name", "a resource must be named"),
        ({"resources": [{"name": "r", "weight": 0}]}, "resources[0].weight", "must be 1 to 1000000, not 0"),
        (
            {"resources": [{"name": "r", "weight": 1_000_001}]},
            "resources[0].weight",
            "must be 1 to 1000000, not 1000001",
        ),
        (
            {"resources": [{"name": "r"}, {"name": "r"}]},
            "resources[1]",
            "r is named twice: give one use with the sum of the weights",
        ),
        (
            {"resources": [{"name": "r", "hold": "a to b"}]},
            "resources[0].hold",
            "must be 'from A to C' with two references, not 'a to b'",
        ),
        (
            {"resources": [{"name": "r", "hold": "from t to nowhere"}]},
            "resources[0].hold",
            "names 'nowhere', which is no task of this definition",
        ),
        ({"priority": -1}, "priority", "must be 0 to 99, not -1"),
        ({"priority": 100}, "priority", "must be 0 to 99, not 100"),
        ({"priority": "high"}, "priority", "must be 0 to 99 or an expression, not 'high'"),
        ({"weight": -0.1}, "weight", "must be at least 0, not -0.1"),
        ({"retryDelays": [1, -1]}, "retryDelays[1]", "must be 0 to 3162240000 s, not -1"),
        ({"retryDelays": [3_162_240_001]}, "retryDelays[0]", "must be 0 to 3162240000 s, not 3.16224e+09"),
    ],
)
@pytest.mark.parametrize("holder", ["asyncflow", "taskDefinition.asyncflow"])
def test_extension_is_refused(extension: Json, part: str, message: str, holder: str) -> None:

    assert problems(workflow(task() | held(holder, extension))) == [(f"tasks[0].{holder}.{part}", message)]


@pytest.mark.parametrize("holder", ["asyncflow", "taskDefinition.asyncflow"])
def test_sub_workflow_may_not_name_resources(holder: str) -> None:
    extension: Json = {"resources": [{"name": "r"}]}
    child = task("SUB_WORKFLOW", subWorkflowParam={"name": "c"})
    message = "a SUB_WORKFLOW task may not name resources: its child may need them"

    assert problems(workflow(child | held(holder, extension))) == [(f"tasks[0].{holder}.resources", message)]


@pytest.mark.parametrize("ms", [-1, 3_162_240_000_001])
def test_duration_beyond_what_may_be_waited_is_refused(ms: int) -> None:
    message = f"must be 0 to 3162240000000 ms, not {ms}"

    assert problems(workflow(ours("WAIT", durationMs=ms))) == [("tasks[0].asyncflow.durationMs", message)]


# --- dependsOn -------------------------------------------------------------------------------


def chain(**depends: list[str] | None) -> list[Json]:
    return [ours(ref=ref, dependsOn=given) for ref, given in depends.items()]


@pytest.mark.parametrize(
    "tasks",
    [
        chain(a=None, b=None),
        chain(a=[], b=[], c=["a", "b"], d=["a"]),
        chain(a=["c"], b=[], c=["b"]),
        chain(a=[], b=["a", "a"]),
    ],
)
def test_order_is_accepted_in_every_list(tasks: list[Json]) -> None:
    inner = task("FORK_JOIN", "f", forkTasks=[tasks])

    assert problems(workflow(*tasks)) == []
    assert problems(workflow(inner)) == []


@pytest.mark.parametrize(
    ("tasks", "cycle"),
    [
        (chain(a=["a"]), "a -> a"),
        (chain(a=["b"], b=["a"]), "a -> b -> a"),
        (chain(a=["b"], b=None), "a -> b -> a"),
        (chain(x=[], a=["c"], b=["a"], c=["b"]), "a -> b -> c -> a"),
    ],
)
def test_cycle_is_refused_and_shown(tasks: list[Json], cycle: str) -> None:
    ((path, message),) = problems(workflow(*tasks))
    shown = message.removeprefix("dependsOn has a cycle: ").split(" -> ")
    expected = cycle.split(" -> ")
    rotations = [expected[i:-1] + expected[: i + 1] for i in range(len(expected) - 1)]

    assert path == "tasks"
    assert shown in rotations


def test_cycle_of_an_inner_list_is_refused_with_its_path() -> None:
    loop = task("DO_WHILE", "l", loopCondition="", loopOver=chain(a=["b"], b=["a"]))

    assert [path for path, _ in problems(workflow(fork(loop)))] == ["tasks[0].forkTasks[0][0].loopOver"]


def test_long_cycle_is_shortened() -> None:
    names = [f"t{i}" for i in range(10_000)]
    ((_, message),) = problems(workflow(*chain(**{n: [names[i - 1]] for i, n in enumerate(names)})))

    assert message.endswith(" -> …")
    assert len(message) < 400


@pytest.mark.parametrize("reference", ["nowhere", "inner", ""])
def test_dependency_on_no_task_of_the_list_is_refused(reference: str) -> None:
    data = workflow(fork(task(ref="inner")), ours(ref="a", dependsOn=["f", reference]))

    assert problems(data) == [
        ("tasks[1].asyncflow.dependsOn[1]", f"names {reference!r}, which is no task of the same list")
    ]


def test_inner_task_may_not_depend_on_an_outer_one() -> None:
    data = workflow(task(ref="a"), fork(ours(ref="b", dependsOn=["a"])))

    assert [path for path, _ in problems(data)] == ["tasks[1].forkTasks[0][0].asyncflow.dependsOn[0]"]
