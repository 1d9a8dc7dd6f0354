"""Journal files taken up after a change of the definition, of code, or of what a selector means.

The numbers are those of HyperFlow's scenarios, as in `test_journal_files`.
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


def mark(n):
    with (HERE / "ran").open("a") as ran:
        ran.write(f"{n}\\n")


@af.task
def first(n: int) -> dict:
    mark(n)
    return {"n": n + 0}


@af.task
def step(n: int, ctx: af.TaskContext) -> dict:
    mark(n)
    with (HERE / "told").open("a") as told:
        told.write(f"{n} {ctx.recovered} {ctx.previous_outputs}\\n")
    if (HERE / f"stop{n}").exists():
        print("stopped", flush=True, file=__import__("sys").stderr)
        __import__("time").sleep(120)
    return {"n": n}
"""

CHAIN_OUTPUT = {"n": "${s5.output.n}", "first": "${s1.output.n}"}


def step(n: int, **more: object) -> dict[str, object]:
    return {**task(f"s{n}", inputParameters={"n": n}), "name": "first" if n == 1 else "step", **more}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a chain of five steps."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    write_chain(tmp_path, *(step(n) for n in range(1, 6)))
    return tmp_path


def write_chain(folder: Path, *tasks: dict[str, object], **more: object) -> None:
    write(folder / "chain.json", workflow(*tasks, name="chain", outputParameters=CHAIN_OUTPUT, **more))


def killed_in(folder: Path, n: int) -> Path:
    """The journal file of a run that was killed inside step n; what ran until then is forgotten."""
    kill_in(folder, n, folder / "journal", "run", "chain.json", "--journal", "journal")
    (folder / "ran").unlink()
    return file_in(folder / "journal")


def change_code(folder: Path) -> None:
    text = (folder / "steps.py").read_text(encoding="utf-8")
    (folder / "steps.py").write_text(text.replace("n + 0", "n + 100"), encoding="utf-8")


# --- another definition ---------------------------------------------------------------------------------


def test_scenario_12_an_unrelated_step_before_the_others_is_the_only_one_that_runs_besides(
    here: Path,
) -> None:
    # HyperFlow: the records of other steps are used, the result is 6 in place of 5
    file = killed_in(here, 4)
    write_chain(here, step(9), *(step(n) for n in range(1, 6)), version=2)

    done = recovered(file, "--definition", "chain.json")

    assert output_of(done) == {"n": 5, "first": 1}
    assert ran(here) == [9, 4, 5]
    assert json.loads(done.stdout)["workflowVersion"] == 2
    assert "to be run where the flow comes to them: s9" in done.stderr


def test_a_plan_under_another_definition_runs_nothing(here: Path) -> None:
    file = killed_in(here, 4)
    before = file.read_bytes()
    write_chain(here, step(9), *(step(n) for n in range(1, 6)), version=2)

    done = recovered(file, "--definition", "chain.json", "--plan")

    rows = {row["taskReferenceName"]: row["action"] for row in json.loads(done.stdout)["tasks"]}
    assert rows == {"s1": "reuse", "s2": "reuse", "s3": "reuse", "s4": "redo"}
    assert not (here / "ran").exists()
    assert file.read_bytes() == before


def test_what_was_taken_up_after_a_change_can_be_taken_up_again(here: Path) -> None:
    file = killed_in(here, 3)
    write_chain(here, step(9), *(step(n) for n in range(1, 6)), version=2)
    kill_in(here, 4, file.parent, "recover", str(file), "--definition", "chain.json")
    assert ran(here) == [9, 3, 4]

    assert output_of(recovered(file)) == {"n": 5, "first": 1}
    assert ran(here) == [9, 3, 4, 4, 5]


# --- other code ------------------------------------------------------------------------------------------


def test_scenario_13_code_that_changed_is_told_before_anything_runs(here: Path) -> None:
    # HyperFlow: nobody is told, the old results are used
    file = killed_in(here, 4)
    change_code(here)

    done = recovered(file)

    assert done.exit_code == 2
    assert "the code of first changed since it gave 1 results" in done.stderr
    assert "say --code keep to use these results, or --code redo; nothing was run" in done.stderr
    assert not (here / "ran").exists()


def test_scenario_13_results_of_older_code_are_kept_by_choice_and_not_asked_about_again(here: Path) -> None:
    file = killed_in(here, 4)
    change_code(here)
    kill_in(here, 5, file.parent, "recover", str(file), "--code", "keep")

    assert output_of(recovered(file)) == {"n": 5, "first": 1}
    assert ran(here) == [4, 5, 5]


def test_scenario_13_results_of_older_code_are_made_again_by_choice(here: Path) -> None:
    file = killed_in(here, 4)
    change_code(here)

    assert output_of(recovered(file, "--code", "redo")) == {"n": 5, "first": 101}
    assert ran(here) == [1, 2, 4, 5]  # what followed 2 is as before


def test_a_comment_is_no_change_of_code(here: Path) -> None:
    file = killed_in(here, 4)
    text = (here / "steps.py").read_text(encoding="utf-8")
    (here / "steps.py").write_text(
        text.replace("    mark(n)\n    return", "    mark(n)  # so\n\n    return"), "utf-8"
    )

    assert output_of(recovered(file)) == {"n": 5, "first": 1}


# --- selectors --------------------------------------------------------------------------------------------


def test_scenario_18_a_selected_step_is_told_its_old_result_and_is_not_called_recovered(here: Path) -> None:
    # HyperFlow: forced and recovered look alike
    call("run", "chain.json", "--load", "steps.py", "--journal", "journal")
    (here / "ran").unlink()
    (here / "told").unlink()

    assert output_of(recovered(file_in(here / "journal"), "--changed", "ref:s3")) == {"n": 5, "first": 1}
    assert ran(here) == [3]
    assert (here / "told").read_text(encoding="utf-8") == "3 False {'n': 3}\n"


def test_a_selector_that_means_nothing_is_refused_and_nothing_runs(here: Path) -> None:
    file = killed_in(here, 4)

    done = recovered(file, "--changed", "name:other")

    assert done.exit_code == 2
    assert "'name:other': no task of this execution" in done.stderr
    assert not (here / "ran").exists()
