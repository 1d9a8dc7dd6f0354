"""Definitions as the tests of the kit need them, in few words."""

from __future__ import annotations

from asyncflow.model.values import JsonObject


def workflow(*tasks: JsonObject, name: str = "tested", **fields: object) -> JsonObject:
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": list(tasks), **fields}


def task(ref: str, kind: str = "SIMPLE", **fields: object) -> JsonObject:
    return {"name": ref, "taskReferenceName": ref, "type": kind, **fields}


def loop(ref: str, times: int, *body: JsonObject) -> JsonObject:
    return task(ref, "DO_WHILE", loopCondition=f"$.{ref}.iteration < {times}", loopOver=list(body))


def switch(ref: str, on: str, cases: dict[str, list[JsonObject]], default: list[JsonObject]) -> JsonObject:
    return task(
        ref, "SWITCH", evaluatorType="value-param", expression="on", inputParameters={"on": on},
        decisionCases=cases, defaultCase=default,
    )  # fmt: skip


def child(ref: str, name: str, **given: object) -> JsonObject:
    return task(ref, "SUB_WORKFLOW", subWorkflowParam={"name": name, "version": 1}, inputParameters=given)
