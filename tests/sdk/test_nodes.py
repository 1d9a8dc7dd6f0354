"""Every task type as the builder writes it, compared with the JSON an author would write."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from asyncflow.model.definition import parse_workflow
from asyncflow.model.validation import validate_workflow
from asyncflow.sdk import operators as nodes
from asyncflow.sdk.composition import Block, Node
from asyncflow.sdk.references import Reference
from asyncflow.sdk.workflow import Workflow

Make = Callable[[], Block]

x = Reference("workflow.input.x")
X = "${workflow.input.x}"


def noop_json(ref: str) -> dict[str, object]:
    return {"name": ref, "taskReferenceName": ref, "type": "NOOP"}


def named(task_type: str, ref: str, **fields: object) -> dict[str, object]:
    return {"name": ref, "taskReferenceName": ref, "type": task_type, **fields}


def noop(ref: str) -> Node:
    return nodes.noop(ref=ref)


ONE_TASK: list[tuple[Make, dict[str, object]]] = [
    (
        lambda: nodes.simple("mail", ref="m", inputs={"to": x}),
        {"name": "mail", "taskReferenceName": "m", "type": "SIMPLE", "inputParameters": {"to": X}},
    ),
    (lambda: nodes.simple("mail"), named("SIMPLE", "mail")),
    (
        lambda: nodes.dynamic(x, ref="d", inputs={"a": 1}),
        named(
            "DYNAMIC",
            "d",
            dynamicTaskNameParam="taskToExecute",
            inputParameters={"taskToExecute": X, "a": 1},
        ),
    ),
    (
        lambda: nodes.switch(x, cases={"a": noop("n"), 2: [], True: [noop("p"), noop("q")], None: noop("r")}),
        named(
            "SWITCH",
            "switch",
            evaluatorType="value-param",
            expression="switchCaseValue",
            inputParameters={"switchCaseValue": X},
            decisionCases={
                "a": [noop_json("n")],
                "2": [],
                "true": [noop_json("p"), noop_json("q")],
                "null": [noop_json("r")],
            },
        ),
    ),
    (
        lambda: nodes.switch(
            "$.a > 1 ? 'big' : 'small'",
            cases={"big": noop("n")},
            default=noop("e"),
            evaluator="javascript",
            inputs={"a": x},
        ),
        named(
            "SWITCH",
            "switch",
            evaluatorType="javascript",
            expression="$.a > 1 ? 'big' : 'small'",
            inputParameters={"a": X},
            decisionCases={"big": [noop_json("n")]},
            defaultCase=[noop_json("e")],
        ),
    ),
    (
        lambda: nodes.loop(noop("n"), condition="$.n.done", ref="l", inputs={"a": x}, keep_last=2),
        named(
            "DO_WHILE",
            "l",
            loopCondition="$.n.done",
            loopOver=[noop_json("n")],
            inputParameters={"a": X, "keepLastN": 2},
        ),
    ),
    (
        lambda: nodes.loop([noop("n"), noop("m")], times=3, ref="l"),
        named(
            "DO_WHILE",
            "l",
            loopCondition="$['l']['iteration'] < 3",
            loopOver=[noop_json("n"), noop_json("m")],
        ),
    ),
    (
        lambda: nodes.loop(noop("n"), times=x, ref="l"),
        named(
            "DO_WHILE",
            "l",
            loopCondition="$['l']['iteration'] < $.times",
            loopOver=[noop_json("n")],
            inputParameters={"times": X},
        ),
    ),
    (
        lambda: nodes.loop(lambda it: nodes.jq(".a", ref="q", inputs={"a": it.item, "i": it.index}), over=x),
        named(
            "DO_WHILE",
            "loop",
            loopCondition="",
            items=X,
            loopOver=[
                named(
                    "JSON_JQ_TRANSFORM",
                    "q",
                    inputParameters={
                        "queryExpression": ".a",
                        "a": "${loop.output.loopItem}",
                        "i": "${loop.output.loopIndex}",
                    },
                )
            ],
        ),
    ),
    (
        lambda: nodes.loop(noop("n"), over=[1, x], condition="true"),
        named(
            "DO_WHILE",
            "loop",
            loopCondition="true",
            inputParameters={"_items": [1, X]},
            loopOver=[noop_json("n")],
        ),
    ),
    (
        lambda: nodes.sub_workflow("child", version=3, ref="s", inputs={"a": x}, params={"priority": 7}),
        named(
            "SUB_WORKFLOW",
            "s",
            subWorkflowParam={"name": "child", "version": 3, "priority": 7},
            inputParameters={"a": X},
        ),
    ),
    (
        lambda: nodes.sub_workflow("child", version=1, definition=x, ref="s"),
        named("SUB_WORKFLOW", "s", subWorkflowParam={"name": "child", "version": 1, "workflowDefinition": X}),
    ),
    (
        lambda: nodes.start_workflow(
            "other", version=2, start_input={"a": x}, correlation_id="c", execution_priority=3, ref="s"
        ),
        named(
            "START_WORKFLOW",
            "s",
            inputParameters={
                "startWorkflow": {
                    "name": "other",
                    "version": 2,
                    "input": {"a": X},
                    "correlationId": "c",
                    "priority": 3,
                }
            },
        ),
    ),
    (lambda: nodes.wait(seconds=5), named("WAIT", "wait", inputParameters={"duration": "5s"})),
    (
        lambda: nodes.wait(seconds=timedelta(minutes=1)),
        named("WAIT", "wait", inputParameters={"duration": "60s"}),
    ),
    (lambda: nodes.wait(seconds=x), named("WAIT", "wait", inputParameters={"duration": f"{X}s"})),
    (
        lambda: nodes.wait(duration="2 hours"),
        named("WAIT", "wait", inputParameters={"duration": "2 hours"}),
    ),
    (
        lambda: nodes.wait_until(datetime(2030, 1, 2, 3, 4, tzinfo=UTC)),
        named("WAIT", "wait", inputParameters={"until": "2030-01-02 03:04 UTC"}),
    ),
    (
        lambda: nodes.wait_until(datetime(2030, 1, 2, 0, 59, 1, tzinfo=timezone(timedelta(hours=1)))),
        named("WAIT", "wait", inputParameters={"until": "2030-01-02 00:00 UTC"}),
    ),
    (
        lambda: nodes.wait_until(date(2030, 1, 2)),
        named("WAIT", "wait", inputParameters={"until": "2030-01-02"}),
    ),
    (lambda: nodes.wait_until(x), named("WAIT", "wait", inputParameters={"until": X})),
    (nodes.wait_for_signal, named("WAIT", "wait")),
    (lambda: nodes.human(inputs={"form": "f"}), named("HUMAN", "human", inputParameters={"form": "f"})),
    (
        lambda: nodes.event("conductor:e", inputs={"a": 1}, async_complete=True),
        named("EVENT", "event", sink="conductor:e", inputParameters={"a": 1}, asyncComplete=True),
    ),
    (lambda: nodes.event(x), named("EVENT", "event", sink=X)),
    (
        lambda: nodes.http("http://h/"),
        named("HTTP", "http", inputParameters={"http_request": {"uri": "http://h/", "method": "GET"}}),
    ),
    (
        lambda: nodes.http(
            x,
            method="POST",
            headers={"A": x},
            body={"b": x},
            accept="text/plain",
            content_type="application/json",
            connect_timeout=1.5,
            read_timeout=30,
        ),
        named(
            "HTTP",
            "http",
            inputParameters={
                "http_request": {
                    "uri": X,
                    "method": "POST",
                    "headers": {"A": X},
                    "body": {"b": X},
                    "accept": "text/plain",
                    "contentType": "application/json",
                    "connectionTimeOut": 1500,
                    "readTimeOut": 30000,
                }
            },
        ),
    ),
    (
        lambda: nodes.inline("$.a + 1", inputs={"a": x}),
        named(
            "INLINE",
            "inline",
            inputParameters={"evaluatorType": "javascript", "expression": "$.a + 1", "a": X},
        ),
    ),
    (
        lambda: nodes.jq(".a", inputs={"a": x}),
        named("JSON_JQ_TRANSFORM", "jq", inputParameters={"queryExpression": ".a", "a": X}),
    ),
    (
        lambda: nodes.set_variables({"a": x, "b": None}),
        named("SET_VARIABLE", "set_variables", inputParameters={"a": X, "b": None}),
    ),
    (
        lambda: nodes.terminate("FAILED", reason="no", output={"a": x}),
        named(
            "TERMINATE",
            "terminate",
            inputParameters={
                "terminationStatus": "FAILED",
                "terminationReason": "no",
                "workflowOutput": {"a": X},
            },
        ),
    ),
    (nodes.noop, noop_json("noop")),
    (
        lambda: nodes.command("ls", ["-l", x], workdir="/tmp", inputs={"env": {"A": "1"}}),
        named(
            "COMMAND",
            "command",
            inputParameters={"executable": "ls", "args": ["-l", X], "workdir": "/tmp", "env": {"A": "1"}},
        ),
    ),
    (lambda: nodes.custom("HTTP_POLL", ref="k"), named("HTTP_POLL", "k")),
    (
        lambda: nodes.exclusive_join(["a", noop("b")], default=["c"], ref="j", after=[]),
        named(
            "EXCLUSIVE_JOIN",
            "j",
            joinOn=["a", "b"],
            defaultExclusiveJoinTask=["c"],
            asyncflow={"dependsOn": []},
        ),
    ),
]


@pytest.mark.parametrize(("make", "task"), ONE_TASK)
def test_node_is_written_as_its_json(make: Make, task: dict[str, object]) -> None:
    with Workflow("w") as wf:
        node = make()
        wf.add(*[made for made in wf._made if not made.owner and made is not node])
        _ = wf >> node
    definition = wf.to_definition()

    assert isinstance(definition["tasks"], list)
    assert definition["tasks"][0] == task
    assert [str(v) for v in validate_workflow(parse_workflow(definition))] == []
