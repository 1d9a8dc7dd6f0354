"""Pollers over HTTP get one each of five tasks, and a hundred of them hold to a limit of seven."""

from __future__ import annotations

import pytest

from tests.http.conftest import Server
from tests.http.fair_pollers import FIVE, api_of, by_fork, by_starts, held_pollers, limited, shares

ROUNDS = 10


@pytest.mark.timeout(120)
@pytest.mark.parametrize("round_of", [by_fork, by_starts])
async def test_five_tasks_for_five_held_polls_are_one_each(server: Server, round_of: object) -> None:
    assert callable(round_of)
    async with api_of(server.url) as api:
        await api.register("held")
        async with held_pollers(api, "held"):
            while len(await api.seen("held")) < FIVE:
                await api.let_pass(1)
            given = [shares(await round_of(api, "held")) for _ in range(ROUNDS)]

    assert given == [(1,) * FIVE] * ROUNDS


@pytest.mark.timeout(120)
async def test_hundred_pollers_hold_to_a_limit_and_none_is_stuck(server: Server) -> None:
    async with api_of(server.url) as api:
        seen = await limited(api, tasks=200, pollers=100, limit=7)

    assert seen.done == 200
    assert seen.most == 7
