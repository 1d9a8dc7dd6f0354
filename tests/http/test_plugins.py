"""Plugins over REST: what is installed, what is broken, and the schemas of what it takes."""

from __future__ import annotations

from typing import Any

import pytest

from asyncflow.app.options import EngineSettings
from asyncflow.plugins.registry import Registry
from tests.http.conftest import serving
from tests.plugins.test_registry import Cluster, Ear, Shout

REGISTRY = Registry.built_in().with_classes(
    resources={"cluster": Cluster}, tasks=[Shout], listeners={"ear": Ear}
)
SETTINGS = EngineSettings(registry=type(REGISTRY)(REGISTRY._candidates, disabled=["listener:ear"]))


async def asked(path: str, status: int = 200) -> Any:
    async with serving(engine=SETTINGS) as server:
        answer = await server.get(path)
    assert answer.status == status, answer.text
    return answer.json


@pytest.mark.route("GET /api/asyncflow/plugins")
async def test_every_plugin_is_listed_with_what_it_brings() -> None:
    found = await asked("/api/asyncflow/plugins")

    told = {(each["kind"], each["name"]): each for each in found["plugins"]}
    assert told["resource", "cluster"]["taskTypes"] == ["CLUSTER_STEP"]
    assert told["task", "SHOUT"]["state"] == "ready"
    assert told["listener", "ear"]["state"] == "disabled"
    assert {("resource", name) for name in ("limit", "command")} <= told.keys()


@pytest.mark.route("GET /api/asyncflow/plugins/{kind}/{name}")
async def test_a_plugin_is_shown_with_its_schemas() -> None:
    found = await asked("/api/asyncflow/plugins/resource/cluster")
    await asked("/api/asyncflow/plugins/resource/nothing", 404)

    assert found["config"]["additionalProperties"] is False
    assert found["inputs"]["CLUSTER_STEP"]["required"] == ["query"]
    assert (found["takesJobs"], found["hasInstances"], found["tier"]) == (True, False, "none")


@pytest.mark.route("GET /api/asyncflow/taskTypes/{name}")
async def test_the_schema_of_an_input_is_served_by_its_type_of_task() -> None:
    step = await asked("/api/asyncflow/taskTypes/CLUSTER_STEP")
    shout = await asked("/api/asyncflow/taskTypes/SHOUT")
    await asked("/api/asyncflow/taskTypes/HTTP", 404)

    assert (step["kind"], step["plugin"]) == ("resource", "cluster")
    assert step["input"]["properties"]["query"]["type"] == "string"
    assert (shout["kind"], shout["input"]) == ("task", {"type": "object"})
