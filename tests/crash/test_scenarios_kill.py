"""Laws: killed at whatever step, each thing happens once, and it ends as if nothing had been killed.

Each test kills one small scenario at every step that there is, see `every_step`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from asyncflow.model.values import JsonObject

DEADLINE_S = 115
ONE = {"mains": 1, "all": 1, "acknowledged": 1, "status": ["COMPLETED"], "repeated": []}


def outcome_of(name: str, checkout: Path, *, at_least: int) -> JsonObject:
    """The one outcome that there is, however it was killed; at so many steps at the least."""
    command = [sys.executable, "-m", "tests.crash.every_step", name]
    ended = subprocess.run(
        command, cwd=checkout, capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert ended.returncode == 0, ended.stdout[-4000:] + ended.stderr[-4000:]
    found = json.loads(ended.stdout)

    assert found["kills"] >= at_least
    assert len(found["outcomes"]) == 1, found["outcomes"]
    outcome: JsonObject = found["outcomes"][0]
    return outcome


@pytest.mark.scenario("R16", "R17", "R18", "R28")
def test_a_start_and_each_task_after_it_happen_once(checkout: Path) -> None:
    outcome = outcome_of("chain", checkout, at_least=10)

    assert outcome.items() >= ONE.items()
    assert outcome["shape"] == ["ended first COMPLETED True: 1", "ended last COMPLETED True: 1", _OVER]


@pytest.mark.scenario("R31")
def test_a_join_whose_branches_end_at_one_instant_fires_once(checkout: Path) -> None:
    outcome = outcome_of("join", checkout, at_least=10)
    ended = [f"ended {ref} COMPLETED True: 1" for ref in ("after", "b0", "b1", "b2", "fork", "join")]

    assert outcome.items() >= ONE.items()
    assert outcome["shape"] == [*ended, _OVER]


@pytest.mark.scenario("R32")
def test_a_loop_killed_at_its_last_iterations_repeats_none(checkout: Path) -> None:
    outcome = outcome_of("long-loop", checkout, at_least=2)

    assert outcome.items() >= ONE.items()
    assert outcome["shape"] == [
        "ended body COMPLETED True: 5000",
        "ended loop COMPLETED True: 1",
        "iteration loop: 5000",
        _OVER,
    ]


@pytest.mark.scenario("R33")
def test_a_parent_has_one_child_and_hears_of_its_end(checkout: Path) -> None:
    outcome = outcome_of("child", checkout, at_least=10)

    assert outcome.items() >= {**ONE, "all": 2}.items()
    assert outcome["shape"] == [
        "child down: 1",
        "ended after COMPLETED True: 1",
        "ended down COMPLETED True: 1",
        _OVER,
    ]


@pytest.mark.scenario("R34")
def test_a_timer_fires_once_and_at_once_where_it_came_due_meanwhile(checkout: Path) -> None:
    """The second life lasts five seconds: a timer that waited anew would not end in it."""
    outcome = outcome_of("timer", checkout, at_least=8)

    assert outcome.items() >= ONE.items()
    assert outcome["shape"] == ["ended after COMPLETED True: 1", "ended wait COMPLETED True: 1", _OVER]


@pytest.mark.scenario("R35")
def test_a_signal_counts_once_whoever_was_told_so(checkout: Path) -> None:
    outcome = outcome_of("signal", checkout, at_least=8)

    assert outcome.items() >= ONE.items()
    assert outcome["shape"] == ["ended after COMPLETED True: 1", "ended hold COMPLETED True: 1", _OVER]


@pytest.mark.scenario("R36")
def test_a_retry_waits_for_what_is_left_of_its_delay(checkout: Path) -> None:
    """Of 100 s between failure and retry 60 have passed when the second process begins."""
    outcome = outcome_of("backoff", checkout, at_least=12)

    assert outcome.items() >= {**ONE, "attempt": 2, "waited_ms": 100_000}.items()
    assert outcome["shape"] == [
        "ended again COMPLETED True: 1",
        "ended again FAILED False: 1",
        _OVER,
    ]


_OVER = "over COMPLETED: 1"
