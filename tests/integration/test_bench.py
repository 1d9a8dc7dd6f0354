"""The measuring itself: floors do what they say, ratios pair samples of a round, targets have a direction."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bench import calibrate, floors, harness, latency, run
from bench.harness import Case, Measured

STEPS = 300


def nothing(_folder: Path) -> Measured:
    return Measured(1.0)


def failing(_folder: Path) -> Measured:
    raise RuntimeError("the disk is gone")


def samples(*values: float) -> list[Measured]:
    return [Measured(value, {"rows": value}) for value in values]


def test_durable_floor_stores_a_row_of_300_bytes_per_step(tmp_path: Path) -> None:
    floors.durable_steps(tmp_path, steps=STEPS, outstanding=10)

    with sqlite3.connect(tmp_path / "floor.db") as connection:
        stored = connection.execute(
            "SELECT count(*), min(length(body)), max(length(body)) FROM step"
        ).fetchone()
    connection.close()
    assert stored == (STEPS + 1, 300, 300)  # one row more from before the clock


def test_durable_floor_shares_commits_among_what_is_outstanding(tmp_path: Path) -> None:
    measured = floors.durable_steps(tmp_path, steps=STEPS, outstanding=10)

    assert measured.value > 0
    assert 1 <= measured.detail["rows_per_commit"] <= 10


def test_durable_floor_reports_a_file_it_cannot_use(tmp_path: Path) -> None:
    (tmp_path / "floor.db").mkdir()

    with pytest.raises(sqlite3.OperationalError):
        floors.durable_steps(tmp_path, steps=STEPS)


def test_bare_floor_counts_every_step() -> None:
    assert floors.bare_steps(workflows=50, outstanding=7) > 0


def test_ratio_divides_samples_of_the_same_round() -> None:
    cases = {"f/F": Case("F", "steps/s", nothing), "w/x": Case("x", "steps/s", nothing, floor="f/F")}

    _, row = harness.rows(cases, {"f/F": samples(10, 20, 40), "w/x": samples(5, 5, 40)})

    assert list(row.ratios) == [0.5, 0.25, 1.0]
    assert row.as_json()["ratio"] == 0.5
    assert row.detail == {"rows": 5}


@pytest.mark.parametrize(
    ("value", "higher_is_better", "reached"),
    [(2.0, True, True), (1.9, True, False), (2.0, False, True), (2.1, False, False)],
)
def test_target_has_a_direction(*, value: float, higher_is_better: bool, reached: bool) -> None:
    case = Case("x", "times", nothing, target=2.0, higher_is_better=higher_is_better)

    (row,) = harness.rows({"w/x": case}, {"w/x": samples(value)})

    assert row.reached is reached


def test_round_in_which_a_sample_failed_counts_for_neither_side() -> None:
    cases = {
        "f/F": Case("F", "steps/s", nothing),
        "w/x": Case("x", "steps/s", nothing, floor="f/F", target=1),
    }

    floor, row = harness.rows(cases, {"f/F": [*samples(10), None], "w/x": [None, *samples(5)]})

    assert (list(floor.values), list(row.values), list(row.ratios), row.reached) == ([10], [5], [], None)
    assert harness.rows(cases, {"f/F": [None], "w/x": [None]})[1].as_json()["median"] is None


@pytest.mark.parametrize(
    ("value", "strict", "code"),
    [(1.0, True, run.MEASURED), (3.0, False, run.MEASURED), (3.0, True, run.MISSED)],
)
def test_missed_target_fails_only_where_that_is_asked_for(*, value: float, strict: bool, code: int) -> None:
    taken = {"w/x": samples(value)}
    table = harness.rows({"w/x": Case("x", "s", nothing, target=2.0, higher_is_better=False)}, taken)

    assert run.verdict(table, taken, strict=strict) == code


def test_case_that_could_not_be_measured_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    taken = {"w/x": [*samples(1.0), None]}

    code = run.verdict(harness.rows({"w/x": Case("x", "s", nothing)}, taken), taken, strict=False)

    assert code == run.NOT_MEASURED
    assert "w/x" in capsys.readouterr().err


def test_sample_that_fails_does_not_end_the_run(tmp_path: Path) -> None:
    taken, machines = run.take_rounds(
        {"no/such": Case("such", "s", failing)}, tmp_path, rounds=1, timeout_s=60
    )

    assert taken == {"no/such": [None]}
    assert run.middle_of(machines)["cores"] == machines[0]["cores"]


def test_long_cases_are_measured_only_where_they_are_asked_for() -> None:
    usual = Case("usual", "s", nothing)
    (long,) = harness.when_asked(240, Case("long", "s", nothing))
    cases = {"w/usual": usual, "w/long": long}

    assert list(run.chosen(cases, [])) == ["w/usual"]
    assert list(run.chosen(cases, [], with_long=True)) == ["w/usual", "w/long"]
    assert list(run.chosen(cases, ["w/long"])) == ["w/long"]


def test_five_rounds_of_the_usual_cases_take_less_than_ten_minutes() -> None:
    usual = run.chosen(run.all_cases(), [])

    assert {name.partition("/")[0] for name in usual} == {"floors", *(f"w{number}" for number in range(1, 8))}
    assert 5 * sum(case.seconds for case in usual.values()) < 600


def test_choosing_a_workload_brings_its_floor() -> None:
    cases = {
        "floors/F1": Case("F1", "steps/s", nothing),
        "floors/F2": Case("F2", "steps/s", nothing),
        "w1/x": Case("x", "steps/s", nothing, floor="floors/F2"),
    }

    assert list(run.chosen(cases, ["w1"])) == ["floors/F2", "w1/x"]


def test_every_floor_named_by_a_case_exists() -> None:
    cases = run.all_cases()

    assert "floors/F2-100" in cases
    assert [name for name, case in cases.items() if case.floor and case.floor not in cases] == []


def test_sample_in_a_child_says_why_it_failed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no/such"):
        harness.measure_in_child("no/such", tmp_path, timeout_s=60)


def test_calibration_names_disk_and_core(tmp_path: Path) -> None:
    middle, slow = calibrate.sync_ms(tmp_path, writes=20)

    assert 0 < middle <= slow
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("work", [latency.floor, latency.executions])
async def test_latency_is_taken_between_steps_that_follow_each_other(
    tmp_path: Path, work: Callable[[Path, latency.Load], Awaitable[Measured]]
) -> None:
    load = latency.Load("few", at_once=3, gaps=40, think_s=0, seconds=0)

    detail = (await work(tmp_path, load)).detail

    assert 0 < detail["p50_ms"] <= detail["p99_ms"]
    assert detail["steps_per_s"] > 0


def test_no_latency_is_taken_over_the_end_of_an_execution() -> None:
    gaps = latency.Gaps(latency.Load("one", at_once=1, gaps=10, think_s=0, seconds=0))
    gaps.begin()

    gaps.began("a")  # its first step follows nothing
    gaps.ended("a")
    gaps.began("a")
    gaps.began("b")

    assert len(gaps.seconds) == 1
