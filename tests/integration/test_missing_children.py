"""Laws: a start whose literally named sub-workflow is not there is refused, also after earlier starts."""

from __future__ import annotations

import pytest

from asyncflow.app.build import open_service
from asyncflow.app.service import StartRequest
from asyncflow.errors import NotFound
from asyncflow.model.values import JsonObject
from tests.integration.engine_support import workflow

CHILD = workflow("child", [{"name": "n", "taskReferenceName": "n", "type": "NOOP"}])
CALL: JsonObject = {
    "name": "call",
    "taskReferenceName": "call",
    "type": "SUB_WORKFLOW",
    "subWorkflowParam": {"name": "child"},
}


async def test_a_child_that_was_deleted_meanwhile_is_missed() -> None:
    async with open_service() as service:
        await service.register_workflow(CHILD)
        await service.register_workflow(workflow("parent", [CALL]))
        await service.ended(await service.start(StartRequest("parent")))
        await service.unregister_workflow("child", 1)

        with pytest.raises(NotFound, match="child"):
            await service.start(StartRequest("parent"))

        await service.register_workflow(CHILD)
        assert (await service.ended(await service.start(StartRequest("parent")))).status == "COMPLETED"
