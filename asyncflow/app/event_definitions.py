"""An event handler as Conductor writes it, read and checked: what it listens to, when it acts, and how.

Texts of actions may hold expressions, so that their meaning is only known with a message; it is given
by `event_actions`. Documents are kept by `app/event_handlers`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from asyncflow.app.payloads import check_payload, check_texts
from asyncflow.decide.expressions import Template, compile_template
from asyncflow.errors import DefinitionError, InvalidInput, Violation
from asyncflow.model.limits import Limits
from asyncflow.model.shape import FIRST_FAULT, Flag, IntegerOrText, Shape, Text, parse
from asyncflow.model.values import JsonObject

ActionKind = Literal[
    "start_workflow",
    "complete_task",
    "fail_task",
    "terminate_workflow",
    "update_workflow_variables",
    "start_agent",
]

_SCRIPTS = ("", "javascript", "graaljs")
_VALUE = "value-param"
_MOST_ACTIONS = 100
_NAME = 255  # characters

Given = dict[str, object] | Text
"""A map, or an expression that gives one."""


class StartDetails(Shape):
    """What `start_workflow` asks for."""

    name: Text = ""
    version: IntegerOrText | None = None
    correlation_id: Text | None = None
    input: Given = Field(default_factory=dict)
    task_to_domain: Given | None = None


class TaskDetails(Shape):
    """What `complete_task` and `fail_task` ask for."""

    workflow_id: Text | None = None
    task_ref_name: Text | None = None
    task_id: Text | None = None
    output: Given = Field(default_factory=dict)
    reason_for_incompletion: Text | None = None


class TerminateDetails(Shape):
    """What `terminate_workflow` asks for."""

    workflow_id: Text | None = None
    termination_reason: Text | None = None


class VariablesDetails(Shape):
    """What `update_workflow_variables` asks for."""

    workflow_id: Text | None = None
    variables: Given = Field(default_factory=dict)
    append_array: Flag = False


class ActionShape(Shape):
    """One action; what it asks for stands under its own name."""

    action: ActionKind
    start_workflow: StartDetails | None = Field(None, alias="start_workflow")
    complete_task: TaskDetails | None = Field(None, alias="complete_task")
    fail_task: TaskDetails | None = Field(None, alias="fail_task")
    terminate_workflow: TerminateDetails | None = Field(None, alias="terminate_workflow")
    update_workflow_variables: VariablesDetails | None = Field(None, alias="update_workflow_variables")
    start_agent: dict[str, object] | None = Field(None, alias="start_agent")
    expand_inline_json: Flag = Field(default=False, alias="expandInlineJSON")


class EventHandlerShape(Shape):
    """The document; see Conductor's EventHandler."""

    name: Text = ""
    event: Text = ""
    condition: Text | None = None
    evaluator_type: Text | None = None
    active: Flag = False
    actions: Annotated[list[ActionShape], FIRST_FAULT] = Field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Action:
    """What is done with a message; `template` gives the details for its payload."""

    kind: ActionKind
    template: Template
    expands: bool


@dataclass(frozen=True, slots=True)
class Handler:
    """A handler that can be given messages.

    Attributes:
        body: the document as it is stored.
        condition: a script, or with `is_value` the name of a field; blank for every message.
    """

    name: str
    event: str
    body: JsonObject
    condition: str
    is_value: bool
    is_active: bool
    actions: tuple[Action, ...]

    @property
    def only_starts(self) -> bool:
        """Whether the order in which it acts on messages does not matter."""
        return all(action.kind == "start_workflow" for action in self.actions)


def parse_handler(body: JsonObject, *, limits: Limits) -> Handler:
    """A handler read from its document.

    Raises:
        DefinitionError: its shape is wrong, with every violation.
        InvalidInput: something is missing; the message says what, in Conductor's words.
        LimitExceeded: something in it is too large.
    """
    checked, _ = check_payload(body, "event handler", limits)
    parsed = parse(EventHandlerShape, checked, limits=limits)
    if not parsed.name:
        raise InvalidInput("Missing event handler name")
    if not parsed.event:
        raise InvalidInput("Missing event location")
    if len(parsed.name) > _NAME or len(parsed.event) > _NAME:
        raise InvalidInput(f"texts of at most {_NAME} characters are expected", field="name, event")
    if not parsed.actions:
        raise InvalidInput("No actions specified. Please specify at-least one action")
    if len(parsed.actions) > _MOST_ACTIONS:
        raise DefinitionError([Violation("actions", f"at most {_MOST_ACTIONS} are taken")])
    check_texts(name=parsed.name, event=parsed.event, condition=parsed.condition)
    evaluator = (parsed.evaluator_type or "").lower()
    if evaluator not in (*_SCRIPTS, _VALUE):
        raise InvalidInput(
            f"javascript or {_VALUE} is expected, not {evaluator!r:.80}", field="evaluatorType"
        )
    return Handler(
        parsed.name,
        parsed.event,
        checked,
        (parsed.condition or "").strip(),
        evaluator == _VALUE,
        parsed.active,
        tuple(_action(each, index) for index, each in enumerate(parsed.actions)),
    )


def _action(shape: ActionShape, index: int) -> Action:
    details = getattr(shape, shape.action)
    if details is None:
        raise DefinitionError([Violation(f"actions[{index}].{shape.action}", "must be present")])
    given = details if isinstance(details, dict) else details.model_dump(by_alias=True, exclude_none=True)
    return Action(shape.action, compile_template(given), shape.expand_inline_json)
