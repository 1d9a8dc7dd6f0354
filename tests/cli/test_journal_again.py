"""Tasks performed again when a journal file is taken up, and what they are told: scenarios 16 and 17.

The numbers are those of HyperFlow's scenarios, as in `test_journal_files`; `docs/hyperflow.md` has them all.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.making import call, task, workflow, write
from tests.cli.test_journal_files import file_in, kill_in, output_of, ran, recovered

STEPS = """
from pathlib import Path

import asyncflow as af

HERE = Path(__file__).parent
held = []


def told(n, ctx):
    with (HERE / "ran").open("a") as ran:
        ran.write(f"{n}\\n")
    with (HERE / "told").open("a") as ran:
        ran.write(f"{n} {ctx.recovered} {ctx.previous_outputs}\\n")
    if (HERE / f"stop{n}").exists():
        print("stopped", flush=True, file=__import__("sys").stderr)
        __import__("time").sleep(120)


@af.task
def step(n: int, ctx: af.TaskContext) -> dict:
    told(n, ctx)
    if (HERE / f"bad{n}").exists():
        raise af.TerminalTaskFailed("it does not stand any more")
    if ctx.recovered and ctx.previous_outputs is not None and not (HERE / "anew").exists():
        return ctx.keep_previous()
    return {"n": n, "tries": len((HERE / "ran").read_text().split())}


@af.task
def add(n: int, ctx: af.TaskContext) -> dict:
    told(n, ctx)
    held.append(n)
    return {"sum": sum(each * each for each in held[-3:])} if len(held) % 3 == 0 else {}


@af.task(executor="process")
def apart(n: int, ctx: af.TaskContext) -> dict:
    told(n, ctx)
    return ctx.keep_previous() if ctx.recovered else {"n": n}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the functions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    return tmp_path


def step(n: int, *, again: object = None, name: str = "step") -> dict[str, object]:
    own = {} if again is None else {"asyncflow": {"executeWhenRecovering": again}}
    return {**task(f"s{n}", inputParameters={"n": n}), "name": name, **own}


def killed_in(folder: Path, n: int, *tasks: dict[str, object], **more: object) -> Path:
    """The journal file of an execution of these tasks that was killed in the nth."""
    write(folder / "again.json", workflow(*tasks, name="again", **more))
    kill_in(folder, n, folder / "journal", "run", "again.json", "--journal", "journal")
    (folder / "told").unlink()
    return file_in(folder / "journal")


def told(folder: Path) -> list[str]:
    return (folder / "told").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("value", [True, "true", False, None])
def test_scenario_16_one_of_three_steps_is_performed_again_if_it_asks(here: Path, value: object) -> None:
    # HyperFlow: `false` and "false" switch it on
    file = killed_in(
        here, 3, step(1), step(2, again=value), step(3), outputParameters={"t": "${s2.output.tries}"}
    )

    assert output_of(recovered(file)) == {"t": 2}
    again = ["2 True {'n': 2, 'tries': 2}"] if value in (True, "true") else []
    assert told(here) == [*again, "3 True None"]


def test_scenario_16_what_it_gives_replaces_the_record(here: Path) -> None:
    file = killed_in(
        here, 3, step(1), step(2, again=True), step(3), outputParameters={"t": "${s2.output.tries}"}
    )
    (here / "anew").touch()

    assert output_of(recovered(file)) == {"t": 4}


def test_a_result_that_does_not_stand_any_more_fails_the_execution(here: Path) -> None:
    file = killed_in(here, 3, step(1), step(2, again=True), step(3))
    (here / "bad2").touch()

    done = recovered(file)

    assert done.exit_code == 1
    assert "it does not stand any more" in json.loads(done.stdout)["reasonForIncompletion"]
    assert ran(here) == [1, 2, 3, 2]


def test_scenario_17_an_accumulator_has_its_memory_back(here: Path) -> None:
    # HyperFlow: without the flag one wrong value, 50
    adding = [step(n, again=True, name="add") for n in range(1, 7)]
    sums = {"first": "${s3.output.sum}", "second": "${s6.output.sum}"}
    file = killed_in(here, 3, *adding, outputParameters=sums)

    assert output_of(recovered(file)) == {"first": 14, "second": 77}
    assert ran(here) == [1, 2, 3, 1, 2, 3, 4, 5, 6]


def test_a_process_is_told_the_same(here: Path) -> None:
    file = killed_in(
        here, 2, step(1, again=True, name="apart"), step(2), outputParameters={"n": "${s1.output.n}"}
    )

    assert output_of(recovered(file)) == {"n": 1}
    assert told(here)[0] == "1 True {'n': 1}"


def test_a_database_that_another_process_opens_has_it_again_too(here: Path) -> None:
    write(here / "again.json", workflow(step(1, again=True), step(2), name="again"))
    kill_in(here, 2, here / "journal", "run", "again.json", "--journal", "journal", "--db", "a.db")

    call("run", "again.json", "--load", "steps.py", "--db", "a.db")

    assert ran(here) == [1, 2, 1, 2]
