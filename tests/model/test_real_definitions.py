"""The definitions of Conductor's own tests: every one is read, judged and given back as it was meant."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from asyncflow.model.definition import (
    TaskDefinition,
    WorkflowDefinition,
    canonical_json,
    iterate_tasks,
    parse_task_definition,
    parse_workflow,
    to_json,
)
from asyncflow.model.documents import parse_document
from asyncflow.model.validation import validate_task_definition, validate_workflow
from asyncflow.model.validation_lint import lint_workflow

# Written for the first schema, which Conductor's server refuses as well; docs/serving.md says why.
REFUSED = {("wf1.json", "main_workflow"): ["schemaVersion: workflowDef schemaVersion: 2 is only supported"]}


def documents(folder: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Every definition with the name of its file; a start request gives the one inside it."""
    for file in sorted((folder / "conductor-definitions").glob("*/*.json")):
        parsed = parse_document(file.read_bytes())
        for each in parsed if isinstance(parsed, list) else [parsed]:
            assert isinstance(each, dict)
            inner = each.get("workflowDef", each)
            assert isinstance(inner, dict)
            yield file.name, inner


def definitions(folder: Path) -> Iterator[tuple[str, dict[str, object], WorkflowDefinition | TaskDefinition]]:
    for file, data in documents(folder):
        yield file, data, parse_workflow(data) if "tasks" in data else parse_task_definition(data)


def test_the_folder_holds_what_its_page_says(data_dir: Path) -> None:
    kinds = [type(each) for _, _, each in definitions(data_dir)]

    assert kinds.count(WorkflowDefinition) >= 52
    assert kinds.count(TaskDefinition) >= 4


def test_every_definition_is_accepted_or_refused_for_its_known_reason(data_dir: Path) -> None:
    refused = {}
    for file, _, definition in definitions(data_dir):
        if isinstance(definition, WorkflowDefinition):
            found = validate_workflow(definition)
        else:
            found = validate_task_definition(definition)
        if found:
            refused[file, definition.name] = [str(each) for each in found]

    assert refused == REFUSED


def test_the_first_schema_is_accepted_once_its_references_are_marked(data_dir: Path) -> None:
    text = (data_dir / "conductor-definitions" / "kitchensink" / "wf1.json").read_text(encoding="utf-8")
    marked, references = re.subn(r'"(\w+\.(?:input|output)\.[\w.]+)"', r'"${\1}"', text)
    carried_over = parse_workflow({**json.loads(marked), "schemaVersion": 2})

    assert references > 50
    assert [str(each) for each in validate_workflow(carried_over)] == []


def test_every_definition_survives_its_renderings(data_dir: Path) -> None:
    for file, _, definition in definitions(data_dir):
        again = parse_workflow if isinstance(definition, WorkflowDefinition) else parse_task_definition

        assert again(to_json(definition)) == definition, file
        assert again(json.loads(canonical_json(definition))) == definition, file


def test_rendering_keeps_every_value_that_was_given(data_dir: Path) -> None:
    for file, data, definition in definitions(data_dir):
        assert lost(data, to_json(definition), file) == []


def lost(given: object, rendered: object, path: str) -> list[str]:
    """Paths of what the rendering lost; a null is rendered by leaving it out or by the default."""
    if isinstance(given, dict):
        if not isinstance(rendered, dict):
            return [path]
        kept = {key: value for key, value in given.items() if value is not None}
        return [
            each for key, value in kept.items() for each in lost(value, rendered.get(key), f"{path}.{key}")
        ]
    if isinstance(given, list):
        if not isinstance(rendered, list) or len(given) != len(rendered):
            return [path]
        return [each for a, b in zip(given, rendered, strict=True) for each in lost(a, b, path)]
    return [] if given == rendered else [path]


def test_every_task_is_walked(data_dir: Path) -> None:
    for file, data, definition in definitions(data_dir):
        if isinstance(definition, WorkflowDefinition):
            written = json.dumps(data["tasks"]).count('"taskReferenceName"')
            inner = sum(
                json.dumps(inline).count('"taskReferenceName"') for inline in inline_definitions(data)
            )
            assert len(list(iterate_tasks(definition))) == written - inner, file


def inline_definitions(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        if isinstance(value.get("workflowDefinition"), dict):
            yield value["workflowDefinition"]
            return
        for each in value.values():
            yield from inline_definitions(each)
    if isinstance(value, list):
        for each in value:
            yield from inline_definitions(each)


def test_lint_finds_the_loops_that_do_not_iterate(data_dir: Path) -> None:
    found = {
        file
        for file, _, definition in definitions(data_dir)
        if isinstance(definition, WorkflowDefinition)
        for each in lint_workflow(definition)
        if each.path.endswith("inputParameters.items")
    }

    assert found == {"do_while_keep_last_n_fix.json"}
