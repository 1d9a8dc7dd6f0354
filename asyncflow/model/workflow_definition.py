"""Conductor's WorkflowDef as records: the tree of tasks, its defaults, and how it is read and walked.

It judges shape only; others import its names from `model/definition.py`, which says where to read next.
Names of Conductor are kept: `subWorkflowParam` in JSON is `sub_workflow_param` here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag, model_validator

from asyncflow.model.extension import (
    TaskExtension,
    WorkflowExtension,
)
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.shape import (
    COUNTED,
    UNION_TAG,
    Flag,
    Int,
    Long,
    Shape,
    Text,
    Texts,
    parse,
)
from asyncflow.model.task_definition import (
    CacheConfig,
    Registered,
    TaskDefinition,
)


class RateLimitConfig(Shape):
    """How many executions of one key may be open at once, and what happens to the next one."""

    rate_limit_key: Text | None = None
    concurrent_exec_limit: Int = 0
    policy: Literal["QUEUE", "REJECT"] = "QUEUE"


def _inline_kind(value: object) -> str | None:
    if isinstance(value, str) and value.startswith("${") and value.endswith("}"):
        return f"{UNION_TAG}expression"
    return f"{UNION_TAG}definition" if isinstance(value, dict | WorkflowDefinition) else None


InlineDefinition = Annotated[
    Annotated["WorkflowDefinition", Tag(f"{UNION_TAG}definition")]
    | Annotated[str, Tag(f"{UNION_TAG}expression")],
    Discriminator(_inline_kind),
]
"""An inline child, or an expression that gives one."""


Tasks = Annotated[list["WorkflowTask"], COUNTED]
"""A list of tasks, each following the one before it unless it says otherwise."""


class SubWorkflowParams(Shape):
    """Which workflow a SUB_WORKFLOW task starts.

    Attributes:
        name: the child's name, or an expression.
        version: None is the latest when the parent starts, 0 the latest when the child starts.
        task_to_domain: replaces the parent's map; None inherits it.
        workflow_definition: an inline child, or an expression that gives one.
        priority: forwarded when it is a number once resolved.
    """

    name: Text | None = None
    version: Int | None = None
    task_to_domain: dict[str, object] | None = None
    workflow_definition: InlineDefinition | None = None
    priority: int | float | str | None = None
    idempotency_key: Text | None = None
    idempotency_strategy: Text | None = None


class WorkflowTask(Shape):
    """One task of a workflow definition, with the lists of tasks inside it; `start_delay` is in seconds."""

    name: Text = ""
    task_reference_name: Text = ""
    description: Text | None = None
    type: Text = "SIMPLE"
    input_parameters: dict[str, object] = Field(default_factory=dict)
    optional: Flag = False
    permissive: Flag = False
    start_delay: Int = 0
    retry_count: Int | None = None
    async_complete: Flag = False
    task_definition: TaskDefinition | None = None
    rate_limited: Flag | None = None
    sink: Text | None = None
    sub_workflow_param: SubWorkflowParams | None = None
    fork_tasks: Annotated[list[Tasks], COUNTED] = Field(default_factory=list)
    join_on: Texts = Field(default_factory=list)
    join_mode: Literal["SYNC", "ASYNC"] | None = None
    join_status: Text | None = None
    default_exclusive_join_task: Texts = Field(default_factory=list)
    dynamic_task_name_param: Text | None = None
    dynamic_fork_tasks_param: Text | None = None
    dynamic_fork_tasks_input_param_name: Text | None = None
    dynamic_fork_join_tasks_param: Text | None = None
    evaluator_type: Text | None = None
    expression: Text | None = None
    decision_cases: Annotated[dict[str, Tasks], COUNTED] = Field(default_factory=dict)
    default_case: Tasks = Field(default_factory=list)
    case_value_param: Text | None = None
    case_expression: Text | None = None
    script_expression: Text | None = None
    loop_condition: Text | None = None
    loop_over: Tasks = Field(default_factory=list)
    items: Text | None = None
    on_state_change: dict[str, object] = Field(default_factory=dict)
    cache_config: CacheConfig | None = None
    metadata: dict[str, object] = Field(default_factory=dict)
    extension: TaskExtension | None = None

    @model_validator(mode="before")
    @classmethod
    def _take_old_type_name(cls, data: object) -> object:
        """`workflowTaskType` sets the type as well; of two names the later one counts."""
        if not isinstance(data, dict):
            return data
        if isinstance(data.get("taskDefinition"), dict):
            data = _with_named_definition(data)
        if "workflowTaskType" not in data:
            return data
        given = [data[key] for key in data if key in {"type", "workflowTaskType"} and data[key] is not None]
        rest = {key: value for key, value in data.items() if key != "workflowTaskType"}
        return rest | {"type": given[-1]} if given else rest


def _with_named_definition(task: dict[str, object]) -> dict[str, object]:
    """A task definition inside that has no name bears the task's: Conductor's schemas ask for one."""
    embedded, name = task["taskDefinition"], task.get("name")
    if not isinstance(embedded, dict) or embedded.get("name") or not name:
        return task
    return task | {"taskDefinition": embedded | {"name": name}}


class WorkflowDefinition(Registered):
    """Conductor's WorkflowDef with its defaults; name and version identify it, durations are in seconds."""

    version: Int = 1
    tasks: Tasks = Field(default_factory=list)
    input_parameters: Texts = Field(default_factory=list)
    output_parameters: dict[str, object] = Field(default_factory=dict)
    input_template: dict[str, object] = Field(default_factory=dict)
    failure_workflow: Text | None = None
    failure_workflow_version: Int | None = None
    schema_version: Int = 2
    restartable: Flag = True
    workflow_status_listener_enabled: Flag = False
    workflow_status_listener_sink: Text | None = None
    timeout_policy: Literal["TIME_OUT_WF", "ALERT_ONLY"] = "ALERT_ONLY"
    timeout_seconds: Long = 0
    variables: dict[str, object] = Field(default_factory=dict)
    rate_limit_config: RateLimitConfig | None = None
    enforce_schema: Flag = True
    metadata: dict[str, object] = Field(default_factory=dict)
    cache_config: CacheConfig | None = None
    masked_fields: Texts = Field(default_factory=list)
    extension: WorkflowExtension | None = None


for _model in (SubWorkflowParams, WorkflowTask, WorkflowDefinition):
    _model.model_rebuild()


def parse_workflow(data: object, *, limits: Limits = DEFAULT_LIMITS) -> WorkflowDefinition:
    """A workflow definition from JSON values; shape only, the rules are not judged.

    Raises:
        DefinitionError: every violation of the shape, with its path.
    """
    return parse(WorkflowDefinition, data, limits=limits)


def parse_workflow_task(data: object, *, limits: Limits = DEFAULT_LIMITS) -> WorkflowTask:
    """One task from JSON values, as a dynamic fork hands them in; shape only.

    Raises:
        DefinitionError: every violation of the shape, with its path.
    """
    return parse(WorkflowTask, data, limits=limits)


def branches(task: WorkflowTask) -> Iterator[tuple[tuple[str | int, ...], list[WorkflowTask]]]:
    """The lists of tasks directly inside a task, each with its place: forks, cases, default, loop body."""
    for index, branch in enumerate(task.fork_tasks):
        yield ("forkTasks", index), branch
    for case, branch in task.decision_cases.items():
        yield ("decisionCases", case), branch
    yield ("defaultCase",), task.default_case
    yield ("loopOver",), task.loop_over


def depends_on(task: WorkflowTask) -> list[str] | None:
    """What `dependsOn` gives; None where the task follows the one before it."""
    return task.extension.depends_on if task.extension is not None else None


def predecessors(tasks: Sequence[WorkflowTask]) -> dict[str, list[str]]:
    """For each task of a list, in order, the references in the list that must have ended before it starts.

    Each is named once. Whether they exist, and whether the order has a cycle, is not judged here.
    """
    result: dict[str, list[str]] = {}
    before: list[str] = []
    for task in tasks:
        given = depends_on(task)
        result[task.task_reference_name] = before if given is None else list(dict.fromkeys(given))
        before = [task.task_reference_name]
    return result
