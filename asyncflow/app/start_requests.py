"""Conductor's StartWorkflowRequest and its kin, read from JSON with Conductor's tolerance.

They carry what a caller asked and judge its shape alone; whether it can be done is said by
`app/starting`. Requests to test a definition are played by `app/simulation`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field

from asyncflow.app.starting import StartRequest
from asyncflow.errors import InvalidInput
from asyncflow.model.limits import Limits
from asyncflow.model.shape import Int, Shape, Text, parse
from asyncflow.model.values import JsonObject
from asyncflow.model.workflow_definition import WorkflowDefinition

Strategy = Literal["FAIL", "RETURN_EXISTING", "FAIL_ON_RUNNING"]
"""What to do where a key was used before: refuse, give what there is, or refuse while that goes on."""

_HASHED = ("name", "version", "workflowDef", "input", "correlationId", "taskToDomain", "priority")


class StartWorkflowRequest(Shape):
    """What to start; see `StartRequest`."""

    name: Text = ""
    version: Int | None = None
    correlation_id: Text | None = None
    input: dict[str, object] = Field(default_factory=dict)
    task_to_domain: dict[str, Text] = Field(default_factory=dict)
    workflow_def: WorkflowDefinition | None = None
    external_input_payload_storage_path: Text | None = None
    priority: Int = 0
    created_by: Text | None = None
    idempotency_key: Text | None = None
    idempotency_strategy: Strategy | None = None

    def to_start(
        self, *, created_by: str = "", request_hash: str = "", is_plain: bool = False
    ) -> StartRequest:
        """The start it asks for; `created_by` is the caller, where callers are known."""
        return StartRequest(
            self.name,
            self.version,
            self.workflow_def,
            self.input,
            self.correlation_id,
            self.priority,
            self.task_to_domain,
            created_by or self.created_by or "",
            self.idempotency_key or None,
            request_hash,
            is_plain,
        )


class Mock(Shape):
    """How one attempt of a task goes in a test; times are milliseconds."""

    status: Literal["IN_PROGRESS", "COMPLETED", "FAILED", "FAILED_WITH_TERMINAL_ERROR"] = "COMPLETED"
    output: dict[str, object] = Field(default_factory=dict)
    execution_time: Annotated[Int, Field(ge=0)] = 0
    queue_wait_time: Annotated[Int, Field(ge=0)] = 0


class WorkflowTestRequest(StartWorkflowRequest):
    """A start, and how every task of it goes; children by the reference of their task."""

    task_ref_to_mock_output: dict[str, list[Mock]] = Field(default_factory=dict)
    sub_workflow_test_request: dict[str, WorkflowTestRequest] = Field(default_factory=dict)


def parse_start_request(body: JsonObject, *, limits: Limits, is_plain: bool = False) -> StartWorkflowRequest:
    """A request from a JSON body; `is_plain` as `shape.parse` has it.

    Raises:
        DefinitionError: the shape is wrong, with every violation.
        InvalidInput: the input is null.
    """
    _check_input(body)
    return parse(StartWorkflowRequest, body, limits=limits, is_plain=is_plain)


def parse_test_request(body: JsonObject, *, limits: Limits) -> WorkflowTestRequest:
    """A request to test from a JSON body; raises as `parse_start_request`."""
    _check_input(body)
    return parse(WorkflowTestRequest, body, limits=limits)


def _check_input(body: JsonObject) -> None:
    """Null is no input, unless it lies elsewhere; a missing one is empty."""
    if "input" in body and body["input"] is None and not body.get("externalInputPayloadStoragePath"):
        raise InvalidInput("NULL input passed when starting workflow")


def request_hash(body: Mapping[str, object]) -> str:
    """What tells one request from another, whatever the order of its keys: 32 hexadecimal digits."""
    told = {key: body[key] for key in _HASHED if body.get(key) is not None}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]
