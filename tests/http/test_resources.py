"""Resources over REST: shown, made, drained, resized, deleted; decisions; calls of services."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asyncflow.app.options import EngineSettings
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resource_state import Instance, ResourceState
from asyncflow.model.resources import ResourceLimit
from asyncflow.plugins.errors import InstanceGone, Rejected
from asyncflow.plugins.jobs import InstanceOrder, InstanceStatus
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import PluginConfig, ResourceManager
from tests.http.conftest import Answer, Server, serving

PATH = "/api/asyncflow/resources"


class Printer(PluginConfig):
    tray: int = 1
    password: str = ""


class Gate(ResourceManager):
    """Limits only."""

    Config = Printer


class Fleet(ResourceManager):
    """Has instances, of which no test makes one."""

    async def create(self, order: InstanceOrder) -> str:
        raise Rejected("no capacity")

    async def check(self, handle: str) -> InstanceStatus:
        return InstanceStatus("gone")

    async def destroy(self, handle: str) -> None:
        raise InstanceGone("there is none")


SETTINGS = EngineSettings(
    resources={
        "fixed": ResourceSettings("gate", ResourceLimit(2), {"tray": 2, "password": "hunter2"}),
        "plain": ResourceLimit(3),
        "ships": ResourceSettings("fleet", ResourceLimit(4)),
    },
    registry=Registry.built_in().with_classes(resources={"gate": Gate, "fleet": Fleet}),
)


def shown(answer: Answer, status: int = 200) -> Any:
    assert answer.status == status, answer.text
    return answer.json if answer.body else None


def holding(name: str) -> dict[str, object]:
    """A task that an outside worker performs, and that needs a resource."""
    extension = {"resources": [{"name": name}]}
    return {"name": "work", "taskReferenceName": "work", "type": "SIMPLE", "asyncflow": extension}


async def started(server: Server, task: dict[str, object]) -> str:
    definition = {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [task]}
    answer = await server.post("/api/workflow", json={"name": "w", "workflowDef": definition})
    assert answer.status == 200, answer.text
    return answer.text


@pytest.mark.route("GET /api/asyncflow/resources")
async def test_resources_are_listed_with_their_settings_and_use() -> None:
    async with serving(engine=SETTINGS) as server:
        found = shown(await server.get(PATH))
        page = shown(await server.get(PATH, params={"start": 1, "count": 1}))

    by_name = {each["name"]: each for each in found["resources"]}
    assert found["totalHits"] == len(by_name) == 3
    assert (by_name["fixed"]["type"], by_name["fixed"]["source"]) == ("gate", "configuration")
    assert by_name["fixed"]["settings"]["config"] == {"tray": 2, "password": "***"}
    assert by_name["plain"]["limit"] == 3
    assert [each["name"] for each in page["resources"]] == ["plain"]


@pytest.mark.route("GET /api/asyncflow/resources/{name}")
async def test_a_resource_tells_who_holds_it_and_who_waits() -> None:
    async with serving(engine=SETTINGS) as server:
        shown(await server.put(f"{PATH}/one", json={"type": "gate", "max_concurrent": 1}))
        first = await started(server, holding("one"))
        assert await server.services.workers.poll("work", worker_id="w1", timeout_ms=5_000)
        second = await started(server, holding("one"))
        assert not await server.services.workers.poll("work", worker_id="w2", timeout_ms=10)

        found = shown(await server.get(f"{PATH}/one"))
        shown(await server.get(f"{PATH}/nothing"), 404)

    assert [each["execution_id"] for each in found["held_by"]] == [first]
    assert [each["execution_id"] for each in found["waited_by"]] == [second]
    assert (found["in_use"], found["waiting"]) == (1, 1)


@pytest.mark.route("PUT /api/asyncflow/resources/{name}")
async def test_a_resource_is_made_changed_and_kept(tmp_path: Path) -> None:
    async with serving(engine=SETTINGS, database=tmp_path / "a.db") as server:
        shown(await server.put(f"{PATH}/made", json={"type": "gate", "max_concurrent": 4, "rate": "20/1m"}))
        shown(await server.put(f"{PATH}/made", json={"type": "gate", "max_concurrent": 5, "tray": 3}))
    async with serving(engine=SETTINGS, database=tmp_path / "a.db") as server:
        found = shown(await server.get(f"{PATH}/made"))

    assert (found["source"], found["limit"], found["rate"]) == ("document", 5, None)
    assert found["settings"]["config"] == {"tray": 3}


@pytest.mark.route("PUT /api/asyncflow/resources/{name}")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"type": "gate", "max_concurrent": -1}, "made.max_concurrent"),
        ({"type": "gate", "try": 1}, "made.try: no such setting (did you mean tray?)"),
        ({"type": "gate", "tray": "hunter2"}, "made.tray: "),
        ({"type": "gaet"}, "made.type: 'gaet': no plugin of this name is installed"),
    ],
)
async def test_what_does_not_fit_is_refused_by_its_key(body: dict[str, object], said: str) -> None:
    async with serving(engine=SETTINGS) as server:
        answer = await server.put(f"{PATH}/made", json=body)

    assert answer.status == 400
    assert said in answer.message
    assert "hunter2" not in answer.message


@pytest.mark.route("PUT /api/asyncflow/resources/{name}")
async def test_those_of_the_configuration_are_changed_there() -> None:
    async with serving(engine=SETTINGS) as server:
        saved = await server.put(f"{PATH}/fixed", json={"type": "gate"})
        deleted = await server.delete(f"{PATH}/fixed")

    assert (saved.status, deleted.status) == (409, 409)
    assert "configuration file: change it there" in saved.message


@pytest.mark.route("DELETE /api/asyncflow/resources/{name}")
async def test_a_resource_is_deleted_when_nobody_uses_it() -> None:
    async with serving(engine=SETTINGS) as server:
        shown(await server.put(f"{PATH}/made", json={"type": "gate", "max_concurrent": 1}))
        workflow_id = await started(server, holding("made"))
        assert await server.services.workers.poll("work", worker_id="w1", timeout_ms=5_000)
        used = await server.delete(f"{PATH}/made")
        await server.delete(f"/api/workflow/{workflow_id}")
        gone = await server.delete(f"{PATH}/made")
        again = await server.delete(f"{PATH}/made")

    assert (used.status, gone.status, again.status) == (409, 200, 404)
    assert "in use" in used.message


@pytest.mark.route("POST /api/asyncflow/resources/{name}/drain")
@pytest.mark.route("POST /api/asyncflow/resources/{name}/resume")
async def test_a_drained_resource_lets_nobody_begin_until_it_is_resumed(tmp_path: Path) -> None:
    async with serving(engine=SETTINGS, database=tmp_path / "a.db") as server:
        drained = shown(await server.post(f"{PATH}/plain/drain", params={"reason": "toner"}))
        await started(server, holding("plain"))
        assert not await server.services.workers.poll("work", worker_id="w1", timeout_ms=10)
    async with serving(engine=SETTINGS, database=tmp_path / "a.db") as server:
        kept = shown(await server.get(f"{PATH}/plain"))
        assert not await server.services.workers.poll("work", worker_id="w1", timeout_ms=10)
        resumed = shown(await server.post(f"{PATH}/plain/resume"))
        assert await server.services.workers.poll("work", worker_id="w1", timeout_ms=5_000)
        shown(await server.post(f"{PATH}/nothing/drain"), 404)
        shown(await server.post(f"{PATH}/nothing/resume"), 404)

    assert (drained["state"], kept["state"], resumed["state"]) == ("drained", "drained", "ready")
    assert "toner" in str(kept["drained"])
    assert kept["drainedMs"] == drained["drainedMs"] > 0
    assert not resumed["drained"]


@pytest.mark.route("POST /api/asyncflow/resources/{name}/resize")
async def test_more_room_lets_those_in_who_wait() -> None:
    async with serving(engine=SETTINGS) as server:
        shown(await server.put(f"{PATH}/made", json={"type": "gate", "max_concurrent": 1}))
        for _ in range(2):
            await started(server, holding("made"))
        assert await server.services.workers.poll("work", worker_id="w1", timeout_ms=5_000)
        found = shown(await server.post(f"{PATH}/made/resize", json={"maxConcurrent": 2}))
        assert await server.services.workers.poll("work", worker_id="w1", timeout_ms=5_000)
        fixed = shown(await server.post(f"{PATH}/ships/resize", json={"instances": {"max": 3}}))
        await server.post(f"{PATH}/made/drain")
        drained = shown(await server.post(f"{PATH}/made/resize", json={"maxConcurrent": 3}))
        wrong = await server.post(f"{PATH}/made/resize", json={"maxConcurent": 2})
        below = await server.post(f"{PATH}/made/resize", json={"instances": {"min": 3, "max": 2}})

    assert (found["limit"], found["settings"]["limit"]["max_concurrent"]) == (2, 2)
    assert fixed["maxInstances"] == 3
    assert (drained["limit"], drained["state"]) == (3, "drained")
    assert (wrong.status, below.status) == (400, 400)
    assert "maxConcurent: no such size" in wrong.message


@pytest.mark.route("GET /api/asyncflow/resources/{name}/history")
@pytest.mark.route("GET /api/asyncflow/resources/{name}/jobs")
async def test_what_was_done_to_a_resource_is_told_with_who_and_why() -> None:
    async with serving(engine=SETTINGS) as server:
        await server.post(f"{PATH}/fixed/drain", params={"reason": "toner"})
        await server.post(f"{PATH}/fixed/resume", params={"reason": "filled"})
        history = shown(await server.get(f"{PATH}/fixed/history", params={"count": 2}))
        jobs = shown(await server.get(f"{PATH}/fixed/jobs"))
        shown(await server.get(f"{PATH}/nothing/history"), 404)
        shown(await server.get(f"{PATH}/nothing/jobs"), 404)

    assert [(each["event"], each["reason"]) for each in history["events"]] == [
        ("ResourceResumed", "filled"),
        ("ResourceDrained", "toner"),
    ]
    assert jobs == {"totalHits": 0, "jobs": []}


@pytest.mark.route("POST /api/asyncflow/tasks/{id}/decide")
async def test_a_decision_needs_an_undecided_job() -> None:
    async with serving(engine=SETTINGS) as server:
        workflow_id = await started(server, holding("plain"))
        task = shown(await server.get(f"/api/workflow/{workflow_id}"))["tasks"][0]["taskId"]
        path = f"/api/asyncflow/tasks/{task}/decide"

        no_job = await server.post(path, json={"decision": "fail"})
        no_word = await server.post(path, json={"decision": "forget"})
        no_task = await server.post("/api/asyncflow/tasks/nothing/decide", json={"decision": "fail"})

    assert (no_job.status, no_word.status, no_task.status) == (404, 400, 404)
    assert "resubmit, adopt, fail, complete" in no_word.message


@pytest.mark.route("POST /api/asyncflow/callback/{token}/{proof}")
async def test_a_call_with_a_wrong_proof_is_no_address() -> None:
    async with serving(engine=SETTINGS) as server:
        answer = await server.post("/api/asyncflow/callback/abc/def", data="x" * 1_000)

        audited = await server.services.logbook.audit_entries()

    assert answer.status == 404
    assert audited.total == 0


@pytest.mark.route("POST /api/asyncflow/resources/{name}/release")
async def test_a_resource_without_its_history_goes_on_when_somebody_says_from_where() -> None:
    async with serving(engine=SETTINGS) as server:
        said = {"nextNumber": 4, "reason": "looked at the console"}
        shown(await server.post(f"{PATH}/fixed/release", json=said), 409)
        shown(await server.post(f"{PATH}/nothing/release", json=said), 404)
        shown(await server.post(f"{PATH}/fixed/release", json={"nextNumber": 0}), 400)
        kept = server.services.executions.engine.kept_resources
        assert kept is not None
        state = kept.keepers["fixed"].state
        state.damage, state.generation, state.seq = "a bit flipped", 2, 0  # what a start makes of it
        damaged = shown(await server.get(f"{PATH}/fixed"))
        found = shown(await server.post(f"{PATH}/fixed/release", json=said))

    assert damaged["state"] == "damaged"
    assert "a bit flipped" in damaged["reason"]
    assert (found["state"], found["damage"]) == ("ready", "")


@pytest.mark.route("POST /api/asyncflow/resources/{name}/forget")
async def test_only_what_is_not_configured_and_left_something_is_forgotten() -> None:
    async with serving(engine=SETTINGS) as server:
        shown(await server.post(f"{PATH}/fixed/forget"), 409)
        shown(await server.post(f"{PATH}/nothing/forget"), 404)
        kept = server.services.executions.engine.kept_resources
        assert kept is not None
        left = kept.former["left"] = ResourceState("left", configured=("gate", {}))
        left.instances[1] = Instance(1, "token", "active", "j-1")
        orphan = shown(await server.get(f"{PATH}/left"))
        await server.post(f"{PATH}/left/forget", params={"reason": "it is theirs now"})
        shown(await server.get(f"{PATH}/left"), 404)
        (event, *_) = shown(await server.get(f"{PATH}/left/history"))["events"]

    assert (orphan["state"], orphan["instances"][0]["handle"]) == ("orphaned", "j-1")
    assert (event["event"], event["reason"]) == ("ResourceForgotten", "it is theirs now")
