"""Numbers in queries: whatever cannot be is refused under the name that the caller wrote."""

from __future__ import annotations

import re

import pytest

from asyncflow.http.tables import all_routes
from tests.http.conftest import Answer, Server


async def answers(server: Server, given: str) -> dict[str, tuple[str, Answer]]:
    """What every route that reads answers to each number in its query, with the name of the number."""
    found: dict[str, tuple[str, Answer]] = {}
    for route in all_routes():
        path = re.sub(r"\{\w+\*?\}", "some", route.path)
        required = {each.name: "0 0 0 * * *" for each in route.query if each.required}
        for declared in route.query:
            if route.method == "GET" and declared.kind == "number":
                answer = await server.get(path, params={**required, declared.name: given})
                found[f"{route.path} {declared.name}"] = declared.name, answer
    assert len(found) > 30
    return found


@pytest.mark.parametrize("given", ["9223372036854775808", "-9223372036854775809", "1e3"])
async def test_a_number_that_cannot_be_is_refused_by_the_name_of_its_parameter(
    server: Server, given: str
) -> None:
    for case, (name, answer) in (await answers(server, given)).items():
        assert answer.status == 400, case
        assert answer.message.startswith(f"{name}: "), case
        assert answer.message.count(": ") == 1, case


@pytest.mark.parametrize("given", ["9223372036854775807", "-9223372036854775808"])
async def test_a_number_at_the_edge_is_taken_or_refused_by_name(server: Server, given: str) -> None:
    for case, (name, answer) in (await answers(server, given)).items():
        assert answer.status in {200, 204, 400, 404}, case
        assert answer.status != 400 or answer.message.startswith(f"{name}: "), case
