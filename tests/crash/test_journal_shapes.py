"""Scenario 25 of HyperFlow's: a real workflow killed at random points has each task once in its record."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.cli.making import environment

KILLS = 3


def test_scenario_25_a_real_workflow_killed_again_and_again_does_each_task_once(data_dir: Path) -> None:
    """Ten kills each, of more files: `python -m tests.crash.journal_shapes 10 FILE...`."""
    file = data_dir / "workflows" / "hyperflow-montage143.json"
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.journal_shapes", str(KILLS), str(file)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.stdout == f"{file.name}: 143 tasks, {KILLS} kills: all tasks done, each once\n", done.stderr
