"""Calls of a service that are broken off: nothing of them is left, however early that is."""

from __future__ import annotations

import inspect
import random

from asyncflow.runtime.jobs.connection import Connection, Work


async def test_a_call_broken_off_before_its_first_step_leaves_nothing() -> None:
    begun: list[str] = []

    async def submit() -> None:
        begun.append("submit")

    connection, call = Connection("r", lambda: 0, random.Random(0)), submit()
    connection.begin(Work("submit", call, 1.0, lambda *_: None))
    await connection.close()

    assert begun == []
    assert inspect.getcoroutinestate(call) == inspect.CORO_CLOSED
    assert connection.unended == 0
