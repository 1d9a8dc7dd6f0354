"""What lint says of tasks whose type a plugin brings."""

from __future__ import annotations

from asyncflow.app.checking import check_workflow
from asyncflow.model.definition import parse_workflow
from asyncflow.model.values import JsonObject
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import JobInput
from asyncflow.plugins.tasks import Context, TaskType


class Message(JobInput):
    to: str
    text: str = ""


class Post(TaskType):
    name = "POST_MESSAGE"
    Input = Message

    async def run(self, ctx: Context, given: object) -> None:
        """Post."""


def told(given: JsonObject, registry: Registry | None) -> list[str]:
    task = {"name": "post", "taskReferenceName": "post", "type": "POST_MESSAGE", "inputParameters": given}
    definition = parse_workflow(
        {"name": "w", "version": 1, "schemaVersion": 2, "ownerEmail": "a@example.com", "tasks": [task]}
    )
    return [f"{each.path}: {each.message}" for each in check_workflow(definition, registry)]


def test_a_type_of_a_plugin_is_known_and_its_input_is_read() -> None:
    plugins = Registry.built_in().with_classes(tasks=[Post])

    assert told({"to": "ops", "text": "${workflow.input.text}"}, plugins) == []
    assert told({"txt": "hello"}, plugins) == [
        "tasks[0].inputParameters.txt: POST_MESSAGE takes no such input (did you mean text?)",
        "tasks[0].inputParameters: POST_MESSAGE needs to, unless the task definition's template gives it",
    ]


def test_without_the_plugin_the_type_is_a_queue() -> None:
    (said,) = told({"to": "ops"}, None)

    assert "without a plugin it waits for a worker" in said
