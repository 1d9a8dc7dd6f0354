"""Everything about definitions that other packages use, gathered under one name.

It holds nothing itself: records are in `model/workflow_definition.py`, `model/task_definition.py` and
`model/extension.py`, the walk in `model/walk.py`, the way to JSON in `model/rendering.py`. Rules are in
`model/validation.py`.
"""

from __future__ import annotations

from asyncflow.model.extension import (
    ResourceUse,
    TaskDefinitionExtension,
    TaskExtension,
    WorkflowExtension,
)
from asyncflow.model.rendering import canonical_json, to_json
from asyncflow.model.task_definition import (
    CacheConfig,
    SchemaDefinition,
    TaskDefinition,
    parse_task_definition,
)
from asyncflow.model.walk import iterate_tasks
from asyncflow.model.workflow_definition import (
    RateLimitConfig,
    SubWorkflowParams,
    WorkflowDefinition,
    WorkflowTask,
    branches,
    depends_on,
    parse_workflow,
    parse_workflow_task,
    predecessors,
)

__all__ = [
    "CacheConfig",
    "RateLimitConfig",
    "ResourceUse",
    "SchemaDefinition",
    "SubWorkflowParams",
    "TaskDefinition",
    "TaskDefinitionExtension",
    "TaskExtension",
    "WorkflowDefinition",
    "WorkflowExtension",
    "WorkflowTask",
    "branches",
    "canonical_json",
    "depends_on",
    "iterate_tasks",
    "parse_task_definition",
    "parse_workflow",
    "parse_workflow_task",
    "predecessors",
    "to_json",
]
