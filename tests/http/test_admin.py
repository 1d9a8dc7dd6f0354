"""Administration over HTTP: what the server runs with, what is open, a second look, and names."""

from __future__ import annotations

import pytest

from asyncflow.app.documents import Documents
from asyncflow.app.options import EngineSettings
from tests.http.conftest import Server
from tests.http.worker_calls import NOBODY, as_list, as_object, polled, started, status

CANARY = "the-value-of-a-secret"


@pytest.fixture
def engine_settings() -> EngineSettings:
    return EngineSettings(
        environment={"REGION": "north", "EMPTY": ""}, secrets={"token": CANARY, "key": CANARY}
    )


@pytest.mark.route("GET /api/admin/config")
async def test_the_configuration_shows_limits_and_no_secrets(server: Server) -> None:
    answer = await server.get("/api/admin/config")

    shown = as_object(answer)
    assert shown["asyncflow.limits.payload_bytes"] == 2 << 20
    assert shown["asyncflow.durability"] == "full"
    assert CANARY not in answer.text
    assert "north" not in answer.text


@pytest.mark.route("GET /api/admin/task/{type}")
async def test_open_tasks_of_a_type_are_listed_in_pages(server: Server) -> None:
    for _ in range(3):
        await started(server)
    taken = await polled(server)

    everything = as_list(await server.get("/api/admin/task/work"))
    page = as_list(await server.get("/api/admin/task/work", params={"start": 1, "count": 1}))

    assert sorted(str(each["status"]) for each in everything) == ["IN_PROGRESS", "SCHEDULED", "SCHEDULED"]
    assert taken["taskId"] in {each["taskId"] for each in everything}
    assert page == everything[1:2]
    assert (await server.get("/api/admin/task/none")).json == []


@pytest.mark.route("GET /api/admin/task/{type}")
@pytest.mark.parametrize(
    ("name", "value"), [("start", "-1"), ("count", "0"), ("count", "x"), ("start", "1.5")]
)
async def test_pages_out_of_range_are_refused_by_name(server: Server, name: str, value: str) -> None:
    answer = await server.get("/api/admin/task/work", params={name: value})

    assert answer.status == 400
    assert answer.message.startswith(f"{name}: ")


@pytest.mark.route("POST /api/admin/sweep/requeue/{id}")
@pytest.mark.route("POST /api/admin/consistency/verifyAndRepair/{id}")
@pytest.mark.parametrize(
    ("path", "said"), [("sweep/requeue", "true"), ("consistency/verifyAndRepair", "false")]
)
async def test_a_second_look_finds_nothing_to_do(server: Server, path: str, said: str) -> None:
    execution = await started(server)

    answer = await server.post(f"/api/admin/{path}/{execution}")

    assert (answer.status, answer.text) == (200, said)
    assert await status(server, execution) == "RUNNING"


@pytest.mark.route("POST /api/admin/sweep/requeue/{id}")
@pytest.mark.route("POST /api/admin/consistency/verifyAndRepair/{id}")
@pytest.mark.parametrize("path", ["sweep/requeue", "consistency/verifyAndRepair"])
async def test_a_second_look_at_nothing_is_404(server: Server, path: str) -> None:
    assert (await server.post(f"/api/admin/{path}/{NOBODY}")).status == 404


@pytest.mark.route("GET /api/admin/queues")
async def test_event_queues_are_those_that_handlers_listen_to(server: Server) -> None:
    handlers = Documents(server.services.executions.engine, "event_handler")
    await handlers.save("h1", {"name": "h1", "event": "conductor:mail", "active": True})
    await handlers.save("h2", {"name": "h2", "event": "conductor:mail", "active": True})
    await handlers.save("h3", {"name": "h3", "event": "conductor:off", "active": False})

    brief = await server.get("/api/admin/queues")
    verbose = await server.get("/api/admin/queues", params={"verbose": "True"})

    assert brief.json == {"conductor:mail": "conductor:mail"}
    assert verbose.json == {"conductor:mail": ["h1", "h2"]}
    assert (await server.get("/api/admin/queues", params={"verbose": "maybe"})).status == 400


@pytest.mark.route("GET /api/environment")
async def test_the_environment_of_expressions_is_listed(server: Server) -> None:
    answer = await server.get("/api/environment")

    assert answer.json == [{"name": "EMPTY", "value": ""}, {"name": "REGION", "value": "north"}]


@pytest.mark.route("GET /api/environment/{key}")
async def test_a_variable_is_text(server: Server) -> None:
    answer = await server.get("/api/environment/REGION")

    assert (answer.status, answer.text) == (200, "north")
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert (await server.get("/api/environment/PATH")).status == 404


@pytest.mark.route("GET /api/secrets")
async def test_secrets_are_names_only(server: Server) -> None:
    answer = await server.get("/api/secrets")

    assert answer.json == ["key", "token"]
    assert CANARY not in answer.text
