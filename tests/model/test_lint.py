from __future__ import annotations

import pytest

from asyncflow.model.definition import parse_task_definition, parse_workflow
from asyncflow.model.validation_lint import lint_task_definition, lint_workflow
from tests.model.making import Json, fork, ours, task, workflow

UNKNOWN = "is not known; it is kept, and has no effect"
LOOSE = "is neither 'workflow' nor a task of this definition"


def warnings(data: Json, **known: list[str]) -> list[tuple[str, str]]:
    return [(each.path, each.message) for each in lint_workflow(parse_workflow(data), **known)]


def loop(ref: str = "l", **fields: object) -> Json:
    return task("DO_WHILE", ref, **({"loopCondition": "", "loopOver": [task(ref=f"{ref}b")]} | fields))


@pytest.mark.parametrize(
    "data",
    [
        workflow(task()),
        workflow(fork(task(ref="a")), task("JOIN", "j", joinOn=["a"])),
        workflow(task("FORK_JOIN_DYNAMIC"), task("JOIN", "j", joinOn=["made_at_run_time"])),
        workflow(task("EXCLUSIVE_JOIN", joinOn=["t"], defaultExclusiveJoinTask=["t"])),
        workflow(loop(items="${workflow.input.list}")),
        workflow(loop(inputParameters={"_items": "${workflow.input.list}"})),
        workflow(task("WAIT", inputParameters={"until": "2024-01-01", "wait_until": "x"})),
        workflow(task("TERMINATE", "a"), ours(ref="b", dependsOn=[])),
        workflow(ours(executor="thread"), ours("DYNAMIC", "d", executor="thread")),
        workflow(
            task("SWITCH", evaluatorType="graaljs"), task("INLINE", "i", inputParameters={"expression": "1"})
        ),
        workflow(task(inputParameters={"x": "${workflow.input.a}"}), inputParameters=["a"]),
        workflow(task(inputParameters={"x": "${workflow.input}"}), inputParameters=["a", "b"]),
        workflow(task(inputParameters={"x": "${workflow.input['a b']}"}), inputParameters=["a"]),
        workflow(task(), inputParameters=["nothing uses any input"]),
        workflow(task(), outputParameters={"o": "${t.output}", "p": "$${x}"}),
        workflow(task("USER_DEFINED")),
        workflow(ours("WAIT", durationMs=1500)),
        workflow(ours(executeWhenRecovering=True), ours("HTTP", "h", executeWhenRecovering=True)),
        workflow(ours(executeWhenRecovering=False, resources=[]), asyncflow={"resources": [], "priority": 5}),
        workflow(ours(priority="${workflow.input.p}", resources=[{"name": "r", "mode": "shared"}])),
    ],
)
def test_nothing_is_said_of_a_good_definition(data: Json) -> None:
    assert warnings(data) == []


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        (workflow(ours(depends=[])), "tasks[0].asyncflow.depends", UNKNOWN),
        (workflow(ours(resources=[{"name": "r", "x": 1}])), "tasks[0].asyncflow.resources[0].x", UNKNOWN),
        (workflow(task(), asyncflow={"dependsOn": []}), "asyncflow.dependsOn", UNKNOWN),
        (
            workflow(task(taskDefinition={"asyncflow": {"dependsOn": []}})),
            "tasks[0].taskDefinition.asyncflow.dependsOn",
            UNKNOWN,
        ),
        (
            workflow(fork(task(ref="a"))),
            "tasks[0].type",
            "a FORK_JOIN must be followed by a JOIN: without it the execution fails",
        ),
        (
            workflow(task("FORK_JOIN_DYNAMIC"), task(ref="a")),
            "tasks[0].type",
            "a FORK_JOIN_DYNAMIC must be followed by a JOIN: without it the execution fails",
        ),
        (
            workflow(task("JOIN", joinOn=["t", "x"])),
            "tasks[0].joinOn[1]",
            "names 'x', which is no task of this definition",
        ),
        (
            workflow(task("EXCLUSIVE_JOIN", defaultExclusiveJoinTask=["x"])),
            "tasks[0].defaultExclusiveJoinTask[0]",
            "names 'x', which is no task of this definition",
        ),
        (
            workflow(task(ref="a__b")),
            "tasks[0].taskReferenceName",
            "avoid '__': loops split reference names there",
        ),
        (
            workflow(
                task("DO_WHILE", ref="l", loopCondition="false", loopOver=[task(ref="a")]), task(ref="a__12")
            ),
            "tasks[1].taskReferenceName",
            "is the name of iteration 12 of 'a' in a loop too: each may find the other's record",
        ),
        (workflow(task("DECISION")), "tasks[0].type", "DECISION is deprecated, use SWITCH"),
        (workflow(task("LAMBDA")), "tasks[0].type", "LAMBDA is deprecated, use INLINE"),
        (
            workflow(task("HTTP_POLL")),
            "tasks[0].type",
            "HTTP_POLL is not built in: without a plugin it waits for a worker that polls that name",
        ),
        (
            workflow(loop(inputParameters={"items": "${workflow.input.list}"})),
            "tasks[0].inputParameters.items",
            "is not iterated over: use the field 'items' or the input '_items'",
        ),
        (
            workflow(loop(loopOver=[loop("inner")])),
            "tasks[0].loopOver[0].type",
            "a loop directly within a loop is not supported by Conductor, use SUB_WORKFLOW",
        ),
        (
            workflow(task("WAIT", inputParameters={"wait_until": "2024-01-01"})),
            "tasks[0].inputParameters.wait_until",
            "is ignored and the task waits for ever: use 'until'",
        ),
        (
            workflow(task("SWITCH", evaluatorType="lua")),
            "tasks[0].evaluatorType",
            "no such evaluator: 'lua'",
        ),
        (
            workflow(task("INLINE", inputParameters={"evaluatorType": 5})),
            "tasks[0].evaluatorType",
            "no such evaluator: '5'",
        ),
        (
            workflow(task("TERMINATE", "a"), task(ref="b")),
            "tasks[0].type",
            "'b' after it is never started",
        ),
        (workflow(ours("WAIT", executor="loop")), "tasks[0].asyncflow.executor", "has no effect on a WAIT"),
        (workflow(task(retryCount=-1)), "tasks[0].retryCount", "a negative number of retries is none"),
        (
            workflow(task(taskDefinition={"timeoutSeconds": 60})),
            "tasks[0].taskDefinition.responseTimeoutSeconds",
            "TaskDef: n_t responseTimeoutSeconds: 3600 must be less than timeoutSeconds: 60",
        ),
        (
            workflow(task(inputParameters={"x": "a ${workflow.input.x"})),
            "tasks[0].inputParameters.x",
            "holds '${' without its '}': it stays as it is",
        ),
        (workflow(task(), outputParameters={"o": ["${x.output}"]}), "outputParameters.o[0]", f"'x' {LOOSE}"),
        (
            workflow(loop(loopOver=[task(inputParameters={"k": "${x.output}"})])),
            "tasks[0].loopOver[0].inputParameters.k",
            f"'x' {LOOSE}",
        ),
        (
            workflow(task(inputParameters={"x": "${workflow.input.a}"}), inputParameters=["a", "b"]),
            "inputParameters[1]",
            "no expression uses the input 'b'",
        ),
        (
            workflow(task(), version=0),
            "version",
            "a version below 1 cannot be asked for: 0 stands for the latest",
        ),
        (
            workflow(ours("WAIT", executeWhenRecovering=True)),
            "tasks[0].asyncflow.executeWhenRecovering",
            "has no effect on a WAIT",
        ),
        (workflow(ours(durationMs=5)), "tasks[0].asyncflow.durationMs", "has no effect on a SIMPLE"),
        (workflow(task(), timeoutSeconds=-1), "timeoutSeconds", "a negative timeout is none"),
    ],
)
def test_doubtful_definition_is_warned_of(data: Json, path: str, message: str) -> None:
    assert warnings(data) == [(path, message)]


def test_task_definition_by_itself_is_warned_of() -> None:
    definition = parse_task_definition({"name": "t", "asyncflow": {"executeWhenRecovering": True, "x": 1}})

    assert [(each.path, each.message) for each in lint_task_definition(definition)] == [
        ("asyncflow.x", UNKNOWN),
    ]


def test_task_types_of_plugins_are_known() -> None:
    assert warnings(workflow(task("HTTP_POLL")), types=["HTTP_POLL"]) == []


def test_names_of_the_environment_are_known() -> None:
    data = workflow(task(), outputParameters={"o": "${REGION}"})

    assert warnings(data, names=["REGION"]) == []
    assert warnings(data) != []


def test_reference_that_a_dynamic_fork_may_make_is_doubted_only() -> None:
    data = workflow(task("FORK_JOIN_DYNAMIC"), task("JOIN", "j"), outputParameters={"o": "${made.output}"})

    assert warnings(data) == [("outputParameters.o", f"'made' {LOOSE}, unless a dynamic fork makes it")]


def test_inline_child_is_linted_with_its_path() -> None:
    child = workflow(task(ref="a__b"), task(ref="c", inputParameters={"k": "${x.output}"}))
    data = workflow(task("SUB_WORKFLOW", subWorkflowParam={"workflowDefinition": child}))
    path = "tasks[0].subWorkflowParam.workflowDefinition.tasks"

    assert [where for where, _ in warnings(data)] == [
        f"{path}[0].taskReferenceName",
        f"{path}[1].inputParameters.k",
    ]
