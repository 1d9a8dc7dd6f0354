"""What changed, as users say it: selectors such as `name:fetch` or `input:day="2026-01-02"`.

It finds the records that a change means and changes nothing. Which tasks read which parts of the input is
in `decide/input_reads`; what comes of it is in `decide/rerun_plan`.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from asyncflow.decide.expressions import JsonPathError
from asyncflow.decide.input_reads import INPUT, Readings, overlaps, paths_in
from asyncflow.decide.jsonpath import compile_path
from asyncflow.decide.scope import task_type
from asyncflow.errors import InvalidInput
from asyncflow.model.graph import Node
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonObject, JsonValue

Kind = Literal["ref", "name", "type", "version", "data", "input", "path"]

_ALIASES: dict[str, Kind] = {
    "ref": "ref",
    "task.ref": "ref",
    "name": "name",
    "task.name": "name",
    "process.name": "name",  # as HyperFlow's recovery.cfg says it
    "type": "type",
    "task.type": "type",
    "version": "version",
    "worker.version": "version",
    "data": "data",
    "data.name": "data",
    "signal.name": "data",
    "input": "input",
    "path": "path",
}


class Selector(NamedTuple):
    """One change.

    `path` leads to a part of the workflow input, for `input` and `path`, and `value` is its new value where
    one is given. `name` is what is selected, as written.
    """

    text: str
    kind: Kind
    name: str = ""
    path: tuple[str | int, ...] = ()
    value: JsonValue = None
    has_value: bool = False


def parse_selector(text: str) -> Selector:
    """A selector as it is written: `KIND:NAME` or `KIND=NAME`, for input and path also with `=VALUE`.

    A value is JSON, or text where it is none.

    Raises:
        InvalidInput: there is no such kind, or nothing is named; the message repeats the selector.
    """
    ends = [at for at in (text.find(":"), text.find("=")) if at >= 0]
    word = text[: min(ends)] if ends else text
    kind = _ALIASES.get(word.strip())
    if kind is None:
        known = ", ".join(dict.fromkeys(_ALIASES.values()))
        raise InvalidInput(f"{text!r}: no such selector; there are {known}", field="changed")
    rest = text[len(word) + 1 :].strip() if ends else ""
    name, has_value, value = rest, "", ""
    if kind in {"input", "path"}:
        name, has_value, value = rest.partition("=")
    if not name.strip():
        raise InvalidInput(f"{text!r}: {kind} of what?", field="changed")
    path: tuple[str | int, ...] = ()
    if kind == "input":
        path = (name,)
    elif kind == "path":
        path = _input_path(text, name)
    return Selector(text, kind, name, path, _value(value) if has_value else None, bool(has_value))


def _value(text: str) -> JsonValue:
    try:
        value: JsonValue = json.loads(text)
    except ValueError:
        return text
    return value


def _input_path(text: str, path: str) -> tuple[str | int, ...]:
    try:
        steps = compile_path(path).steps
    except JsonPathError as error:
        raise InvalidInput(f"{text!r}: {error}", field="changed") from error
    if steps[:2] == INPUT:
        steps = steps[2:]
    plain = tuple(step for step in steps if isinstance(step, str | int))
    if not steps or len(plain) < len(steps):
        raise InvalidInput(f"{text!r}: a path of names and places expected, such as $.a.b", field="changed")
    return plain


# --- the input -----------------------------------------------------------------------------------


def changed_input(given: JsonObject, selectors: Iterable[Selector]) -> JsonObject:
    """The workflow input with the values that selectors give.

    Raises:
        InvalidInput: a path leads through something that is no object or list.
    """
    changed = given
    for each in selectors:
        if each.has_value:
            changed = changed if changed is not given else copy.deepcopy(given)
            _put(changed, each)
    return changed


def _put(root: JsonObject, selector: Selector) -> None:
    at: object = root
    for step in selector.path[:-1]:
        if isinstance(at, dict) and isinstance(step, str):
            at = at.setdefault(step, {})
        elif isinstance(at, list) and isinstance(step, int) and -len(at) <= step < len(at):
            at = at[step]
        else:
            at = None
    last = selector.path[-1]
    is_key = isinstance(at, dict) and isinstance(last, str)
    is_place = isinstance(at, list) and isinstance(last, int) and -len(at) <= last < len(at)
    if not (is_key or is_place):
        raise InvalidInput(f"{selector.text!r}: the input has no such place", field="changed")
    at[last] = selector.value  # type: ignore[index]  # which of the two was looked at above


# --- which tasks ----------------------------------------------------------------------------------


class Matching(NamedTuple):
    """What the selectors found: why each record is run again, and those that found nothing."""

    reasons: dict[int, str]
    unmatched: list[Selector]


def match(
    state: ExecutionState, selectors: Iterable[Selector], *, given: JsonObject | None = None
) -> Matching:
    """The newest records that the selectors mean, by number, with the reason to run them again.

    `given` is the workflow input as it will be.

    Cost: linear in the records, for each selector; templates are looked at once a node.
    """
    reads = Readings(state, state.input if given is None else given)
    reasons: dict[int, str] = {}
    unmatched: list[Selector] = []
    newest = list(state.by_ref.values())
    for each in selectors:
        test = _TESTS[each.kind]
        found = [task for task in newest if test(state, task, each, reads)]
        for task in found:
            reasons.setdefault(task.number, _reason(each, reads, task))
        if not found:
            unmatched.append(each)
    return Matching(reasons, unmatched)


def refuse_unmatched(state: ExecutionState, selectors: Iterable[Selector]) -> None:
    """Refuse selectors that found nothing, unless they change an input that is there.

    Raises:
        InvalidInput: names the selector, and whether such a task exists and has not run.
    """
    for each in selectors:
        if each.kind in {"input", "path"} and (each.path[0] in state.input or _output_reads(state, each)):
            continue
        raise InvalidInput(f"{each.text!r}: {_why_nothing(state, each)}", field="changed")


def _output_reads(state: ExecutionState, selector: Selector) -> bool:
    definition = state.graph.definition
    changed = (*INPUT, *selector.path)
    return any(overlaps(each, changed) for each in paths_in(definition.output_parameters))


def _why_nothing(state: ExecutionState, selector: Selector) -> str:
    nodes = state.graph.nodes.values()
    by_kind: dict[str, Callable[[Node], str]] = {
        "ref": lambda node: node.ref,
        "name": lambda node: node.name,
        "type": lambda node: node.type,
    }
    read = by_kind.get(selector.kind)
    if read is not None and any(read(node) == selector.name for node in nodes):
        return "such a task has not run"
    if selector.kind in {"input", "path"}:
        return "the input has no such key, and no task reads it"
    if selector.kind == "data":
        return "no task that ran reads data of this name"
    return "no task of this execution"


def _reason(selector: Selector, reads: Readings, task: TaskState) -> str:
    what = {
        "ref": "selected by reference",
        "version": "changed code version",
        "input": "changed input key",
        "path": "changed input",
    }.get(selector.kind, f"changed {selector.kind}")
    how = reads.how(task, selector.path) if selector.path else ""
    return f"{what} {selector.name}" + (f" ({how})" if how else "")


# --- the kinds -----------------------------------------------------------------------------------


def _is_ref(state: ExecutionState, task: TaskState, selector: Selector, reads: Readings) -> bool:  # noqa: ARG001
    return selector.name in (task.ref, task.ref.removesuffix(task.suffix))


def _is_name(state: ExecutionState, task: TaskState, selector: Selector, reads: Readings) -> bool:  # noqa: ARG001
    return selector.name in (task.name, task.node.name)


def _is_type(state: ExecutionState, task: TaskState, selector: Selector, reads: Readings) -> bool:  # noqa: ARG001
    return selector.name == task.node.type or (selector.name == task_type(task) == "FORK")


def _is_version(state: ExecutionState, task: TaskState, selector: Selector, reads: Readings) -> bool:  # noqa: ARG001
    job = state.past_jobs.get(task.number)
    return selector.name in (task.code_version, "" if job is None else job.origin.code_version)


def _reads_data(state: ExecutionState, task: TaskState, selector: Selector, reads: Readings) -> bool:  # noqa: ARG001
    if selector.name in task.node.task.input_parameters:
        return True
    return any(path is not None and path[2:3] == (selector.name,) for path in reads.paths(task))


def _reads_input(state: ExecutionState, task: TaskState, selector: Selector, reads: Readings) -> bool:  # noqa: ARG001
    return reads.is_changed(task, selector.path, compare=selector.has_value)


_TESTS: dict[Kind, Callable[[ExecutionState, TaskState, Selector, Readings], bool]] = {
    "ref": _is_ref,
    "name": _is_name,
    "type": _is_type,
    "version": _is_version,
    "data": _reads_data,
    "input": _reads_input,
    "path": _reads_input,
}
