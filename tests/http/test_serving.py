"""A server answers, with the headers that every answer has."""

from __future__ import annotations

from tests.http.conftest import Server


async def test_a_server_is_ready_once_its_engine_is_open(server: Server) -> None:
    answer = await server.get("/ready")

    assert (answer.status, answer.text) == (200, "ready")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_unknown_paths_are_answered_as_conductor_does(server: Server) -> None:
    answer = await server.get("/api/token")

    assert answer.status == 404
    assert answer.json == {
        "status": 404,
        "message": "No static resource api/token",
        "instance": "asyncflow",
        "retryable": False,
    }
