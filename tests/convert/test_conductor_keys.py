"""What Conductor has a word for is said in it, what it has none for is named, nothing else changes."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from asyncflow.convert.conductor import lower_to_conductor
from asyncflow.convert.conductor_retries import RetryPolicy, nearest_policy
from asyncflow.convert.hyperflow import HyperflowOptions, import_hyperflow
from asyncflow.convert.wfformat import WfFormatOptions, import_wfformat
from asyncflow.errors import DefinitionError
from asyncflow.model.definition import parse_workflow
from asyncflow.model.extension import TaskExtension, WorkflowExtension
from asyncflow.model.validation import validate_workflow

Json = dict[str, object]


def task(ref: str, needs: list[str] | None = None, *, ours: Json | None = None, **more: object) -> Json:
    """A task with these dependencies and other keys of ours."""
    extension = {**(ours or {}), **({} if needs is None else {"dependsOn": needs})}
    made: Json = {"name": ref, "taskReferenceName": ref, "type": "SIMPLE", **more}
    return made | ({"asyncflow": extension} if extension else {})


def lowered(*tasks: Json, **more: object) -> tuple[list[Json], list[str]]:
    definition, losses = lower_to_conductor({"name": "w", "tasks": list(tasks), **more})
    found = definition["tasks"]
    assert isinstance(found, list)
    return found, losses


def test_plain_definition_is_returned_as_it_is() -> None:
    fork = task("f", type="FORK_JOIN", forkTasks=[[task("a")], [task("b")]])
    definition: Json = {"name": "w", "tasks": [fork, task("j", type="JOIN", joinOn=["a", "b"])], "unknown": 1}

    assert lower_to_conductor(definition) == (definition, [])


def test_given_definition_is_not_changed() -> None:
    definition: Json = {"name": "w", "tasks": [task("a", []), task("b", [])], "asyncflow": {"priority": 1}}
    before = copy.deepcopy(definition)

    lower_to_conductor(definition)

    assert definition == before


@pytest.mark.parametrize(
    "key",
    [
        *("resources", "priority", "weight", "executor", "executeWhenRecovering", "novel"),
        *("reassign", "pinWorkerVersion", "maxInFlightPerWorker", "onStop"),
    ],
)
def test_what_cannot_move_is_named_with_its_tasks(key: str) -> None:
    tasks, losses = lowered(task("a", ours={key: 1}), task("b"), task("c", ours={key: 2}))

    assert len(losses) == 1
    assert losses[0].startswith(f"a, c: {key}: not kept")
    assert not any("asyncflow" in each for each in tasks)


def test_losses_of_many_tasks_are_one_line() -> None:
    losses = lowered(*(task(f"t{n}", ours={"priority": 1}) for n in range(20)))[1]

    assert len(losses) == 1
    assert losses[0].startswith("t0, t1, t2, t3, t4 and 15 more: priority")


def test_workflow_keys_are_named() -> None:
    losses = lowered(task("a"), asyncflow={"failIfFailedWeightAbove": 3})[1]

    assert losses == ["workflow: failIfFailedWeightAbove: not kept: the first failure fails the workflow"]


def test_payload_that_is_called_asyncflow_is_left_alone() -> None:
    tasks, losses = lowered(task("a", inputParameters={"asyncflow": {"dependsOn": ["b"]}}))

    assert tasks[0]["inputParameters"] == {"asyncflow": {"dependsOn": ["b"]}}
    assert losses == []


def test_every_inner_list_is_lowered() -> None:
    pair = [task("x", []), task("y", [])]

    def renamed(prefix: str) -> list[Json]:
        return [{**each, "taskReferenceName": prefix + str(each["taskReferenceName"])} for each in pair]

    switch = task("s", type="SWITCH", decisionCases={"k": renamed("a")}, defaultCase=renamed("b"))
    loop = task("l", type="DO_WHILE", loopOver=renamed("c"))
    fork = task("f", type="FORK_JOIN", forkTasks=[renamed("d")])
    child = task("w", type="SUB_WORKFLOW", subWorkflowParam={"workflowDefinition": {"tasks": renamed("e")}})

    tasks, _ = lowered(switch, loop, fork, task("j", type="JOIN"), child)

    text = json.dumps(tasks)
    assert "dependsOn" not in text
    assert text.count('"FORK_JOIN"') == 6
    assert len(set(text.split('"taskReferenceName": "')[1:])) == text.count("taskReferenceName")


def test_what_follows_a_switch_in_a_branch_waits_for_its_case() -> None:
    switch = task("s", [], type="SWITCH", decisionCases={"k": [task("inner")]})

    tasks, _ = lowered(switch, task("b", []), task("c", ["s", "b"]))

    branches = tasks[0]["forkTasks"]
    assert isinstance(branches, list)
    assert [each["taskReferenceName"] for each in branches[0]] == ["s", "s_ended"]
    assert branches[0][1]["type"] == "NOOP"
    assert tasks[1]["joinOn"] == ["s_ended", "b"]


def test_fork_and_its_join_stay_together() -> None:
    fork = task("f", [], type="FORK_JOIN", forkTasks=[[task("a")]])
    join = task("j", type="JOIN", joinOn=["a"])

    tasks, losses = lowered(fork, join, task("b", []), task("c", ["j"]), task("d", ["j", "b"]))

    branches = tasks[0]["forkTasks"]
    assert isinstance(branches, list)
    assert [each["taskReferenceName"] for each in branches[0]] == ["f", "j"]
    assert losses == ["workflow: outputParameters is empty, and the last task is now a JOIN: name the output"]


def test_starting_later_than_asked_is_named() -> None:
    fork = task("f", [], type="FORK_JOIN", forkTasks=[[task("a")]])

    losses = lowered(fork, task("j", type="JOIN", joinOn=["a"]), task("c", ["f"]))[1]

    assert losses == ["c: starts later than dependsOn asks: a fork and its JOIN are taken as one"]


def test_permissive_task_before_a_join_is_named() -> None:
    losses = lowered(task("a", [], permissive=True), task("b", []), task("c", ["a", "b"]))[1]

    assert any(line.startswith("a: permissive") for line in losses)


def test_exact_wait_is_named_and_its_rounded_duration_kept() -> None:
    wait = task("a", ours={"durationMs": 1500}, type="WAIT", inputParameters={"duration": "2s"})

    tasks, losses = lowered(wait)

    assert tasks[0]["inputParameters"] == {"duration": "2s"}
    assert losses == ["a: durationMs: the wait is rounded up to whole seconds"]


def test_type_of_ours_is_named() -> None:
    losses = lowered(task("a", type="COMMAND"))[1]

    assert losses == ["a: COMMAND is no type of Conductor's: workers must poll a queue of that name"]


@pytest.mark.parametrize(
    ("delays", "count", "policy"),
    [
        ([300], 3, RetryPolicy("FIXED", 300, 0, 0)),
        ([300, 600], 2, RetryPolicy("LINEAR_BACKOFF", 300, 0, 0)),
        ([5, 10, 15], 3, RetryPolicy("LINEAR_BACKOFF", 5, 0, 0)),
        ([1, 2, 4, 8], 4, RetryPolicy("EXPONENTIAL_BACKOFF", 1, 0, 0)),
        ([10, 20], 4, RetryPolicy("LINEAR_BACKOFF", 10, 20, 0)),
        ([1, 2, 4, 5], 8, RetryPolicy("EXPONENTIAL_BACKOFF", 1, 5, 0)),
        ([], 0, RetryPolicy("FIXED", 0, 0, 0)),
        ([0, 0], 2, RetryPolicy("FIXED", 0, 0, 0)),
        ([7], 0, RetryPolicy("FIXED", 0, 0, 0)),
    ],
)
def test_retry_delays_become_an_exact_policy(delays: list[float], count: int, policy: RetryPolicy) -> None:
    assert nearest_policy(delays, count) == policy


def test_retry_delays_without_an_exact_policy_take_the_nearest_and_say_so() -> None:
    tasks, losses = lowered(task("a", ours={"retryDelays": [60, 1, 60]}))

    assert tasks[0]["taskDefinition"] == {
        "name": "a",
        "retryCount": 3,
        "retryLogic": "FIXED",
        "retryDelaySeconds": 60,
    }
    assert losses[1] == "a: retryDelays [60.0, 1.0, 60.0] are only near to FIXED of 60 s"


def test_retry_count_of_the_task_counts() -> None:
    tasks, _ = lowered(task("a", ours={"retryDelays": [5, 10]}, retryCount=1))

    assert tasks[0]["taskDefinition"] == {
        "name": "a",
        "retryCount": 1,
        "retryLogic": "FIXED",
        "retryDelaySeconds": 5,
    }


def test_retry_count_of_the_definition_counts_beside_its_own_delays_only() -> None:
    embedded = {"name": "d", "retryCount": 4, "asyncflow": {"retryDelays": [5]}}

    tasks, _ = lowered(
        task("a", taskDefinition=copy.deepcopy(embedded)),
        task("b", ours={"retryDelays": [8]}, taskDefinition=copy.deepcopy(embedded)),
    )

    policy = {"name": "d", "retryLogic": "FIXED"}
    assert [each["taskDefinition"] for each in tasks] == [
        policy | {"retryCount": 4, "retryDelaySeconds": 5},
        policy | {"retryCount": 1, "retryDelaySeconds": 8},
    ]


def test_embedded_task_definition_is_lowered_and_the_task_wins() -> None:
    embedded = {"name": "d", "timeoutSeconds": 9, "asyncflow": {"retryDelays": [1], "executor": "process"}}

    tasks, losses = lowered(
        task("a", taskDefinition=copy.deepcopy(embedded)),
        task("b", ours={"retryDelays": [8]}, taskDefinition=copy.deepcopy(embedded)),
    )

    policy = {"name": "d", "timeoutSeconds": 9, "retryCount": 1, "retryLogic": "FIXED"}
    assert [each["taskDefinition"] for each in tasks] == [
        policy | {"retryDelaySeconds": 1},
        policy | {"retryDelaySeconds": 8},
    ]
    assert losses == ["a, b: executor: not kept: a worker polls the task"]


def test_task_that_is_no_object_is_refused_by_path() -> None:
    with pytest.raises(DefinitionError, match=r"tasks\[1\]: must be an object"):
        lower_to_conductor({"name": "w", "tasks": [task("a"), 5]})


def test_real_workflows_are_lowered_to_valid_definitions(data_dir: Path) -> None:
    folder = data_dir / "workflows"
    definitions = [
        *(import_hyperflow(file.read_text(), HyperflowOptions()) for file in folder.glob("hyperflow-*.json")),
        *(
            import_wfformat(json.loads(file.read_text()), WfFormatOptions())
            for file in folder.glob("wfformat-*.json")
        ),
    ]

    for definition in definitions:
        result, _ = lower_to_conductor(definition)
        assert validate_workflow(parse_workflow(result)) == []
        assert '"dependsOn"' not in json.dumps(result)


def test_every_key_of_ours_has_its_own_words_for_the_loss() -> None:
    said = {key: lowered(task("a", ours={key: 1}))[1] for key in _ours() - {"dependsOn", "retryDelays"}}

    assert {key for key, losses in said.items() if any("no word for it" in each for each in losses)} == set()


def test_every_key_of_ours_is_in_the_table() -> None:
    page = Path("docs/importing.md").read_text(encoding="utf-8")

    assert {key for key in _ours() if f"`{key}`" not in page} == set()


def _ours() -> set[str]:
    shapes = (TaskExtension, WorkflowExtension)
    return {str(field.alias) for shape in shapes for field in shape.model_fields.values()}
