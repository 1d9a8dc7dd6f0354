"""The fixtures as a project of somebody else meets them: in a pytest run of its own."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.testing.running import run_pytest

SUITE = """
from asyncflow.testing.outcomes import Outcome

WORKFLOW = {
    "name": "theirs", "schemaVersion": 2,
    "tasks": [{"name": "a", "taskReferenceName": "a", "type": "SIMPLE", "retryCount": 1}],
}

async def test_kit_runs_and_counts(asyncflow_kit):
    run = await asyncflow_kit.run(WORKFLOW, outcomes={"a": [Outcome.fail(), {"ok": True}]})
    assert run.status == "COMPLETED"
    assert asyncflow_kit.runs == [run]
    asyncflow_kit.coverage(WORKFLOW).require(100)

async def test_kit_is_new_for_each_test(asyncflow_kit):
    assert asyncflow_kit.runs == []

async def test_engine_stands_in_virtual_time(virtual_engine):
    async with virtual_engine(outcomes={"a": Outcome.delayed(3600)}) as engine:
        execution = await engine.begin(WORKFLOW)
        await engine.clock.advance(3599)
        assert await execution.status() == "RUNNING"
        assert (await engine.finish(execution)).duration == 3600

async def test_what_nobody_answers_is_a_failure(asyncflow_kit):
    await asyncflow_kit.run(WORKFLOW)
"""


def test_fixtures_serve_a_suite_elsewhere(tmp_path: Path, checkout: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(SUITE, encoding="utf-8")
    done = run_pytest(tmp_path, checkout)

    assert "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    assert "no outcome for task a (SIMPLE a, attempt 1) of workflow theirs" in done.stdout


def test_fixtures_are_listed_with_what_they_give(tmp_path: Path, checkout: Path) -> None:
    shown = run_pytest(tmp_path, checkout, "--fixtures").stdout

    assert "asyncflow_kit" in shown
    assert "virtual_engine" in shown


def test_plugin_is_announced_to_pytest(checkout: Path) -> None:
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["entry-points"]["pytest11"] == {"asyncflow": "asyncflow.testing.plugin"}
