"""What a step costs, counted: a regression fails here without a stopwatch, on however slow a machine.

The bounds are a tenth to a fifth above what was counted when they were set; `python -m bench.counts` prints
the present counts. Raise a bound only with the reason in the commit, lower it when something got cheaper.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.counting import Work
from bench.counts import (
    bytes_of_a_branch,
    bytes_of_an_execution,
    chain_of_steps,
    fork_and_join,
    jobs_of_a_fork,
    limited_tasks,
    starts_over_http,
)

MOST: dict[Callable[[Path], Work], Work] = {
    chain_of_steps: Work(2.4, 0.05, 1.3, python_calls=150, builtin_calls=112, left=2_100),
    fork_and_join: Work(1.01, 0.02, 2.02, python_calls=112, builtin_calls=128, left=2_900),
    jobs_of_a_fork: Work(4.1, 0.1, 2.2, python_calls=395, builtin_calls=330, left=5_500),
    limited_tasks: Work(2.02, 0.25, 2.4, python_calls=250, builtin_calls=240, left=3_300),
    starts_over_http: Work(2.02, 0.3, 2.4, python_calls=315, builtin_calls=210, left=4_300),
}


@pytest.mark.parametrize(("count", "most"), MOST.items(), ids=lambda given: getattr(given, "__name__", ""))
def test_step_costs_no_more_than_it_did(tmp_path: Path, *, count: Callable[[Path], Work], most: Work) -> None:
    work = count(tmp_path)

    assert work.events <= most.events, "facts recorded a step"
    assert work.turns <= most.turns, "steps that end together do not share commits"
    assert work.rows <= most.rows, "rows stored a step"
    assert work.python_calls <= most.python_calls, "the way of a step is longer"
    assert work.builtin_calls <= most.builtin_calls, "the way of a step is longer"
    assert work.left <= most.left, "a step keeps more memory, or leaves more garbage"


@pytest.mark.parametrize(
    ("size", "most"),
    [(bytes_of_an_execution, 3_000), (bytes_of_a_branch, 2_100)],
    ids=["execution", "branch"],
)
def test_record_takes_no_more_memory_than_it_did(
    tmp_path: Path, *, size: Callable[[Path], float], most: int
) -> None:
    assert size(tmp_path) <= most
