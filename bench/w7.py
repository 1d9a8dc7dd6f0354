"""W7: the shapes of HyperFlow's own measurements, a chain and a fan-out of 10,000, with journal files on.

Every step is durable in the database and in the journal file before the next begins. HyperFlow does 1,500 to
2,000 tasks a second of these on the machine of `bench/peers`, which measures it beside these.
"""

from __future__ import annotations

import time
from pathlib import Path

import asyncflow as af
from asyncflow.app.local import LocalOptions, open_local
from asyncflow.app.process import tune_process
from asyncflow.app.service import StartRequest
from asyncflow.model.definition import parse_workflow
from asyncflow.model.values import JsonObject
from bench.floors import on_uvloop
from bench.harness import Case, Measured
from bench.w2 import FAN_OUT, branch

TASKS = 10_000


@af.task(retries=0)
async def link() -> None:
    """Do nothing."""


def chain() -> JsonObject:
    """As many tasks in a row as a definition may have."""
    refs = [f"link_{number}" for number in range(TASKS)]
    tasks = [{"name": "link", "taskReferenceName": ref, "type": "SIMPLE"} for ref in refs]
    return {"name": "chain_10k", "version": 1, "tasks": tasks}


async def _run(folder: Path, body: JsonObject, given: JsonObject) -> Measured:
    """Tasks per second, from the start request until the journal file holds the end."""
    functions = {each.name: each for each in (link, branch)}
    began = time.perf_counter()
    options = LocalOptions(journal=folder / "journal")
    async with open_local(folder / "w7.db", functions, options) as service:
        identity = await service.start(StartRequest(definition=parse_workflow(body), input=given))
        state = await service.ended(identity)
        assert state.status == "COMPLETED", state.reason
    took_s = time.perf_counter() - began
    size = sum(file.stat().st_size for file in (folder / "journal").iterdir())
    return Measured(TASKS / took_s, {"journal_mb": size / 1e6})


def measure(folder: Path, body: JsonObject, given: JsonObject) -> Measured:
    """One sample."""
    tune_process()
    return on_uvloop(lambda: _run(folder, body, given))


CASES = (
    Case("chain-10k", "tasks/s", lambda f: measure(f, chain(), {}), floor="floors/F2-100", seconds=18),
    Case(
        "fan-out-10k",
        "tasks/s",
        lambda f: measure(f, FAN_OUT, {"items": [{}] * TASKS}),
        floor="floors/F2-100",
    ),
)
