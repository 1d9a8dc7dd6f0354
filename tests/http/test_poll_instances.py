"""Instances of resources over HTTP: a worker that polls is told on which one its task is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asyncflow.app.options import EngineSettings
from asyncflow.model.resource_settings import ResourceSettings
from tests.http.conftest import Server, serving
from tests.http.test_resources import PATH, holding, shown, started
from tests.integration.resource_support import ClusterBench


def _settings(path: Path) -> EngineSettings:
    registry = ClusterBench(path / "unused.db").registry()
    resources = {"emr": ResourceSettings("cluster", per_instance=1, poll_first_s=1, poll_max_s=1)}
    return EngineSettings(resources=resources, registry=registry)


async def _polled(server: Server) -> dict[str, Any]:
    """The task a worker gets that goes on polling."""
    for _ in range(6):
        found = shown(await server.get("/api/tasks/poll/batch/work", params={"timeout": "5000"}))
        if found:
            (task,) = found
            return dict(task)
    raise AssertionError("no task came")


async def _reserved(server: Server) -> list[int]:
    return [each["reserved"] for each in shown(await server.get(f"{PATH}/emr"))["instances"]]


@pytest.mark.route("GET /api/tasks/poll/batch/{type}")
async def test_polled_task_names_its_instance_and_holds_it_over_a_restart(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    async with serving(engine=settings, database=tmp_path / "a.db") as server:
        await started(server, holding("emr"))
        task = await _polled(server)
        assert task["asyncflow"]["instances"] == {"emr": "j-1"}
        assert await _reserved(server) == [1]
    async with serving(engine=settings, database=tmp_path / "a.db") as server:
        assert await _reserved(server) == [1]
        ended = {"workflowInstanceId": task["workflowInstanceId"], "taskId": task["taskId"]}
        answer = await server.post("/api/tasks", json={**ended, "status": "COMPLETED"})
        assert answer.status == 200, answer.text
        assert await _reserved(server) == [0]


@pytest.mark.route("GET /api/tasks/poll/batch/{type}")
async def test_task_without_instances_names_none(tmp_path: Path) -> None:
    async with serving(engine=_settings(tmp_path)) as server:
        shown(await server.put(f"{PATH}/one", json={"type": "limit", "max_concurrent": 1}))
        await started(server, holding("one"))
        task = await _polled(server)
    assert "instances" not in task["asyncflow"]
