"""Laws: whatever is killed between which steps of a job's protocol, none is lost and none is doubled.

Each test is a chain of engine processes on one file, killed at every step and at random moments, against a
service in a process of its own that keeps a log of what it truly did. `python -m tests.crash.kill_jobs` is
the same for as long as you like.
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

from tests.crash.job_audit import Attempt, Outside, judge_attempt
from tests.crash.job_managers import TIERS
from tests.crash.kill_jobs import MOMENTS, moments_of

KILLS, DEADLINE_S = 22, 110


@pytest.mark.parametrize("tier", TIERS)
def test_no_job_is_lost_doubled_or_left_running(tier: str, tmp_path: Path, checkout: Path) -> None:
    found = run(checkout, tier, tmp_path / "found")
    killed, counts = Counter(found["killed"]), Counter(found["counts"])

    assert found["broken"] == []
    assert killed.total() == KILLS
    assert {*moments_of(tier)} - {*killed} == set()
    assert all(counts[f"end_{word}"] for word in ("succeeded", "failed", "cancelled"))
    assert counts["decided"] or tier != "once"


def run(checkout: Path, tier: str, found: Path) -> Mapping[str, Any]:
    """A chain in a process of its own, which forks; what its audit says."""
    command = [sys.executable, "-m", "tests.crash.kill_jobs", "--tier", tier, "--rounds", "1"]
    ended = subprocess.run(
        [*command, "--kills", str(KILLS), "--per-chain", str(KILLS), "--json", str(found)],
        cwd=checkout,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )

    assert found.exists(), ended.stderr[-4000:]
    audited: Mapping[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    return audited


def test_steps_are_listed_once() -> None:
    assert len(set(MOMENTS)) == len(MOMENTS)


@pytest.mark.parametrize(
    ("attempt", "jobs", "wrong"),
    [
        (Attempt("t", "a", ["j1"], ["succeeded"]), ["j1 succeeded", "j2 succeeded"], "2 jobs"),
        (Attempt("t", "a", ["j1"], ["succeeded"]), ["j1 succeeded", "j2 running"], "still runs"),
        (Attempt("t", "a", ["j1"], []), ["j1 running"], "ended 0 times"),
        (Attempt("t", "a", ["j1"], ["succeeded"]), ["j1 failed"], "in truth failed"),
        (Attempt("t", "a", ["j3"], ["succeeded"]), ["j1 succeeded"], "of no job"),
        (Attempt("t", "a", [], ["absent"]), ["j1 running"], "taken for absent"),
        (Attempt("t", "a", [], ["lost"]), ["j1 succeeded"], "lost"),
    ],
)
def test_oracle_sees_what_is_wrong(attempt: Attempt, jobs: list[str], wrong: str) -> None:
    made = [Outside(job.split()[0], "t", job.split()[1]) for job in jobs]

    assert any(wrong in line for line in judge_attempt("tag", attempt, made, lives=1))


@pytest.mark.parametrize("tier", TIERS)
def test_oracle_is_content_with_one_job_of_one_attempt(tier: str) -> None:
    attempt = Attempt("t", "a", ["j1"], ["succeeded"])

    assert judge_attempt(tier, attempt, [Outside("j1", "t", "succeeded")], lives=1) == []
