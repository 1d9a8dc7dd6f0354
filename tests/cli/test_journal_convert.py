"""Journals of HyperFlow made executions of asyncflow: what is reused, what is not and why, what is refused.

The journals are written here from the description of the format; W numbers are those of its weaknesses in
`docs/hyperflow.md`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.making import call
from tests.cli.test_journal_files import file_in, output_of

FUNCTIONS = """
from pathlib import Path

import asyncflow as af

HERE = Path(__file__).parent


def ran(name):
    with (HERE / "ran").open("a") as file:
        file.write(name + "\\n")


@af.task(retries=0)
def sqr(number: int) -> dict:
    ran(f"sqr{number}")
    return {"square": number * number}


@af.task(name="sum", retries=0)
def add_up(square: list) -> dict:
    ran("sum")
    return {"sum": sum(square)}


@af.task(retries=0)
def twice(sum: int) -> dict:
    ran("twice")
    return {"result": 2 * sum}
"""


def workflow(*, parlevel: int = 1, numbers: Sequence[int] = (1, 2, 3)) -> dict[str, object]:
    """Squares, their sum, and its double."""
    processes = [
        {"name": "Sqr", "function": "sqr", "ins": ["number"], "outs": ["square"], "parlevel": parlevel},
        {"name": "Sum", "function": "{{total}}", "ins": ["square:3"], "outs": ["sum"]},
        {"name": "Twice", "function": "twice", "ins": ["sum"], "outs": ["result"]},
    ]
    signals: list[dict[str, object]] = [{"name": "number", "data": [*numbers]}]
    signals += [{"name": name} for name in ("square", "sum", "result")]
    return {"name": "squares", "processes": processes, "signals": signals}


def signal(name: str, value: object) -> dict[str, object]:
    return {"name": name, "_id": 1, "data": [value]}


def line(*event: object, at: int = 0, flags: object = None) -> str:
    more = {} if flags is None else {"2": flags}
    return json.dumps({"0": f"2026-03-01T10:00:{at:02}.000Z", "1": list(event), **more})


def info() -> str:
    return line("info", "/nowhere", json.dumps({"--persist": True, "--var": ["total=sum"]}))


def square(
    firing: int, number: int, *, recorded: int | None = None, at: int = 0, flags: object = None
) -> str:
    outs, ins = [signal("square", number * number)], [signal("number", number)]
    said = firing if recorded is None else recorded
    return line("fired", 1, 1, said, outs, ins, at=at, flags=flags)


INPUTS = [line("input", 1, signal("number", n)) for n in (1, 2, 3)]
SQUARES = [square(n, n, at=n) for n in (1, 2, 3)]
TOTAL = line("fired", 1, 2, 1, [signal("sum", 14)], [signal("square", n * n) for n in (1, 2, 3)], at=4)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the workflow and its functions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps_of_squares.py").write_text(FUNCTIONS, encoding="utf-8")
    (tmp_path / "workflow.json").write_text(json.dumps(workflow()), encoding="utf-8")
    return tmp_path


def converted(here: Path, *lines: str, end: str = "\n") -> Result:
    (here / "squares.log").write_text("\n".join(lines) + end, encoding="utf-8")
    return call("journal", "convert", "squares.log", "--to", "journal")


def finished(here: Path) -> tuple[object, list[str]]:
    """What comes of the converted file, and what ran for it."""
    done = call("recover", file_in(here / "journal"), "--load", "steps_of_squares.py", "-o", "json")
    return output_of(done), (here / "ran").read_text(encoding="utf-8").split()


def test_what_was_recorded_is_not_done_again(here: Path) -> None:
    done = converted(here, info(), *INPUTS, *SQUARES, TOTAL)

    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() == f"journal/{file_in(here / 'journal').name}"
    assert "4 firings are done, 0 records not used" in done.stderr
    rows = json.loads(call("journal", "plan", file_in(here / "journal"), "-o", "json").stdout)
    assert [row["action"] for row in rows] == ["reuse"] * 4 + ["go on"]
    assert finished(here) == ({"result": 28}, ["twice"])


def test_a_recorded_time_is_kept(here: Path) -> None:
    converted(here, info(), *INPUTS, *SQUARES)

    assert file_in(here / "journal").name.startswith("squares.2026-03-01.")


@pytest.mark.parametrize("end", ['\n{"0":"2026-03-01T10', "\n", "\n\0\0\0\0", "\n\n"])
def test_a_torn_end_is_dropped_and_told(here: Path, end: str) -> None:
    # W7: any of these makes the journal unusable
    done = converted(here, info(), *INPUTS, *SQUARES[:2], end=end)

    assert done.exit_code == 0, done.stderr
    assert ("not used from line 7" in done.stderr) == (end != "\n")
    assert finished(here) == ({"result": 28}, ["sqr3", "sum", "twice"])


def test_damage_in_the_middle_is_refused_with_its_line(here: Path) -> None:
    done = converted(here, info(), INPUTS[0], "{", *SQUARES)

    assert done.exit_code == 3
    assert "damaged at line 3" in done.stderr


def test_parallel_firings_of_one_number_run_again(here: Path) -> None:
    # W2: the last value goes to the wrong firing, with no error
    (here / "workflow.json").write_text(json.dumps(workflow(parlevel=0)), encoding="utf-8")
    mixed = [square(n, n, recorded=3, at=n) for n in (3, 2, 1)]

    done = converted(here, info(), *INPUTS, *mixed)

    assert done.stderr.count("side by side") == 3
    output, ran = finished(here)
    assert (output, sorted(ran)) == ({"result": 28}, ["sqr1", "sqr2", "sqr3", "sum", "twice"])


def test_firings_with_signals_in_another_order_run_again(here: Path) -> None:
    # W3: one input is used twice and one never
    swapped = [square(1, 2, at=1), square(2, 1, at=2), SQUARES[2]]

    done = converted(here, info(), *INPUTS, *swapped)

    assert "line 5, firing 1 of Sqr (number 1): not used: it was given something else" in done.stderr
    assert "signals came in another order" in done.stderr
    assert finished(here) == ({"result": 28}, ["sqr1", "sqr2", "sqr3", "sum", "twice"])


def test_another_workflow_is_refused(here: Path) -> None:
    # W4: records of other processes are used
    other = workflow()
    assert isinstance(other["processes"], list)
    other["processes"].insert(0, {"name": "New", "function": "new", "ins": ["sum"], "outs": ["more"]})
    other["signals"] += [{"name": "more"}]  # type: ignore[operator]
    (here / "workflow.json").write_text(json.dumps(other), encoding="utf-8")

    done = converted(here, info(), *INPUTS, *SQUARES)

    assert done.exit_code != 0
    assert "New (number 1) takes no signal 'number': the workflow is not that of the run" in done.stderr
    assert not (here / "journal").exists()


def test_other_data_is_refused(here: Path) -> None:
    (here / "workflow.json").write_text(json.dumps(workflow(numbers=(1, 2, 4))), encoding="utf-8")

    done = converted(here, info(), *INPUTS, *SQUARES)

    assert done.exit_code != 0
    assert "signal 'number' had other data" in done.stderr


def test_a_signal_that_a_process_makes_is_no_input(here: Path) -> None:
    # W5: it is delivered twice, and the run stalls
    done = converted(here, info(), *INPUTS, line("input", 1, signal("square", 9)), *SQUARES)

    assert "input square: not used" in done.stderr
    assert finished(here) == ({"result": 28}, ["sum", "twice"])


def test_a_firing_without_outputs_runs_again(here: Path) -> None:
    # W6: an error is recorded so, and kept as a success
    failed = line("fired", 1, 1, 2, None, [signal("number", 2)], at=2)

    done = converted(here, info(), *INPUTS, SQUARES[0], failed, SQUARES[2])

    assert "it failed, or gave nothing, and the record does not say which" in done.stderr
    assert finished(here) == ({"result": 28}, ["sqr2", "sqr3", "sum", "twice"])


def test_a_firing_whose_forerunners_are_missing_runs_again(here: Path) -> None:
    # W8: lines are missing after a kill
    done = converted(here, info(), *INPUTS, SQUARES[0], SQUARES[2], TOTAL)

    assert done.stderr.count("what it needs was not recorded as done") == 2
    assert finished(here) == ({"result": 28}, ["sqr2", "sqr3", "sum", "twice"])


def test_a_firing_that_is_marked_runs_again(here: Path) -> None:
    marked = square(1, 1, at=1, flags={"forceRecompute": True})

    done = converted(here, info(), *INPUTS, marked)

    assert "marked to be computed again" in done.stderr
    assert finished(here)[1][0] == "sqr1"


@pytest.mark.parametrize("text", ["", "{}", "[]", "no json", '{"0":"2026-03-01","1":["fired",1]}', "\0\0"])
def test_what_is_no_journal_is_refused(here: Path, text: str) -> None:
    done = converted(here, text)

    assert done.exit_code == 3, done.stderr
    assert "squares.log" in done.stderr


def test_recover_names_the_command_for_such_a_file(here: Path) -> None:
    converted(here, info(), *INPUTS)

    done = call("recover", "squares.log")

    assert done.exit_code == 3
    assert "HyperFlow wrote it: see `asyncflow journal convert`" in done.stderr


def test_a_missing_workflow_is_named_with_the_places(here: Path) -> None:
    # W9, W10: the folder is part of the journal, and the name is fixed
    (here / "workflow.json").rename(here / "moved.json")

    done = converted(here, info(), *INPUTS, *SQUARES)
    assert done.exit_code == 3
    assert "/nowhere/workflow.json are not there; say --workflow FILE" in done.stderr
    done = call("journal", "convert", "squares.log", "--workflow", "moved.json", "--to", "journal")
    assert done.exit_code == 0, done.stderr
    assert finished(here) == ({"result": 28}, ["sum", "twice"])
