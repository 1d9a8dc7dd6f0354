"""Which parts of the workflow input a task reads: from its templates alone, without running anything.

Only what is sure counts as unread: a place that is computed at run time is read by whoever computes it, and
who reads the whole reads every part. Who asks is `decide/rerun_selectors`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from asyncflow.decide.expressions import MISSING, compile_template, references
from asyncflow.decide.forks import INPUTS, has_expression
from asyncflow.decide.jsonpath import compile_path, walk_plain
from asyncflow.errors import AsyncflowError
from asyncflow.model.graph import Node
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonObject, JsonValue

Place = tuple[str | int, ...]
"""Where something stands, from the root of expressions on."""

INPUT: Place = ("workflow", "input")


def overlaps(read: Place | None, changed: Place) -> bool:
    """Whether a read place, None for one that is not known, may hold or be held by a changed one."""
    return read is None or all(one == other for one, other in zip(read, changed, strict=False))


class Readings:
    """What the templates of tasks read, looked at once for each node."""

    def __init__(self, state: ExecutionState, changed: JsonObject) -> None:
        """Read against the input of the execution, and the one it will have."""
        self._state = state
        self._before, self._after = _InputScope(state.input), _InputScope(changed)
        self._paths: dict[int, list[Place | None]] = {}
        self._same: dict[int, bool] = {}

    def paths(self, task: TaskState) -> list[Place | None]:
        """The places that the input of a record is made from; None for one computed at run time."""
        own = self._own_input(task)
        if own is not None:
            return list(paths_in(own))
        key = id(task.node)
        if key not in self._paths:
            self._paths[key] = list(paths_in(sources(task.node)))
        return self._paths[key]

    def is_changed(self, task: TaskState, place: Place, *, compare: bool) -> bool:
        """Whether a change of a place in the workflow input reaches the input of a record.

        With `compare` it does not where the input comes out the same under the new one.
        """
        changed = (*INPUT, *place)
        reaching = [path for path in self.paths(task) if overlaps(path, changed)]
        if not reaching or not compare:
            return bool(reaching)
        return None in reaching or not self._resolves_same(task)

    def how(self, task: TaskState, place: Place) -> str:
        """A remark where a record is run again because it cannot be known what it reads."""
        changed = (*INPUT, *place)
        reaching = [path for path in self.paths(task) if overlaps(path, changed)]
        if None in reaching:
            return "it reads a place that is known only at run time"
        whole = all(path is not None and len(path) < len(changed) for path in reaching)
        return "it reads the whole of what holds it" if whole else ""

    def _own_input(self, task: TaskState) -> JsonValue:
        """What a branch of a dynamic fork has for an input template, where that is its own; else None."""
        if task.fork_index < 0:
            return None
        fork = self._state.tasks.get(task.fork)
        members = None if fork is None or fork.more is None else fork.more.members
        if members is None or members.form != INPUTS:
            return None
        own = members.inputs[task.fork_index]
        return own if has_expression(own) else {}

    def _resolves_same(self, task: TaskState) -> bool:
        own = self._own_input(task)
        if own is not None:
            return _same(own, self._before, self._after)
        key = id(task.node)
        if key not in self._same:
            self._same[key] = _same(sources(task.node), self._before, self._after)
        return self._same[key]


def sources(node: Node) -> JsonValue:
    """All of a task in which expressions make its input, as they are written."""
    task = node.task
    found: list[JsonValue] = [node.policy.input_template, task.input_parameters, task.sink, task.items]
    param = task.sub_workflow_param
    if param is not None:
        found += [param.name, param.priority, param.task_to_domain, param.idempotency_key]
        if isinstance(param.workflow_definition, str):
            found.append(param.workflow_definition)
    return [dict(each) if isinstance(each, Mapping) else each for each in found if each]


def paths_in(template: JsonValue) -> Iterator[Place | None]:
    """The places that a template reads; None for one that is computed at run time."""
    for reference in references(template):
        yield from _places(reference.expression)


def _places(expression: str) -> list[Place | None]:
    """The places that an expression reads, each as far as it is plain."""
    if "${" in expression:
        return [None]
    try:
        path = compile_path(expression)
    except AsyncflowError:
        return []  # no path: it gives null, whatever the input
    found: list[Place | None] = []
    for each in (path, *path.root_paths):
        plain: list[str | int] = []
        for step in each.steps:
            if not isinstance(step, str | int):
                break
            plain.append(step)
        found.append(tuple(plain) or None)
    return found


class _InputScope:
    """A root in which there is nothing but one workflow input."""

    def __init__(self, given: JsonObject) -> None:
        self._given = given

    def field(self, head: str, name: str | None) -> object:
        """The input, or the root with nothing else in it."""
        if head != "workflow" or name not in (None, "input"):
            return MISSING
        return {"input": self._given} if name is None else self._given

    def member(self, head: str, name: str, key: str) -> object:
        """One key of the input."""
        return walk_plain(self._given, (key,)) if (head, name) == INPUT else MISSING


def _same(template: JsonValue, before: _InputScope, after: _InputScope) -> bool:
    try:
        compiled = compile_template(template)
        return bool(compiled.resolve(before) == compiled.resolve(after))
    except AsyncflowError:
        return False
