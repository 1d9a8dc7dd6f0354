"""Workflows in the forms in which a test has them: built, parsed, JSON values, files.

It reads and parses; rules are judged when a definition is registered or started. Read
`testing/kit` next.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from asyncflow.errors import InvalidInput
from asyncflow.model.definition import (
    TaskDefinition,
    WorkflowDefinition,
    parse_task_definition,
    parse_workflow,
)
from asyncflow.model.documents import parse_document
from asyncflow.model.values import JsonObject
from asyncflow.sdk.workflow import Workflow
from asyncflow.testing.answering import STUB_INPUT, STUB_REF

Runnable = Workflow | WorkflowDefinition | JsonObject | Path
"""A workflow as a test has it: built, parsed, JSON values, or a file of JSON or YAML."""

Registrable = Runnable | TaskDefinition
"""What can be registered before a run; JSON without `tasks` is a task definition."""


def workflow_definition(workflow: Runnable) -> WorkflowDefinition:
    """The definition of a workflow in any of the forms a test has it in.

    Raises:
        InvalidInput: a file is malformed, or holds no workflow.
        DefinitionError: the values have not the shape of one.
    """
    definition = any_definition(workflow)
    if isinstance(definition, TaskDefinition):
        raise InvalidInput(f"{definition.name} is a task definition, not a workflow", field="workflow")
    return definition


def any_definition(body: Registrable) -> WorkflowDefinition | TaskDefinition:
    """The definition of whatever can be registered. Raises as `workflow_definition`."""
    if isinstance(body, WorkflowDefinition | TaskDefinition):
        return body
    values: object = body
    if isinstance(body, Workflow):
        values = body.to_definition()
    elif isinstance(body, Path):
        values = parse_document(body.read_bytes())
    if isinstance(values, Mapping) and "tasks" not in values and "name" in values:
        return parse_task_definition(values)
    return parse_workflow(values)


def stub(name: str, version: int) -> WorkflowDefinition:
    """A workflow whose one task gets the child's whole input and gives its whole output."""
    task = {
        "name": name,
        "taskReferenceName": STUB_REF,
        "type": "SIMPLE",
        "inputParameters": {STUB_INPUT: "${workflow.input}"},
        "taskDefinition": {"name": name, "retryCount": 0, "responseTimeoutSeconds": 0},
    }
    return parse_workflow({"name": name, "version": version, "schemaVersion": 2, "tasks": [task]})
