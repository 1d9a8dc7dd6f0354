"""Workflows of every shape for the kill tests, and functions that log each call to a file."""

from __future__ import annotations

import os
from pathlib import Path

import asyncflow as af
from asyncflow.model.values import JsonObject

KINDS = ("chain", "fan", "loop", "parent", "timer")
_LOG: list[int] = []


def log_to(path: Path) -> None:
    """Append to this file from here on; a line survives SIGKILL as soon as it is written."""
    _LOG[:] = [os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)]


def write(*words: object) -> None:
    if _LOG:
        os.write(_LOG[0], (" ".join(str(word) for word in words) + "\n").encode())


@af.task(retries=0)
async def double(ctx: af.TaskContext, n: int) -> JsonObject:
    write("call", ctx.execution_id, ctx.number)
    return {"n": 2 * n}


@af.task(retries=3, retry_delay=0)
async def flaky(ctx: af.TaskContext, n: int) -> JsonObject:
    write("call", ctx.execution_id, ctx.number)
    if ctx.attempt < 3:
        raise af.TaskFailed("not yet")
    return {"n": n + 1, "attempt": ctx.attempt}


@af.task(retries=0)
def in_thread(ctx: af.TaskContext, n: int) -> JsonObject:
    write("call", ctx.execution_id, ctx.number)
    return {"n": n + 100}


FUNCTIONS = (double, flaky, in_thread)


def simple(name: str, ref: str, n: object) -> JsonObject:
    return {"name": name, "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": {"n": n}}


def workflow(name: str, tasks: list[JsonObject], output: JsonObject) -> JsonObject:
    return {
        "name": name,
        "version": 1,
        "schemaVersion": 2,
        "tasks": tasks,
        "outputParameters": output,
        "ownerEmail": "a@example.org",
    }


RETRIED: JsonObject = {
    **simple("flaky", "again", "${first.output.n}"),
    "taskDefinition": {
        "name": "flaky",
        "retryCount": 3,
        "retryDelaySeconds": 0,
        "ownerEmail": "a@example.org",
    },
}
CHAIN = workflow(
    "chain",
    [
        simple("double", "first", "${workflow.input.n}"),
        RETRIED,
        simple("in_thread", "last", "${again.output.n}"),
    ],
    {"n": "${last.output.n}", "attempt": "${again.output.attempt}"},
)
FAN = workflow(
    "fan",
    [
        {
            "name": "fork",
            "taskReferenceName": "fork",
            "type": "FORK_JOIN_DYNAMIC",
            "inputParameters": {
                "forkTaskName": "double",
                "forkTaskInputs": [{"n": number} for number in range(12)],
            },
        },
        {"name": "join", "taskReferenceName": "join", "type": "JOIN"},
        simple("double", "after", "${workflow.input.n}"),
    ],
    {"n": "${after.output.n}", "joined": "${join.output}"},
)
LOOP = workflow(
    "loop",
    [
        {
            "name": "loop",
            "taskReferenceName": "loop",
            "type": "DO_WHILE",
            "inputParameters": {"most": 4},
            "loopCondition": "$.loop['iteration'] < $.most",
            "loopOver": [
                simple("double", "body", "${workflow.input.n}"),
                {
                    "name": "inline",
                    "taskReferenceName": "inline",
                    "type": "INLINE",
                    "inputParameters": {
                        "evaluatorType": "javascript",
                        "expression": "$.n * 10",
                        "n": "${body.output.n}",
                    },
                },
            ],
        },
    ],
    {"iterations": "${loop.output.iteration}", "last": "${inline.output.result}"},
)
PARENT = workflow(
    "parent",
    [
        {
            "name": "child",
            "taskReferenceName": "child",
            "type": "SUB_WORKFLOW",
            "subWorkflowParam": {"name": "chain", "version": 1},
            "inputParameters": {"n": "${workflow.input.n}"},
        },
        simple("double", "after", "${child.output.n}"),
    ],
    {"n": "${after.output.n}"},
)
TIMER = workflow(
    "timer",
    [
        {
            "name": "wait",
            "taskReferenceName": "wait",
            "type": "WAIT",
            "inputParameters": {"duration": "1 seconds"},
        },
        simple("double", "after", "${workflow.input.n}"),
    ],
    {"n": "${after.output.n}"},
)
WORKFLOWS = (CHAIN, FAN, LOOP, PARENT, TIMER)
