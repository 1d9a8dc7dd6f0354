"""C68: types of task that plugins bring, performed here without a change of the engine."""

from __future__ import annotations

from collections.abc import Mapping

import asyncflow as af
from asyncflow.app.options import EngineSettings
from asyncflow.model.values import JsonObject
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import JobInput
from asyncflow.plugins.tasks import Context, TaskType


class Message(JobInput):
    to: str
    text: str = ""
    copies: int = 1


class Post(TaskType):
    name = "POST_MESSAGE"
    Input = Message

    async def run(self, ctx: Context, given: object) -> Mapping[str, object]:
        assert isinstance(given, Message)
        return {"sent": f"{given.text} to {given.to}", "attempt": ctx.attempt, "copies": given.copies}


class Pdf(TaskType):
    name = "GENERATE_PDF"

    async def run(self, ctx: Context, given: object) -> Mapping[str, object]:
        return {"printed": given}


class Unmade(TaskType):
    name = "UNMADE"

    def __init__(self) -> None:
        raise RuntimeError("no licence")

    async def run(self, ctx: Context, given: object) -> None:
        """Never come here."""


SETTINGS = EngineSettings(registry=Registry.built_in().with_classes(tasks=[Post, Pdf, Unmade]))


def workflow(kind: str, given: JsonObject, **more: object) -> JsonObject:
    once = {"name": "work", "retryCount": 0}
    task: JsonObject = {"name": "work", "taskReferenceName": "work", "type": kind, "inputParameters": given}
    return {
        "name": "plugged",
        "version": 1,
        "schemaVersion": 2,
        "ownerEmail": "a@example.com",
        "tasks": [{"taskDefinition": once, **task, **more}],
    }


async def ended(kind: str, given: JsonObject, **more: object) -> JsonObject:
    """The task of an execution with this one, after its end."""
    async with af.Engine(settings=SETTINGS) as engine:
        execution = await engine.start(workflow(kind, given, **more))
        await execution.ended()
        tasks = (await execution.get())["tasks"]
    assert isinstance(tasks, list)
    assert isinstance(tasks[-1], dict)
    return tasks[-1]


async def test_a_type_of_a_plugin_is_performed_with_its_checked_input() -> None:
    found = await ended("POST_MESSAGE", {"to": "ops", "text": "${workflow.workflowType}"})

    assert found["status"] == "COMPLETED"
    assert found["outputData"] == {"sent": "plugged to ops", "attempt": 1, "copies": 1}


async def test_input_that_does_not_fit_ends_it_for_good_and_names_the_fields() -> None:
    retried = {"name": "work", "retryCount": 3, "retryDelaySeconds": 0}

    found = await ended("POST_MESSAGE", {"copies": "hunter2", "cc": 1}, taskDefinition=retried)

    assert (found["status"], found["retryCount"]) == ("FAILED_WITH_TERMINAL_ERROR", 0)
    reason = str(found["reasonForIncompletion"])
    assert "input of POST_MESSAGE" in reason
    for field in ("to: Field required", "copies: ", "cc: "):
        assert field in reason
    assert "hunter2" not in reason


async def test_a_type_that_is_known_and_not_built_in_is_performed_where_a_plugin_brings_it() -> None:
    found = await ended("GENERATE_PDF", {"page": "t"})

    assert found["outputData"] == {"printed": {"page": "t"}}


async def test_a_type_that_cannot_be_made_fails_its_tasks_alone() -> None:
    found = await ended("UNMADE", {})

    assert found["status"] == "FAILED"
    assert "no licence" in str(found["reasonForIncompletion"])


async def test_a_type_of_a_plugin_runs_in_a_dynamic_fork() -> None:
    branches = [
        {
            "name": "work",
            "taskReferenceName": f"b{i}",
            "type": "POST_MESSAGE",
            "inputParameters": {"to": f"{i}"},
        }
        for i in range(3)
    ]
    fork: JsonObject = {
        "name": "fork",
        "taskReferenceName": "fork",
        "type": "FORK_JOIN_DYNAMIC",
        "inputParameters": {"tasks": branches, "inputs": {f"b{i}": {"to": str(i)} for i in range(3)}},
        "dynamicForkTasksParam": "tasks",
        "dynamicForkTasksInputParamName": "inputs",
    }
    join: JsonObject = {"name": "join", "taskReferenceName": "join", "type": "JOIN"}
    async with af.Engine(settings=SETTINGS) as engine:
        result = await engine.run({**workflow("NOOP", {}), "tasks": [fork, join]})

    assert [result[f"b{i}"]["sent"] for i in range(3)] == [" to 0", " to 1", " to 2"]  # type: ignore[index]
