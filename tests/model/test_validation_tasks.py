from __future__ import annotations

import pytest

from asyncflow.model.definition import parse_task_definition
from asyncflow.model.validation import Known
from tests.model.making import Json, problems, task, workflow

CASES: Json = {"a": [task(ref="c")]}
BODY = [task(ref="b")]
ENDS = (
    "terminate task must have an terminationStatus parameter and must be set to COMPLETED or FAILED, "
    "taskName: n_t"
)
EXCLUDES = "dynamicForkJoinTasksParam excludes dynamicForkTasksParam and dynamicForkTasksInputParamName"


def inputs(kind: str, **values: object) -> Json:
    return task(kind, inputParameters=values)


def required(field: str, kind: str) -> str:
    return f"{field} field is required for taskType: {kind} taskName: n_t"


def one_task(field: str, kind: str) -> str:
    return f"{field} should have atleast one task for taskType: {kind} taskName: n_t"


@pytest.mark.parametrize(
    "accepted",
    [
        task(),
        task("ANY_UNKNOWN_TYPE"),
        task(startDelay=0),
        task("HUMAN", name="a label: with a colon"),
        task("EVENT", sink="conductor"),
        task("DECISION", caseValueParam="k", decisionCases=CASES),
        task("DECISION", caseExpression="$.x", decisionCases={"a": []}),
        task("SWITCH", evaluatorType="value-param", expression="k", decisionCases=CASES),
        task("SWITCH", evaluatorType="", expression="", decisionCases=CASES),
        task("DYNAMIC", dynamicTaskNameParam="k"),
        task("FORK_JOIN", forkTasks=[[task(ref="a")], [task(ref="b")]]),
        inputs("FORK_JOIN_DYNAMIC", forkTaskInputs="${workflow.input.list}"),
        task("FORK_JOIN_DYNAMIC", dynamicForkJoinTasksParam="k"),
        task("FORK_JOIN_DYNAMIC", dynamicForkTasksParam="k", dynamicForkTasksInputParamName="i"),
        inputs("HTTP", http_request={}),
        inputs("HTTP", uri="http://x", method="GET"),
        inputs("KAFKA_PUBLISH", kafka_request={}),
        inputs("JSON_JQ_TRANSFORM", queryExpression="."),
        inputs("TERMINATE", terminationStatus="COMPLETED"),
        inputs("TERMINATE", terminationStatus="FAILED"),
        inputs("TERMINATE", terminationStatus="TERMINATED"),
        task("DO_WHILE", loopCondition="", loopOver=BODY),
        task("SUB_WORKFLOW", subWorkflowParam={"name": "c"}),
        task("SUB_WORKFLOW", subWorkflowParam={"workflowDefinition": "${workflow.input.d}"}),
        inputs("WAIT"),
        inputs("WAIT", duration="2 hours 30 minutes"),
        inputs("WAIT", duration="${workflow.input.d}"),
        inputs("WAIT", until="2024-01-01 10:00 PST"),
        inputs("WAIT", until="${workflow.input.u}"),
        task("JOIN", joinOn=["nowhere"]),
        *(
            task(kind)
            for kind in ("EXCLUSIVE_JOIN", "NOOP", "INLINE", "LAMBDA", "SET_VARIABLE", "START_WORKFLOW")
        ),
    ],
    ids=lambda each: f"{each['type']}",
)
def test_task_is_accepted(accepted: Json) -> None:
    assert problems(workflow(accepted)) == []


@pytest.mark.parametrize(
    ("refused", "part", "message"),
    [
        (task(name=""), "name", "WorkflowTask name cannot be empty or null"),
        (task(ref=""), "taskReferenceName", "WorkflowTask taskReferenceName name cannot be empty or null"),
        (task(""), "type", "WorkflowTask type cannot be empty or null"),
        (task(startDelay=-1), "startDelay", "startDelay: -1 should be minimum 0"),
        (
            task(name="a:b"),
            "name",
            "task name 'a:b' must not contain ':', which separates domains in queue names",
        ),
        (task("a:b"), "type", "task type 'a:b' must not contain ':', which separates domains in queue names"),
        (task("EVENT"), "sink", required("sink", "EVENT")),
        (
            task("DECISION", decisionCases=CASES),
            "caseValueParam",
            required("caseValueParam or caseExpression", "DECISION"),
        ),
        (task("DECISION", caseValueParam="k"), "decisionCases", one_task("decisionCases", "DECISION")),
        (
            task("SWITCH", expression="k", decisionCases=CASES),
            "evaluatorType",
            required("evaluatorType", "SWITCH"),
        ),
        (
            task("SWITCH", evaluatorType="value-param", decisionCases=CASES),
            "expression",
            required("expression", "SWITCH"),
        ),
        (
            task("SWITCH", evaluatorType="value-param", expression="k", defaultCase=BODY),
            "decisionCases",
            one_task("decisionCases", "SWITCH"),
        ),
        (task("DYNAMIC"), "dynamicTaskNameParam", required("dynamicTaskNameParam", "DYNAMIC")),
        (task("FORK_JOIN"), "forkTasks", one_task("forkTasks", "FORK_JOIN")),
        (
            task("FORK_JOIN", forkTasks=[[task(ref="a")], []]),
            "forkTasks[1]",
            "a branch of a fork must not be empty, taskName: n_t",
        ),
        (
            task("FORK_JOIN_DYNAMIC", dynamicForkTasksInputParamName="i"),
            "dynamicForkTasksParam",
            required("dynamicForkTasksParam", "FORK_JOIN_DYNAMIC"),
        ),
        (
            task("FORK_JOIN_DYNAMIC", dynamicForkTasksParam="k"),
            "dynamicForkTasksInputParamName",
            required("dynamicForkTasksInputParamName", "FORK_JOIN_DYNAMIC"),
        ),
        (
            task("FORK_JOIN_DYNAMIC", dynamicForkJoinTasksParam="k", dynamicForkTasksParam="x"),
            "dynamicForkJoinTasksParam",
            f"{EXCLUDES} for taskType: FORK_JOIN_DYNAMIC taskName: n_t",
        ),
        (
            inputs("HTTP", body={}),
            "inputParameters.http_request",
            required("inputParameters.http_request", "HTTP"),
        ),
        (
            task("KAFKA_PUBLISH"),
            "inputParameters.kafka_request",
            required("inputParameters.kafka_request", "KAFKA_PUBLISH"),
        ),
        (
            task("JSON_JQ_TRANSFORM"),
            "inputParameters.queryExpression",
            required("inputParameters.queryExpression", "JSON_JQ_TRANSFORM"),
        ),
        (task("TERMINATE"), "inputParameters.terminationStatus", ENDS),
        (
            inputs("TERMINATE", terminationStatus="${workflow.input.s}"),
            "inputParameters.terminationStatus",
            ENDS,
        ),
        (inputs("TERMINATE", terminationStatus=[]), "inputParameters.terminationStatus", ENDS),
        (
            task("TERMINATE", optional=True, inputParameters={"terminationStatus": "FAILED"}),
            "optional",
            "terminate task cannot be optional, taskName: n_t",
        ),
        (task("DO_WHILE", loopOver=BODY), "loopCondition", required("loopCondition", "DO_WHILE")),
        (task("DO_WHILE", loopCondition=""), "loopOver", required("loopOver", "DO_WHILE")),
        (task("SUB_WORKFLOW"), "subWorkflowParam", required("subWorkflowParam", "SUB_WORKFLOW")),
        (
            task("SUB_WORKFLOW", subWorkflowParam={"version": 1}),
            "subWorkflowParam.name",
            "a name or a workflowDefinition is required for taskType: SUB_WORKFLOW taskName: n_t",
        ),
        (
            inputs("WAIT", duration="1s", until="2024-01-01"),
            "inputParameters",
            "Both 'duration' and 'until' specified. Please provide only one input, taskName: n_t",
        ),
        (
            inputs("WAIT", duration=None),
            "inputParameters.duration",
            "Either date or duration is passed as null , taskName: n_t",
        ),
        (
            inputs("WAIT", duration=10),
            "inputParameters.duration",
            "duration: not like '2 hours 30 minutes': '10', taskName: n_t",
        ),
        (
            inputs("WAIT", until="tomorrow"),
            "inputParameters.until",
            "until: Unable to parse date 'tomorrow': use yyyy-MM-dd HH:mm z, taskName: n_t",
        ),
    ],
)
def test_task_is_refused_wherever_it_stands(refused: Json, part: str, message: str) -> None:
    nested = task("FORK_JOIN", "outer", forkTasks=[[task(ref="first"), refused]])

    assert problems(workflow(refused)) == [(f"tasks[0].{part}", message)]
    assert problems(workflow(nested)) == [(f"tasks[0].forkTasks[0][1].{part}", message)]


@pytest.mark.parametrize(
    ("kind", "key"),
    [("HTTP", "http_request"), ("KAFKA_PUBLISH", "kafka_request"), ("JSON_JQ_TRANSFORM", "queryExpression")],
)
def test_input_may_come_from_the_template_of_the_task_definition(kind: str, key: str) -> None:
    definition = {"name": "n_t", "inputTemplate": {key: {}}}
    known = Known(task_definitions={"n_t": parse_task_definition(definition)})

    assert problems(workflow(task(kind)), known=known) == []
    assert problems(workflow(task(kind, taskDefinition=definition))) == []
    assert problems(workflow(task(kind, taskDefinition={"name": "n_t"})), known=known) != []
