"""The public names found when they are first asked for, so that `asyncflow --help` costs little.

Importing the engine costs a fifth of a second, most of it the models of definitions; a command line
that shows a help text needs none of it. The root package takes `public_name` as its `__getattr__`.
"""

from __future__ import annotations

import importlib
from typing import Final

PUBLIC: Final[dict[str, str]] = {
    **dict.fromkeys(
        (
            "AsyncflowError",
            "Conflict",
            "DefinitionError",
            "ExecutionFailed",
            "InvalidInput",
            "LimitExceeded",
            "NotFound",
            "Refused",
            "ShuttingDown",
            "StoreError",
            "TaskFailed",
            "TerminalTaskFailed",
        ),
        "asyncflow.errors",
    ),
    "Engine": "asyncflow.sdk.engine",
    "Execution": "asyncflow.sdk.engine",
    "Resource": "asyncflow.sdk.resources",
    "ResourceLimit": "asyncflow.model.resources",
    "TaskContext": "asyncflow.runtime.context",
    "Workflow": "asyncflow.sdk.workflow",
    "nodes": "asyncflow.sdk.operators",
    "task": "asyncflow.sdk.tasks",
}
"""Where each public name lives; `nodes` is the module itself."""


def public_name(name: str) -> object:
    """The public object of this name.

    Raises:
        AttributeError: asyncflow offers no such name.
    """
    module = PUBLIC.get(name)
    if module is None:
        raise AttributeError(f"module 'asyncflow' has no attribute {name!r}")
    found = importlib.import_module(module)
    return found if name == "nodes" else getattr(found, name)
