"""Every real workflow definition of Conductor's own tests, registered, given back and run by REST alone."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sdk_conformance.serving import CHECKOUT, serving


@pytest.fixture
def program() -> Iterator[Any]:
    """The example, imported as it is when it is run as a script."""
    folder = str(CHECKOUT / "examples")
    sys.path.insert(0, folder)
    try:
        yield importlib.import_module("serve_conductor_definitions")
    finally:
        sys.path.remove(folder)


@pytest.mark.conformance
@pytest.mark.timeout(300)
async def test_every_definition_is_accepted_given_back_and_run(
    program: Any, data_dir: Path, tmp_path: Path
) -> None:
    """One run of half a minute says it all: the definitions wait in real time."""
    async with serving(tmp_path, "--http-allow", "127.0.0.1") as url:
        ways, schemas, faults = await program.run(url, data_dir / "conductor-definitions")

    assert len(ways) >= 70
    assert {
        "not ended as its script says": [program.line(way) for way in ways if way.status != way.script.ends],
        "given back with another meaning": [(way.file, way.differs) for way in ways if way.differs],
        "refused": [(way.file, way.reason.partition(" ")[0]) for way in ways if way.status == "refused"],
        "not of Conductor's schemas": dict(schemas.faults),
        "schemas": sorted(schemas.checked),
        "faults of the server": faults,
    } == {
        "not ended as its script says": [],
        "given back with another meaning": [],
        "refused": [("wf1.json", "400")],  # of the first schema: docs/serving.md says why
        "not of Conductor's schemas": {},
        "schemas": ["Task", "TaskDef", "Workflow", "WorkflowDef"],
        "faults of the server": [],
    }


def test_a_difference_is_seen(program: Any) -> None:
    sent = {"name": "a", "tasks": [{"inputParameters": {"x": None, "y": 1}}], "description": None}
    same = {"name": "a", "tasks": [{"inputParameters": {"x": None, "y": 1}, "optional": False}], "version": 1}

    assert list(program.differences(sent, same)) == []
    assert len(list(program.differences(sent, {"name": "a", "tasks": [{"inputParameters": {"y": 2}}]}))) == 1
    assert len(list(program.differences(sent, {"name": "b", "tasks": []}))) == 2
