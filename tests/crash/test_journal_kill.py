"""Scenario 4 of HyperFlow's: a result that was handed on is in the journal file of a run that is killed."""

from __future__ import annotations

import subprocess
import sys

from tests.cli.making import environment

ROUNDS = 8


def test_scenario_4_no_result_that_was_handed_on_is_lost_by_a_kill() -> None:
    """HyperFlow: 0 to 4 finished tasks are missing. A thousand: `python -m tests.crash.journal_kill 1000`."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.journal_kill", str(ROUNDS)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"{ROUNDS} runs killed twice, ")
    assert done.stdout.endswith(" results handed on, 0 lost, 0 done again\n")
