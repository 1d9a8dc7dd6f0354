"""Definitions and readings that the tests of reopening share."""

from __future__ import annotations

from asyncflow.decide.render import ordered_tasks
from asyncflow.ids import task_id
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonObject, JsonValue
from asyncflow.testing.pure import World

SHORT = {
    "SCHEDULED": "S",
    "IN_PROGRESS": "I",
    "COMPLETED": "C",
    "COMPLETED_WITH_ERRORS": "E",
    "FAILED": "F",
    "FAILED_WITH_TERMINAL_ERROR": "FT",
    "TIMED_OUT": "T",
    "CANCELED": "X",
    "SKIPPED": "K",
}


def workflow(name: str, *tasks: JsonObject, **more: JsonValue) -> JsonObject:
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": list(tasks), **more}


def simple(ref: str, **more: JsonValue) -> JsonObject:
    return {"name": ref, "taskReferenceName": ref, "type": "SIMPLE", "retryCount": 0, **more}


def system(ref: str, kind: str, **inputs: JsonValue) -> JsonObject:
    return {"name": ref, "taskReferenceName": ref, "type": kind, "inputParameters": inputs}


def sub(ref: str, name: str, **more: JsonValue) -> JsonObject:
    made: JsonObject = {"name": ref, "taskReferenceName": ref, "type": "SUB_WORKFLOW"}
    return {**made, "subWorkflowParam": {"name": name}, "inputParameters": {"for": ref}, **more}


def fork(ref: str, *branches: list[JsonObject]) -> list[JsonObject]:
    """A fork and the JOIN of the last task of each branch, `<ref>_join`."""
    ends: list[JsonValue] = [branch[-1]["taskReferenceName"] for branch in branches]
    forking: JsonObject = {
        "name": ref,
        "taskReferenceName": ref,
        "type": "FORK_JOIN",
        "forkTasks": list(branches),
    }
    return [
        forking,
        {"name": f"{ref}_join", "taskReferenceName": f"{ref}_join", "type": "JOIN", "joinOn": ends},
    ]


def dynamic_fork(ref: str) -> list[JsonObject]:
    """A fork of the tasks in `workflow.input.tasks`, and its JOIN."""
    forking: JsonObject = {
        "name": ref,
        "taskReferenceName": ref,
        "type": "FORK_JOIN_DYNAMIC",
        "dynamicForkTasksParam": "tasks",
        "dynamicForkTasksInputParamName": "inputs",
        "inputParameters": {"tasks": "${workflow.input.tasks}", "inputs": {}},
    }
    return [forking, {"name": f"{ref}_join", "taskReferenceName": f"{ref}_join", "type": "JOIN"}]


def loop(ref: str, *body: JsonObject, times: int = 2) -> JsonObject:
    return {
        "name": ref,
        "taskReferenceName": ref,
        "type": "DO_WHILE",
        "loopCondition": f"$.{ref}.iteration < {times}",
        "loopOver": list(body),
    }


def switch(ref: str, param: JsonValue, **cases: list[JsonObject]) -> JsonObject:
    default = cases.pop("default", [])
    return {
        "name": ref,
        "taskReferenceName": ref,
        "type": "SWITCH",
        "evaluatorType": "value-param",
        "expression": "to",
        "inputParameters": {"to": param},
        "decisionCases": dict(cases),
        "defaultCase": default,
    }


def scripts(language: str, source: str, given: object) -> JsonValue:
    """What the scripts of these definitions give: loop conditions, `1 + 1`, and a jq that may fail."""
    assert isinstance(given, dict)
    if "iteration" in source:
        ref, _, limit = source.removeprefix("$.").partition(".iteration < ")
        return bool(given[ref]["iteration"] < int(limit))
    if language == "jq":
        return [given["value"]]
    return 2


def world(*definitions: JsonObject) -> World:
    made = World(scripts=scripts)
    made.register(*definitions)
    return made


def rows(state: ExecutionState) -> list[str]:
    """Every record in the order shown to users: reference, status; `*` behind what was superseded."""
    return [f"{t.ref} {SHORT[t.status]}{'*' if t.superseded else ''}" for t in ordered_tasks(state)]


def kept(state: ExecutionState, *refs: str) -> list[tuple[str, int, int, int]]:
    """What must not change of a record that is not run again."""
    tasks = [state.by_ref[ref] for ref in refs]
    return [(t.status, t.number, t.ended_ms, t.retry_count) for t in tasks]


def identity(state: ExecutionState, task: TaskState) -> str:
    return task_id(state.execution_id, task.number)


def child_id(state: ExecutionState, ref: str) -> str:
    more = state.by_ref[ref].more
    assert more is not None
    assert more.child_id is not None
    return more.child_id
