"""Engines with a payload folder and small limits, and tasks that make and use what is over them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import asyncflow as af
from asyncflow.app.options import EngineSettings
from asyncflow.model.limits import Limits
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.sdk.tasks import TaskFunction
from tests.integration.engine_support import workflow

LIMITS = Limits(payload_bytes=1_500, stored_payload_bytes=100_000)
COUNT = 500
ROWS = list(range(COUNT))
ROWS_OF = {"rows": "${make.output.rows}", "count": "${make.output.count}"}


@af.task(retries=0)
async def make() -> JsonObject:
    """Rows over the limit, beside their count."""
    return {"count": COUNT, "rows": ROWS}


@af.task(retries=0)
def make_in_a_thread() -> JsonObject:
    """The same."""
    return {"count": COUNT, "rows": ROWS}


@af.task(retries=0, executor="process")
def make_in_a_process() -> JsonObject:
    """The same."""
    return {"count": COUNT, "rows": ROWS}


@af.task(retries=0)
async def add(rows: list[int], count: int) -> JsonObject:
    """The sum of the rows, and whether all are there."""
    return {"total": sum(rows), "agrees": len(rows) == count}


@af.task(retries=0, executor="process")
def add_in_a_process(rows: list[int], count: int) -> JsonObject:
    """The same."""
    return {"total": sum(rows), "agrees": len(rows) == count}


TASKS: tuple[TaskFunction[..., object], ...] = (
    make,
    make_in_a_thread,
    make_in_a_process,
    add,
    add_in_a_process,
)


@asynccontextmanager
async def stored_engine(
    tmp_path: Path, *tasks: TaskFunction[..., object], settings: EngineSettings | None = None
) -> AsyncIterator[af.Engine]:
    """An engine on `a.db` with the folder `payloads`."""
    chosen = replace(settings or EngineSettings(), limits=LIMITS)
    async with af.Engine(
        tmp_path / "a.db", tasks=(*TASKS, *tasks), settings=chosen, payloads=tmp_path / "payloads"
    ) as opened:
        yield opened


async def ran(tmp_path: Path, *tasks: JsonObject, **fields: object) -> ExecutionState:
    """The end of an execution of these tasks."""
    async with stored_engine(tmp_path) as engine:
        return await (await engine.start(workflow("w", tasks, **fields))).ended()


def files(tmp_path: Path) -> list[Path]:
    """The files of the folder."""
    return sorted((tmp_path / "payloads").rglob("*.json"))
