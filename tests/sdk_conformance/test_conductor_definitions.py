"""Every real workflow definition of Conductor's own tests, registered, given back and run by REST alone."""

from __future__ import annotations

import asyncio
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sdk_conformance.serving import CHECKOUT, serving

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300), pytest.mark.xdist_group("definitions")]
EXAMPLES = CHECKOUT / "examples"


@pytest.fixture(scope="module")
def program() -> Iterator[Any]:
    """The example, imported as it is when it is run as a script."""
    sys.path.insert(0, str(EXAMPLES))
    try:
        yield importlib.import_module("serve_conductor_definitions")
    finally:
        sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def came(program: Any, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """All ways, the schemas, and faults of the server: of one server that all of it ran on."""

    async def run() -> Any:
        async with serving(tmp_path_factory.mktemp("served"), "--http-allow", "127.0.0.1") as url:
            return await program.run(url, data_dir / "conductor-definitions")

    return asyncio.run(run())


def test_every_way_ends_as_its_script_says(program: Any, came: Any) -> None:
    ways, _, _ = came

    assert [program.line(way) for way in ways if way.status != way.script.ends] == []
    assert len(ways) >= 70


def test_definitions_come_back_with_the_meaning_they_were_sent_with(came: Any) -> None:
    ways, _, _ = came

    assert [(way.file, way.differs) for way in ways if way.differs] == []


def test_only_what_conductor_refuses_is_refused(came: Any) -> None:
    ways, _, _ = came
    refused = [(way.file, way.reason) for way in ways if way.status == "refused"]

    assert [file for file, _ in refused] == ["wf1.json"]
    assert refused[0][1].startswith("400 ")


def test_answers_are_of_conductors_schemas(came: Any) -> None:
    _, schemas, _ = came

    assert schemas.faults == {}
    assert set(schemas.checked) == {"Task", "TaskDef", "Workflow", "WorkflowDef"}


def test_no_answer_is_a_fault_of_the_server(came: Any) -> None:
    _, _, faults = came

    assert faults == []


def test_a_difference_is_seen(program: Any) -> None:
    sent = {"name": "a", "tasks": [{"inputParameters": {"x": None, "y": 1}}], "description": None}

    assert (
        list(program.differences(sent, {"name": "a", "tasks": [{"inputParameters": {"x": None, "y": 1}}]}))
        == []
    )
    assert len(list(program.differences(sent, {"name": "a", "tasks": [{"inputParameters": {"y": 2}}]}))) == 1
    assert len(list(program.differences(sent, {"name": "b", "tasks": []}))) == 2
