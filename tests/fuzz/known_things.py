"""Hooks of schemathesis: about half of its requests are about things that the server has.

Loaded by the tool itself, as SCHEMATHESIS_HOOKS says; `planting` made the things and ASYNCFLOW_FUZZ_KNOWN
names the file that tells of them. It judges no answer.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import cast

import schemathesis
from hypothesis import strategies as st
from schemathesis import Case, HookContext

_TOLD: dict[str, object] = json.loads(Path(os.environ["ASYNCFLOW_FUZZ_KNOWN"]).read_text("utf-8"))
BODIES = cast("dict[str, list[object]]", _TOLD.pop("bodies"))
KNOWN = cast("dict[str, list[str]]", _TOLD)

MEANT = (
    (r"/api/(asyncflow/)?tasks/\{id\}", "id", "tasks"),
    (r"/api/asyncflow/keys/", "id", "keys"),
    (r"", "id", "executions"),
    (r"", "workflowId", "executions"),
    (r"/api/(metadata/taskdefs|asyncflow/tasks)/", "name", "task types"),
    (r"/api/(scheduler|event)/", "name", "spares"),
    (r"/api/metadata/workflow/\{name\}/\{version\}", "name", "spares"),
    (r"", "name", "workflows"),
    (r"", "version", "versions"),
    (r"", "type", "task types"),
    (r"", "ref", "references"),
    (r"", "reference", "references"),
    (r"", "task", "tasks"),
    (r"", "status", "statuses"),
    (r"", "correlationId", "correlations"),
    (r"", "key", "variables"),
    (r"", "event", "events"),
    (r"", "sink", "events"),
)
"""Beginning of a path, parameter in it, which things it means; the first that fits."""

LONGEST = {"waitForSeconds": 1, "timeout": 50, "timeoutMillis": 1_000}
"""Waiting longer than this would only make the run slow."""

_ENTRIES: dict[str, Iterator[str]] = {kind: cycle(values) for kind, values in KNOWN.items() if values}


def meant(path: str) -> dict[str, str]:
    """The kind of thing that each parameter of a path means."""
    found: dict[str, str] = {}
    for begin, name, kind in MEANT:
        if f"{{{name}}}" in path and KNOWN.get(kind) and re.match(begin, path):
            found.setdefault(name, kind)
    return found


@schemathesis.hook
def flatmap_path_parameters(
    context: HookContext, path_parameters: dict[str, object]
) -> st.SearchStrategy[dict[str, object]]:
    """Names that there are, instead of those made up."""
    kinds = {} if context.operation is None else meant(context.operation.path)
    if not kinds or not isinstance(path_parameters, dict):
        return st.just(path_parameters)
    there = st.fixed_dictionaries({name: st.sampled_from(KNOWN[kind]) for name, kind in kinds.items()})
    return st.just(path_parameters) | there.map(lambda chosen: {**path_parameters, **chosen})


@schemathesis.hook
def flatmap_body(context: HookContext, body: object) -> st.SearchStrategy[object]:
    """A body that is taken, whole, or with one of its fields as made up, or what was made up."""
    operation = context.operation
    good = [] if operation is None else BODIES.get(f"{operation.method.upper()} {operation.path}", [])
    if not good:
        return st.just(body)
    choices = [st.just(body), st.sampled_from(good)]
    if isinstance(good[0], dict) and isinstance(body, dict) and body:
        objects = cast("list[dict[str, object]]", good)
        changed = st.tuples(st.sampled_from(objects), st.sampled_from(sorted(body, key=str)))
        choices.append(changed.map(lambda both: {**both[0], both[1]: body[both[1]]}))
    return st.one_of(choices)


@schemathesis.hook
def map_case(context: HookContext, case: Case) -> Case:
    """The listed cases of the coverage phase, asked of things that there are."""
    if case.meta is not None and case.meta.phase.name.value == "coverage":
        about = getattr(case.meta.phase.data, "parameter_location", None)
        if about is None or about.value != "path":
            for name, kind in meant(case.operation.path).items():
                if name in (case.path_parameters or {}):
                    case.path_parameters[name] = next(_ENTRIES[kind])
    return case


@schemathesis.hook
def before_call(context: HookContext, case: Case, kwargs: dict[str, object]) -> None:
    """No long waits; and the key that the run itself uses stays."""
    query = case.query or {}
    for name, longest in LONGEST.items():
        given = query.get(name)
        if isinstance(given, int) and given > longest:
            query[name] = longest
    own = os.environ.get("ASYNCFLOW_FUZZ_OWN_KEY")
    if own and case.method == "DELETE" and (case.path_parameters or {}).get("id") == own:
        case.path_parameters["id"] = "afk_spared"
