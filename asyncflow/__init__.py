"""asyncflow: a durable workflow engine in one Python process.

The public names, and nothing else. Start with `Engine`, `Workflow` and `task`.
"""

from typing import TYPE_CHECKING

from asyncflow.lazy import public_name as __getattr__  # noqa: F401 - how Python asks a module for a name it lacks

if TYPE_CHECKING:
    from asyncflow.errors import (
        AsyncflowError,
        Conflict,
        DefinitionError,
        ExecutionFailed,
        InvalidInput,
        LimitExceeded,
        NotFound,
        Refused,
        ShuttingDown,
        StoreError,
        TaskFailed,
        TerminalTaskFailed,
    )
    from asyncflow.model.resources import ResourceLimit
    from asyncflow.runtime.context import TaskContext
    from asyncflow.sdk import operators as nodes
    from asyncflow.sdk.engine import Engine, Execution
    from asyncflow.sdk.resources import Resource
    from asyncflow.sdk.tasks import task
    from asyncflow.sdk.workflow import Workflow

__all__ = [
    "AsyncflowError",
    "Conflict",
    "DefinitionError",
    "Engine",
    "Execution",
    "ExecutionFailed",
    "InvalidInput",
    "LimitExceeded",
    "NotFound",
    "Refused",
    "Resource",
    "ResourceLimit",
    "ShuttingDown",
    "StoreError",
    "TaskContext",
    "TaskFailed",
    "TerminalTaskFailed",
    "Workflow",
    "nodes",
    "task",
]
