"""Workflows of every shape for the kill tests, and functions that log each call to a file.

Their outputs follow from their input alone, so that a run with kills can be compared with one without.
Workflows whose tasks are jobs only are in `job_workflows`; which go together in a load is said in `loads`.
"""

from __future__ import annotations

import asyncflow as af
from asyncflow.model.values import JsonObject
from tests.crash.job_workflows import job
from tests.crash.shared_log import write


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


@af.task(retries=0)
async def step(ctx: af.TaskContext, n: int) -> JsonObject:
    write("call", ctx.execution_id, ctx.number)
    return {"n": n + 1}


@af.task(retries=0)
async def keep(ctx: af.TaskContext, n: str) -> JsonObject:
    write("call", ctx.execution_id, ctx.number)
    return {"n": len(n), "said": n}


FUNCTIONS = (double, flaky, in_thread, step, keep)


def simple(name: str, ref: str, n: object) -> JsonObject:
    """A task that calls a function."""
    return {"name": name, "taskReferenceName": ref, "type": "SIMPLE", "inputParameters": {"n": n}}


def task(kind: str, ref: str, **more: object) -> JsonObject:
    """A task of another type."""
    return {"name": ref, "taskReferenceName": ref, "type": kind, **more}


def again(delay_s: int) -> JsonObject:
    """A task that succeeds at the third time."""
    policy = {"name": "flaky", "retryCount": 3, "retryDelaySeconds": delay_s, "ownerEmail": "a@example.org"}
    return {**simple("flaky", "again", "${first.output.n}"), "taskDefinition": policy}


def child(ref: str, name: str) -> JsonObject:
    """A task that is an execution of another workflow."""
    given = {"n": "${workflow.input.n}"}
    return task("SUB_WORKFLOW", ref, subWorkflowParam={"name": name, "version": 1}, inputParameters=given)


def workflow(name: str, tasks: list[JsonObject], output: JsonObject) -> JsonObject:
    return {
        "name": name,
        "version": 1,
        "schemaVersion": 2,
        "tasks": tasks,
        "outputParameters": output,
        "ownerEmail": "a@example.org",
    }


CHAIN = workflow(
    "chain",
    [
        simple("double", "first", "${workflow.input.n}"),
        again(0),
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
    [child("child", "chain"), simple("double", "after", "${child.output.n}")],
    {"n": "${after.output.n}"},
)
TIMER = workflow(
    "timer",
    [
        task("WAIT", "wait", inputParameters={"duration": "3 seconds"}),
        simple("double", "after", "${workflow.input.n}"),
    ],
    {"n": "${after.output.n}"},
)
BACKOFF = workflow(
    "backoff",
    [simple("double", "first", "${workflow.input.n}"), again(2)],
    {"n": "${again.output.n}", "attempt": "${again.output.attempt}"},
)
SIGNAL = workflow(
    "signal",
    [task("WAIT", "hold"), simple("double", "after", "${hold.output.n}")],
    {"n": "${after.output.n}", "said": "${hold.output}"},
)
SECRET = workflow(
    "secret",
    [simple("keep", "keep", "${workflow.secrets.canary}"), job("token", "sent", n="${keep.output.n}")],
    {"n": "${keep.output.n}", "sent": "${sent.output}"},
)
BLEND = workflow(
    "blend",
    [
        task(
            "FORK_JOIN",
            "fork",
            forkTasks=[
                [job("token", "left"), simple("double", "leftmost", "${left.output.n}")],
                [simple("double", "first", "${workflow.input.n}"), job("tag", "right")],
                [task("WAIT", "pause", inputParameters={"duration": "2 seconds"})],
                [child("down", "job_tag")],
            ],
        ),
        task("JOIN", "join", joinOn=["leftmost", "right", "pause", "down"]),
        simple("double", "after", "${leftmost.output.n}"),
    ],
    {"n": "${after.output.n}", "joined": "${join.output}"},
)
ROUNDS = workflow(
    "rounds",
    [
        task(
            "DO_WHILE",
            "rounds",
            inputParameters={"most": 3},
            loopCondition="$.rounds['iteration'] < $.most",
            loopOver=[job("tag", "outside"), simple("double", "inside", "${outside.output.n}")],
        )
    ],
    {"iterations": "${rounds.output.iteration}", "n": "${inside.output.n}"},
)
TICK = workflow("tick", [simple("step", "once", 1)], {"n": "${once.output.n}"})
STEPS = workflow(
    "steps",
    [
        simple("step", f"s{place}", f"${{s{place - 1}.output.n}}" if place else "${workflow.input.n}")
        for place in range(5)
    ],
    {"n": "${s4.output.n}"},
)
