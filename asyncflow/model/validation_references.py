"""Whether the `${…}` of a definition name something that exists and are well formed.

It finds expressions, it never evaluates one: that is `decide/expressions`. Conductor judges only the
inputs of the outermost tasks; for the rest `model/validation_lint.py` uses the same search.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from asyncflow.errors import Violation
from asyncflow.model.shape import path_of
from asyncflow.model.walk import Place
from asyncflow.model.workflow_definition import WorkflowDefinition

# Innermost expressions only: those around them are complete when these have been put in.
_EXPRESSION = re.compile(r"(?<!\$)\$\{([^{}]*+)\}")
_SOURCE = re.compile(r"[^.\[]*")
_SYSTEM_NAMES = frozenset({"CPEWF_TASK_ID", "NETFLIX_ENV", "NETFLIX_STACK"})
_CLOSERS = {"[": "]", "(": ")"}


def reference_violations(definition: WorkflowDefinition, names: frozenset[str]) -> Iterator[Violation]:
    """Why an input of an outermost task is refused.

    Args:
        names: task references of the whole tree, and the environment's names.
    """
    for index, task in enumerate(definition.tasks):
        place = ("tasks", index, "inputParameters")
        for where, path in expressions(task.input_parameters, place):
            key = next((part for part in reversed(where) if isinstance(part, str)), "")
            if not is_well_formed(path):
                yield Violation(path_of(where), f"key: {key} input parameter value: {path} is not valid")
            elif not is_known(path, names):
                yield Violation(
                    path_of(where),
                    f"taskReferenceName: {source_of(path)} for given task: {task.name} input value: {key} of "
                    f"input parameter: {path} is not defined in workflow definition.",
                )


def expressions(value: object, place: Place) -> Iterator[tuple[Place, str]]:
    """The paths inside every `${…}` of a value, with their places, in order; blank ones are left out."""
    stack: list[tuple[object, Place]] = [(value, place)]
    while stack:
        item, where = stack.pop()
        if isinstance(item, str):
            yield from ((where, path) for path in _EXPRESSION.findall(item) if path.strip())
        elif isinstance(item, dict):
            stack.extend([(each, (*where, key)) for key, each in item.items()][::-1])
        elif isinstance(item, list):
            stack.extend([(each, (*where, index)) for index, each in enumerate(item)][::-1])


def source_of(path: str) -> str:
    """The first component of a path: `workflow`, a task reference, or a name of the environment."""
    found = _SOURCE.match(path.strip().removeprefix("$."))
    return found[0] if found is not None else ""


def is_known(path: str, names: frozenset[str]) -> bool:
    """Whether the path begins at something that exists."""
    source = source_of(path)
    return (
        source == "workflow"
        or source in names
        or path.strip() in names | _SYSTEM_NAMES
        or source.startswith("secret:")
    )


def is_well_formed(path: str) -> bool:
    """Whether the path can be a JSONPath: quotes and brackets are paired, none is empty, no dot at the end.

    Weaker than a grammar on purpose: it must never refuse what some dialect accepts.
    """
    quote = ""
    expected: list[str] = []
    is_escaped = False
    for character in path:
        if quote:
            if character == quote and not is_escaped:
                quote = ""
            is_escaped = character == "\\" and not is_escaped
        elif expected and character in "'\"":
            quote = character
        elif character in _CLOSERS:
            expected.append(_CLOSERS[character])
        elif character in "])" and (not expected or expected.pop() != character):
            return False
    return not quote and not expected and "[]" not in path and not path.rstrip().endswith(".")
