"""Laws: a bug of the engine stops it, and nobody who waits is left without an answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.service import StartRequest
from asyncflow.errors import OutcomeUnknown, StoreError
from asyncflow.model.definition import parse_workflow
from asyncflow.model.values import JsonObject
from tests.integration.engine_support import held_engine, simple, waiting, workflow

WAITS = parse_workflow(workflow("waits", [waiting()]))
PATIENCE_S = 60


class PlantedError(Exception):
    """A bug where none is expected."""


async def test_release_that_breaks_leaves_nobody_of_its_turn_waiting(tmp_path: Path) -> None:
    def breaks() -> None:
        raise PlantedError

    with pytest.raises(StoreError):  # noqa: PT012 - leaving the context raises
        async with held_engine(tmp_path / "a.db") as (service, _):
            identity = await service.start(StartRequest(definition=WAITS))
            service.engine.carry.committed = breaks  # type: ignore[method-assign]
            with pytest.raises(OutcomeUnknown, match="committed, but the engine stopped"):
                async with asyncio.timeout(PATIENCE_S):
                    await service.pause(identity)


async def test_attempts_that_cannot_begin_in_a_later_round_stop_the_engine(tmp_path: Path) -> None:
    begun: list[int] = []
    most = 700  # more than begin in the round of the commit

    @af.task(retries=0)
    async def each(ctx: af.TaskContext) -> None:
        begun.append(ctx.number)

    with pytest.raises(StoreError):  # noqa: PT012 - leaving the context raises
        async with held_engine(tmp_path / "a.db", each) as (service, _):
            engine = service.engine
            forks: list[object] = [[simple("each", ref=f"e{i}")] for i in range(most)]
            names: list[object] = [f"e{i}" for i in range(most)]
            tasks: list[JsonObject] = [
                {"name": "fork", "taskReferenceName": "fork", "type": "FORK_JOIN", "forkTasks": forks},
                {"name": "join", "taskReferenceName": "join", "type": "JOIN", "joinOn": names},
            ]
            real, calls = engine.attempts.start, 0

            def start(*given: object) -> None:
                nonlocal calls
                calls += 1
                if calls > 600:
                    raise PlantedError
                real(*given)  # type: ignore[arg-type]

            engine.attempts.start = start  # type: ignore[assignment, method-assign]
            identity = await service.start(StartRequest(definition=parse_workflow(workflow("w", tasks))))
            async with asyncio.timeout(PATIENCE_S):
                with pytest.raises(StoreError):
                    await service.ended(identity)

    assert calls == 601
