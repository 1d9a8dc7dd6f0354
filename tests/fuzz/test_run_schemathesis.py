"""The run of schemathesis as far as it goes without the tool: what it counts, when it is worth nothing."""

from __future__ import annotations

import asyncio

import pytest

from tests.fuzz.planting import EXECUTIONS, Planter
from tests.fuzz.run_schemathesis import Phase, _answers, _faults, _known, phases
from tests.http.conftest import serving
from tests.http.credentials import bearer

ADMIN, OPEN, STRANGER = phases(600)


def test_a_run_has_the_time_it_is_given_as_an_admin_and_a_tenth_twice_more() -> None:
    assert [(each.seconds, each.locked, each.admin) for each in phases(600)] == [
        (600, True, True),
        (60, False, True),
        (60, True, False),
    ]
    assert [each.seconds for each in phases(30)] == [30, 5, 5]


@pytest.mark.parametrize(
    ("phase", "status", "count"),
    [
        (ADMIN, 200, 0),
        (ADMIN, 401, 1),
        (ADMIN, 403, 1),
        (ADMIN, 500, 1),
        (ADMIN, 503, 1),
        (OPEN, 401, 1),
        (STRANGER, 401, 0),
        (STRANGER, 200, 1),
    ],
)
def test_a_run_that_met_the_wrong_answers_is_worth_nothing(phase: Phase, status: int, count: int) -> None:
    answers = {("GET", "/api/secrets", status): 3, ("POST", "/api/token", 401): 1, ("GET", "/ready", 200): 1}

    assert len(_faults(phase, answers)) == count


async def test_what_the_server_answered_is_read_of_its_metrics_after_planting() -> None:
    async with serving() as server:
        made = await server.services.keys.create("fuzzer", "admin")
        own = {"id": made.record.key_id, "secret": made.secret, "key": made.text}
        planter = Planter(server.url, bearer(made))
        known = await asyncio.to_thread(_known, planter, own)
        answers = _answers(await asyncio.to_thread(planter.send, "GET", "/metrics"))

    assert answers["POST", "/api/workflow/{name}", 200] == EXECUTIONS
    assert {status for _, _, status in answers} == {200}
    assert all(known.values())
    token = known["bodies"]["POST /api/token"]  # type: ignore[index]
    assert token == [{"keyId": own["id"], "keySecret": own["secret"]}]
