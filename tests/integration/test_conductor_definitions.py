"""Every real workflow definition of Conductor's own tests runs to its end on the real engine."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from asyncflow.testing.coverage import BranchCoverage

KITCHEN = "kitchensink.json"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    file = Path(__file__).parents[2] / "examples" / "run_conductor_definitions.py"
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[file.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def folder(data_dir: Path) -> Path:
    return data_dir / "conductor-definitions"


@pytest.fixture(scope="module")
def rows(script: ModuleType, folder: Path) -> list[Any]:
    async def collect() -> list[Any]:
        return [row async for row in script.rows(folder)]

    return asyncio.run(collect())


def test_every_way_ends_as_its_script_says(rows: list[Any]) -> None:
    assert [(row.file, row.workflow, row.status, row.reason) for row in rows if not row.is_as_expected] == []
    assert len(rows) >= 70


def test_no_workflow_definition_is_left_out(rows: list[Any], folder: Path) -> None:
    written = set()
    for file in folder.glob("*/*.json"):
        parsed = json.loads(file.read_text(encoding="utf-8"))
        for each in parsed if isinstance(parsed, list) else [parsed]:
            inner = each.get("workflowDef", each)
            written |= {(file.name, inner["name"])} if "tasks" in inner else set()

    assert {(row.file, row.workflow) for row in rows} == written


def test_only_what_conductor_refuses_is_refused(rows: list[Any]) -> None:
    refused = [(row.file, row.reason) for row in rows if row.status == "refused"]

    assert refused == [("wf1.json", "schemaVersion: workflowDef schemaVersion: 2 is only supported")]


def test_each_end_that_is_no_success_is_explained(rows: list[Any]) -> None:
    other = [row for row in rows if row.status != "COMPLETED"]

    assert all(row.script.note or row.reason for row in other)
    assert {row.status for row in other} == {"FAILED", "TIMED_OUT", "refused"}


def test_nothing_is_left_open(rows: list[Any]) -> None:
    runs = [run for row in rows if row.run is not None for run in row.run.family()]
    open_tasks = [
        (run.name, task.ref)
        for run in runs
        for task in run.tasks
        if task.status in {"SCHEDULED", "IN_PROGRESS"}
    ]

    assert open_tasks == []


def test_kitchen_sink_is_walked_through_every_branch(rows: list[Any], folder: Path) -> None:
    definition = json.loads((folder / "kitchensink" / KITCHEN).read_text(encoding="utf-8"))
    coverage = BranchCoverage(definition, kinds=["task", "case"])
    coverage.add(*(row.run for row in rows if row.file == KITCHEN))

    coverage.require(100)


def test_table_tells_every_row(script: ModuleType, rows: list[Any]) -> None:
    lines = [script.line(row) for row in rows]

    assert script.HEAD.split()[0] == "file"
    assert all(row.status in line for row, line in zip(rows, lines, strict=True))
    assert not any("EXPECTED" in line for line in lines)
