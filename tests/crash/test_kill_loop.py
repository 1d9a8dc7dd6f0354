"""Laws: whatever is killed when, nothing is lost, nothing is doubled, nothing is stuck.

Each test is a chain of engine processes on one file, killed at named steps and at random, against a service
in a process of its own that logs what it truly did; 200 kills in all. `python -m tests.crash.kill_loop` is
the same for as long as you like, and says which seed failed.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.crash.kill_loop import Plan
from tests.crash.loads import LOADS

DEADLINE_S = 115
CHAINS = (
    Plan("w1", 0, 16, (1,)),
    Plan("w3", 1, 20, (1,)),
    Plan("mixed", 2, 28, (1,)),
    Plan("mixed", 3, 28, (2,)),
    Plan("jobs-token", 4, 22, (1,)),
    Plan("jobs-tag", 5, 26, (1,)),
    Plan("jobs-once", 6, 22, (2,)),
    Plan("jobs-again", 7, 22, (3,)),
    Plan("clusters", 8, 16, (1,)),
)
"""At which time a process dies at each of its moments differs: the command goes through several of them."""


@pytest.mark.scenario("R19", "R20", "R21", "R22", "R23", "R24", "R27", "R30", "R41", "R54", "R55")
@pytest.mark.parametrize("plan", CHAINS, ids=lambda plan: f"{plan.load}-{plan.seed}")
def test_nothing_is_lost_doubled_or_stuck(plan: Plan, tmp_path: Path, checkout: Path) -> None:
    found = run(checkout, plan, tmp_path / "found")
    killed, counts = Counter(found["killed"]), Counter(found["counts"])

    assert found["broken"] == []
    assert killed.total() == plan.kills
    assert {*LOADS[plan.load].moments} - {*killed} == set()
    if plan.load.startswith("jobs-"):
        assert all(counts[f"end_{word}"] for word in ("succeeded", "failed", "cancelled"))
    assert counts["decided"] or plan.load != "jobs-once"


def run(checkout: Path, plan: Plan, found: Path) -> Mapping[str, Any]:
    """A chain in a process of its own, which forks; what its audit says."""
    command = [sys.executable, "-m", "tests.crash.kill_loop", *plan.arguments(), "--json", str(found)]
    ended = subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )

    assert found.exists(), ended.stderr[-4000:]
    audited: Mapping[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return audited


def test_suite_kills_two_hundred() -> None:
    assert sum(plan.kills for plan in CHAINS) == 200
    assert {plan.load for plan in CHAINS} == {*LOADS}
