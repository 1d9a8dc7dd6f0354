"""Laws: whatever is killed when, every acknowledged start ends as if nothing had happened.

No task function is called again once the end of its record is durable, and the views show what the
journal says. Each test is a chain of engine processes on one file, killed at random moments and at
the named points of `runtime/points`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import asyncflow as af
from asyncflow.runtime.points import POINTS
from asyncflow.runtime.rebuild import rebuild_views
from asyncflow.store.records import Page
from asyncflow.store.sqlite import SqliteStore
from tests.crash import mixed_workflows as mixed

KILLS, EXECUTIONS = 30, 60
SEEDS = (0, 1, 2, 3)
DEADLINE_S = 110


class Ran(NamedTuple):
    database: Path
    lines: list[list[str]]

    def of(self, kind: str) -> list[list[str]]:
        return [words[1:] for words in self.lines if words[0] == kind]


@pytest.fixture(scope="module", params=SEEDS)
def ran(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, checkout: Path) -> Ran:
    folder = tmp_path_factory.mktemp("chain")
    database, log = folder / "flow.db", folder / "log"
    command = [sys.executable, "-m", "tests.crash.engine_chain", str(database), str(log)]
    ended = subprocess.run(
        [*command, str(KILLS), str(EXECUTIONS), str(request.param)],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr[-4000:]
    return Ran(database, [line.split() for line in log.read_text(encoding="utf-8").splitlines()])


def test_kills_really_happened(ran: Ran) -> None:
    assert len(ran.of("killed")) == KILLS


async def test_outputs_equal_those_of_a_run_without_kills(ran: Ran) -> None:
    expected: dict[int, object] = {}
    async with af.Engine(tasks=mixed.FUNCTIONS) as engine:
        for definition in mixed.WORKFLOWS:
            await engine.register(definition)
        started = {
            index: await engine.start(mixed.KINDS[index % len(mixed.KINDS)], {"n": index})
            for index in range(EXECUTIONS)
        }
        for index, execution in started.items():
            expected[index] = await execution.result()

    outputs: dict[int, list[object]] = {}
    for index_text, text in ran.of("output"):
        outputs.setdefault(int(index_text), []).append(json.loads(text))

    assert set(outputs) == set(expected) == {int(index) for index, _ in ran.of("ack")}
    assert all(each == expected[index] for index, found in outputs.items() for each in found)


def test_no_function_runs_after_the_end_of_its_record_is_durable(ran: Ran) -> None:
    ended: set[tuple[str, str]] = set()
    repeated = []
    for kind, *words in ran.lines:
        if kind == "end":
            ended.add((words[0], words[1]))
        elif kind == "call" and (words[0], words[1]) in ended:
            repeated.append(words)

    assert ended
    assert repeated == []


async def test_journal_is_sound_and_views_equal_a_rebuild(ran: Ran) -> None:
    everything = Page(limit=-1, order=(("execution_id", False),))
    in_order = Page(limit=-1, order=(("execution_id", False), ("number", False)))
    async with SqliteStore.open(ran.database) as store:
        faults = await store.find_faults()
        kept = (await store.list_executions((), everything), await store.list_tasks((), in_order))
        await rebuild_views(store)
        made = (await store.list_executions((), everything), await store.list_tasks((), in_order))

    assert faults == []
    assert kept[0]
    assert kept == made


def test_every_named_point_was_hit(ran: Ran, request: pytest.FixtureRequest) -> None:
    points_hit = {where for (where,) in ran.of("killed")}

    if request.node.callspec.params["ran"] == 0:
        assert points_hit >= set(POINTS)
    else:
        assert "at_random" in points_hit
