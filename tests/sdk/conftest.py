"""What the builder's tests share: one block as a definition, checked by the model that engines read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from asyncflow.model.definition import parse_workflow
from asyncflow.model.validation import validate_workflow
from asyncflow.sdk.composition import Block
from asyncflow.sdk.workflow import Workflow

Tasks = Callable[[Callable[[], Block]], list[object]]


@pytest.fixture
def tasks_of() -> Tasks:
    """The tasks of a workflow made of one block, which the function makes within it."""

    def tasks(make: Callable[[], Block]) -> list[object]:
        with Workflow("w") as wf:
            wf >> make()
        definition = wf.to_definition()
        assert validate_workflow(parse_workflow(definition)) == []
        assert definition == wf.to_definition()
        assert isinstance(definition["tasks"], list)
        return definition["tasks"]

    return tasks
