"""What a step costs, counted: a regression fails here without a stopwatch, on however slow a machine.

The bounds are a tenth to a fifth above what was counted when they were set; `python -m bench.counts` prints
the present counts. Raise a bound only with the reason in the commit, lower it when something got cheaper.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.counts import Work, bytes_of_a_branch, bytes_of_an_execution, chain_of_steps, fork_and_join

MOST: dict[Callable[[Path], Work], Work] = {
    chain_of_steps: Work(events=2.4, turns=0.05, rows=1.3, python_calls=165, builtin_calls=105),
    fork_and_join: Work(events=1.01, turns=0.02, rows=2.02, python_calls=135, builtin_calls=130),
}


@pytest.mark.parametrize(("count", "most"), MOST.items(), ids=lambda given: getattr(given, "__name__", ""))
def test_step_costs_no_more_than_it_did(tmp_path: Path, *, count: Callable[[Path], Work], most: Work) -> None:
    work = count(tmp_path)

    assert work.events <= most.events, "facts recorded a step"
    assert work.turns <= most.turns, "steps that end together do not share commits"
    assert work.rows <= most.rows, "rows stored a step"
    assert work.python_calls <= most.python_calls, "the way of a step is longer"
    assert work.builtin_calls <= most.builtin_calls, "the way of a step is longer"


@pytest.mark.parametrize(
    ("size", "most"),
    [(bytes_of_an_execution, 3_300), (bytes_of_a_branch, 2_500)],
    ids=["execution", "branch"],
)
def test_record_takes_no_more_memory_than_it_did(
    tmp_path: Path, *, size: Callable[[Path], float], most: int
) -> None:
    assert size(tmp_path) <= most
