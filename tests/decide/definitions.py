"""Definitions for the tests of deciding: short words for the shapes of Conductor's JSON.

Scripts are not evaluated here by an interpreter; `evaluate` knows the few forms that the tests use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from asyncflow.errors import ScriptError
from asyncflow.testing.pure import World

Json = dict[str, object]


def workflow(*tasks: Json, **more: object) -> Json:
    """A workflow definition of these tasks."""
    return {"name": "w", "version": 1, "tasks": list(tasks), **more}


def task(ref: str, kind: str = "SIMPLE", /, **more: object) -> Json:
    """A task; its name is its reference name unless given."""
    return {"name": ref, "taskReferenceName": ref, "type": kind, **more}


def fork(ref: str, *branches: list[Json], join: object = None, **more: object) -> list[Json]:
    """A FORK_JOIN and its JOIN, which waits for the last task of each branch unless told."""
    last = [str(branch[-1]["taskReferenceName"]) for branch in branches if branch]
    return [
        task(ref, "FORK_JOIN", forkTasks=list(branches)),
        task(f"{ref}_join", "JOIN", joinOn=last if join is None else join, **more),
    ]


def dynamic_fork(ref: str, inputs: Json, **more: object) -> list[Json]:
    """A FORK_JOIN_DYNAMIC and its JOIN."""
    return [task(ref, "FORK_JOIN_DYNAMIC", inputParameters=inputs, **more), task(f"{ref}_join", "JOIN")]


def switch(ref: str, on: object, cases: Mapping[str, list[Json]], default: list[Json] | None = None) -> Json:
    """A SWITCH on a value."""
    return task(
        ref,
        "SWITCH",
        inputParameters={"on": on},
        evaluatorType="value-param",
        expression="on",
        decisionCases=dict(cases),
        defaultCase=default or [],
    )


def loop(ref: str, *body: Json, times: object = 2, **more: object) -> Json:
    """A DO_WHILE that goes round so many times."""
    condition = f"$.{ref}.iteration < {times}"
    return task(ref, "DO_WHILE", **{"loopCondition": condition, "loopOver": list(body), **more})


def child(ref: str, definition: Json | str, **more: object) -> Json:
    """A SUB_WORKFLOW, of an inline definition or of a registered one by name."""
    named = {"name": definition} if isinstance(definition, str) else {"workflowDefinition": definition}
    return task(ref, "SUB_WORKFLOW", **{"subWorkflowParam": {"name": "c", "version": 1, **named}, **more})


def after(ref: str, *needs: str, kind: str = "SIMPLE", **more: object) -> Json:
    """A task of a DAG that starts when these have ended."""
    return task(ref, kind, asyncflow={"dependsOn": list(needs)}, **more)


def evaluate(language: str, source: str, given: Mapping[str, object]) -> object:
    """The value of one of the scripts used here: a count of iterations, a key, a literal, an error."""
    counted = re.fullmatch(r"\$\.(\w+)\.iteration < (\d+)", source)
    if counted is not None:
        seen = given[counted[1]]
        assert isinstance(seen, dict)
        return int(seen["iteration"]) < int(counted[2])
    if source.startswith("throw "):
        raise ScriptError(source.removeprefix("throw "))
    if language == "jq":
        return [given]
    if source.startswith("$."):
        return given.get(source.removeprefix("$."))
    return {"true": True, "false": False, "null": None}.get(source, source)


def world(*local: str, **more: object) -> World:
    """A world in which functions of these names run here and the scripts above are known."""
    return World(scripts=evaluate, local=frozenset(local), **more)  # type: ignore[arg-type]
