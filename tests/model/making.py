"""Definitions as JSON for the tests of the model: a task, a workflow, and what is wrong with it."""

from __future__ import annotations

from asyncflow.model.definition import parse_workflow
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.validation import NOTHING_KNOWN, Known, validate_workflow

Json = dict[str, object]


def task(kind: str = "SIMPLE", ref: str = "t", **fields: object) -> Json:
    """A task of that type; the name is `n_<ref>`."""
    return {"name": f"n_{ref}", "taskReferenceName": ref, "type": kind, **fields}


def ours(kind: str = "SIMPLE", ref: str = "t", **extension: object) -> Json:
    """A task with our extension."""
    return task(kind, ref, asyncflow=extension)


def workflow(*tasks: Json, **fields: object) -> Json:
    """A workflow of these tasks."""
    return {"name": "w", "tasks": list(tasks), **fields}


def fork(*tasks: Json, ref: str = "f") -> Json:
    """A fork with one task in each branch."""
    return task("FORK_JOIN", ref, forkTasks=[[each] for each in tasks])


def problems(
    data: Json, *, limits: Limits = DEFAULT_LIMITS, known: Known = NOTHING_KNOWN
) -> list[tuple[str, str]]:
    """Path and message of every violation of the rules."""
    found = validate_workflow(parse_workflow(data), limits=limits, known=known)
    return [(each.path, each.message) for each in found]


def faulty(data: Json) -> list[str]:
    """Paths of the violations of the rules."""
    return [path for path, _ in problems(data)]
