"""The builder's examples: valid definitions, functions that can be called, as short as promised."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from asyncflow.model.definition import parse_workflow
from asyncflow.model.validation import validate_workflow
from asyncflow.runtime.binding import binding_of, normalise_result
from asyncflow.sdk.tasks import TaskFunction
from asyncflow.sdk.workflow import Workflow


def _loaded(checkout: Path, name: str) -> dict[str, object]:
    return runpy.run_path(str(checkout / "examples" / name))


@pytest.mark.parametrize("name", ["builder_three_tasks.py", "builder_branches.py"])
def test_example_is_valid_and_carries_its_functions(checkout: Path, name: str) -> None:
    loaded = _loaded(checkout, name)
    workflows = [value for value in loaded.values() if isinstance(value, Workflow)]
    tasks = {value for value in loaded.values() if isinstance(value, TaskFunction)}

    assert workflows
    for workflow in workflows:
        assert validate_workflow(parse_workflow(workflow.to_definition())) == []
    assert {f for workflow in workflows for f in workflow.functions().values()} == tasks


async def test_example_task_runs_from_inputs_to_output(checkout: Path) -> None:
    fetch = _loaded(checkout, "builder_three_tasks.py")["fetch"]
    assert isinstance(fetch, TaskFunction)

    result = await fetch(**binding_of(fetch.function).bind({"url": "here"}))

    assert normalise_result(result) == {"text": "content of here", "size": 42}


def test_three_tasks_take_less_than_ten_lines(checkout: Path) -> None:
    text = (checkout / "examples" / "builder_three_tasks.py").read_text()

    block = text[text.index("with Workflow") :].strip().splitlines()

    assert len(block) < 10
