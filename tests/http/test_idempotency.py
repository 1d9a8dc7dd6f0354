"""Idempotency keys over HTTP: the same request counts once, whoever sends it again (C39, R104)."""

from __future__ import annotations

import asyncio

import pytest

from asyncflow.app.options import EngineSettings
from tests.http.conftest import Answer, Server
from tests.http.worker_calls import as_object
from tests.http.workflow_calls import SET, SIMPLE, WAIT, definition, registered, shown

pytestmark = pytest.mark.route("POST /api/workflow")


async def started(server: Server, strategy: str | None, key: str | None = "k", **more: object) -> Answer:
    """Start the workflow `w` with a key and a strategy in the body."""
    body = {"name": "w", "idempotencyKey": key, "idempotencyStrategy": strategy, **more}
    return await server.post("/api/workflow", json=body)


async def total(server: Server) -> object:
    """How many executions there are."""
    return as_object(await server.get("/api/workflow/search"))["totalHits"]


@pytest.mark.scenario("R104")
async def test_the_same_request_gives_the_same_execution(server: Server) -> None:
    await registered(server, definition("w", SIMPLE))
    first = await started(server, "RETURN_EXISTING", input={"a": 1, "b": 2})
    again = await started(server, "RETURN_EXISTING", input={"b": 2, "a": 1})

    assert (first.status, again.status, again.text) == (200, 200, first.text)
    assert await total(server) == 1
    assert (await shown(server, first.text))["idempotencyKey"] == "k"


@pytest.mark.scenario("R104")
async def test_another_request_with_a_used_key_is_refused(server: Server) -> None:
    await registered(server, definition("w", SIMPLE), definition("v", SIMPLE))
    await started(server, "RETURN_EXISTING", input={"a": 1})
    other = await started(server, "RETURN_EXISTING", input={"a": 2})
    elsewhere = await started(server, "RETURN_EXISTING", name="v")

    assert (other.status, elsewhere.status) == (409, 200)
    assert await total(server) == 2


async def test_fail_refuses_a_used_key_whatever_became_of_it(server: Server) -> None:
    await registered(server, definition("w", SET))
    first = await started(server, "FAIL")
    again = await started(server, "FAIL")

    assert (first.status, again.status) == (200, 409)
    assert first.text in str(as_object(again)["message"])


async def test_fail_on_running_starts_anew_after_the_end(server: Server) -> None:
    await registered(server, definition("w", SIMPLE))
    first = await started(server, "FAIL_ON_RUNNING")
    while_running = await started(server, "FAIL_ON_RUNNING")
    await server.delete(f"/api/workflow/{first.text}")
    after = await started(server, "FAIL_ON_RUNNING")
    existing = await started(server, "RETURN_EXISTING")

    assert (while_running.status, after.status) == (409, 200)
    assert after.text != first.text
    assert existing.text == after.text


@pytest.mark.parametrize(("key", "strategy"), [("k", None), (None, "FAIL"), ("", "RETURN_EXISTING")])
async def test_a_key_or_a_strategy_alone_means_nothing(
    server: Server, key: str | None, strategy: str | None
) -> None:
    await registered(server, definition("w", SET))
    answers = [await started(server, strategy, key) for _ in range(3)]

    assert len({answer.text for answer in answers}) == 3


async def test_a_strategy_that_is_none_is_refused(server: Server) -> None:
    await registered(server, definition("w", SET))

    assert (await started(server, "SOMETIMES")).status == 400
    assert (await started(server, "FAIL", "k" * 5_000)).status == 400


@pytest.mark.scenario("R104")
@pytest.mark.parametrize("strategy", ["RETURN_EXISTING", "FAIL", "FAIL_ON_RUNNING"])
async def test_of_many_at_once_exactly_one_starts(server: Server, strategy: str) -> None:
    await registered(server, definition("w", WAIT))
    answers = await asyncio.gather(*(started(server, strategy) for _ in range(50)))

    assert {answer.status for answer in answers} == ({200} if strategy == "RETURN_EXISTING" else {200, 409})
    assert len({answer.text for answer in answers if answer.status == 200}) == 1
    assert await total(server) == 1


async def test_a_start_that_failed_leaves_its_key_free(server: Server) -> None:
    missing = await started(server, "FAIL")
    await registered(server, definition("w", SET))
    urgent = await started(server, "FAIL", priority=100)
    good = await started(server, "FAIL")

    assert (missing.status, urgent.status, good.status) == (404, 400, 200)


async def test_a_deleted_execution_leaves_its_key_free_for_another(server: Server) -> None:
    await registered(server, definition("w", SET))
    first = await started(server, "FAIL_ON_RUNNING")
    await server.delete(f"/api/workflow/{first.text}/remove")

    assert (await started(server, "FAIL_ON_RUNNING")).status == 200


# --- the header -----------------------------------------------------------------------------------


async def test_the_header_gives_the_same_execution_for_the_same_request(server: Server) -> None:
    await registered(server, definition("w", SIMPLE))
    body: dict[str, object] = {"name": "w", "idempotencyStrategy": "FAIL", "input": {"a": 1}}
    keyed = {"Idempotency-Key": '"k"'}
    answers = [await server.post("/api/workflow", json=body, headers=keyed) for _ in range(2)]
    other = await server.post("/api/workflow", json={**body, "input": {}}, headers=keyed)

    assert answers[0].text == answers[1].text
    assert other.status == 422
    assert await total(server) == 1


@pytest.mark.route("POST /api/workflow/{name}")
@pytest.mark.route("POST /api/workflow/execute/{name}/{version}")
@pytest.mark.parametrize("path", ["/api/workflow/w", "/api/workflow/execute/w/1"])
async def test_the_header_counts_wherever_something_is_started(server: Server, path: str) -> None:
    await registered(server, definition("w", SET))
    keyed = {"Idempotency-Key": "k"}
    first = await server.post(path, json={}, headers=keyed)
    again = await server.post(path, json={}, headers=keyed)
    other = await server.post(path, json={"input": {"x": 2}}, headers=keyed)

    assert (first.status, again.status, other.status) == (200, 200, 422)
    assert again.body == first.body
    assert await total(server) == 1


# --- how long -------------------------------------------------------------------------------------


class TestShortLife:
    """A key that counts for a thousandth of a second."""

    @pytest.fixture
    def engine_settings(self) -> EngineSettings:
        return EngineSettings(idempotency_life_s=0.001)

    @pytest.mark.parametrize("is_remembered", [False, True])
    async def test_a_key_that_is_over_starts_anew(self, server: Server, *, is_remembered: bool) -> None:
        await registered(server, definition("w", SET))
        first = await started(server, "FAIL")
        keys = server.services.executing._keys
        if not is_remembered:
            keys._recent.clear()  # as a restart does
        while (
            server.services.executions.engine.clock.now().elapsed_ms
            <= await _begun_ms(server, first.text) + 1
        ):
            await server.get("/ready")

        assert (await started(server, "FAIL")).status == 200


async def _begun_ms(server: Server, execution: str) -> int:
    begun = (await shown(server, execution))["createTime"]
    assert isinstance(begun, int)
    return begun


async def test_what_the_views_have_is_forgotten_here_and_still_found(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncflow.app.idempotency._REMEMBERED", 4)
    await registered(server, definition("w", SET))
    first = [await started(server, "RETURN_EXISTING", f"k{n}") for n in range(12)]
    assert await total(server) == 12
    more = [await started(server, "RETURN_EXISTING", f"m{n}") for n in range(12)]
    again = [await started(server, "RETURN_EXISTING", f"k{n}") for n in range(12)]

    assert len(server.services.executing._keys._recent) < 24
    assert [each.text for each in again] == [each.text for each in first]
    assert all(each.status == 200 for each in more)
