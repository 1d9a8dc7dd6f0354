"""Journal files from the command line: scenarios of a run that is killed and taken up from its file alone.

The numbers are those of the list of scenarios that HyperFlow's persistence was measured against; what
HyperFlow gives is said beside each.
"""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.making import begin, call, environment, task, wait_for_line, workflow, write

STEPS = """
from pathlib import Path

import asyncflow as af

HERE = Path(__file__).parent


@af.task
def step(n: int) -> dict:
    with (HERE / "ran").open("a") as ran:
        ran.write(f"{n}\\n")
    if (HERE / f"stop{n}").exists():
        print("stopped", flush=True, file=__import__("sys").stderr)
        __import__("time").sleep(120)
    if (HERE / f"fail{n}").exists():
        raise af.TerminalTaskFailed("no luck")
    return {"n": n} if n != 2 else None


@af.task
def square(n: int) -> dict:
    with (HERE / "ran").open("a") as ran:
        ran.write(f"{n}\\n")
    return {"square": n * n}
"""


def step(n: int) -> dict[str, object]:
    return {**task(f"s{n}", inputParameters={"n": n}), "name": "step"}


@pytest.fixture
def chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a chain of five steps whose last result is the output."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    steps = [step(n) for n in range(1, 6)]
    write(tmp_path / "chain.json", workflow(*steps, name="chain", outputParameters={"n": "${s5.output.n}"}))
    return tmp_path


def ran(folder: Path) -> list[int]:
    return [int(line) for line in (folder / "ran").read_text(encoding="utf-8").split()]


def file_in(folder: Path) -> Path:
    (found,) = folder.glob("*.log")
    return found


def killed_in(folder: Path, n: int, definition: str = "chain.json", *more: str) -> Path:
    """The journal file of a run that was killed inside step n, when what was before it was written."""
    kill_in(folder, n, folder / "journal", "run", definition, "--journal", "journal", *more)
    return file_in(folder / "journal")


def kill_in(folder: Path, n: int, journal: Path, *command: str) -> None:
    """Kill a command inside step n, when a file in the folder says that the step was due."""
    (folder / f"stop{n}").touch()
    with begin(*command, "--load", "steps.py", cwd=folder) as process:
        wait_for_line(process, "stopped")
        while process.poll() is None and not is_due_in(journal, n):
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
        process.kill()
        process.communicate()
    (folder / f"stop{n}").unlink()


def is_due_in(journal: Path, n: int) -> bool:
    """Whether a file in the folder has the record of a step; files are written a moment after the commit."""
    due = re.compile(rf'"TaskScheduled",\d+,"s{n}"')
    return any(due.search(file.read_text(encoding="utf-8")) for file in journal.glob("*.log"))


def recovered(file: Path, *more: str | Path) -> Result:
    return call("recover", file, "--load", "steps.py", "-o", "json", *more)


def output_of(done: Result) -> object:
    assert done.exit_code == 0, done.stderr
    return json.loads(done.stdout)["output"]


# --- scenarios -----------------------------------------------------------------------------------------


def test_scenario_1_and_2_a_killed_chain_goes_on_at_the_step_it_was_in(chain: Path) -> None:
    # HyperFlow: 2 fails, its installed command refuses --persist (W1)
    file = killed_in(chain, 4)

    assert output_of(recovered(file)) == {"n": 5}
    assert ran(chain) == [1, 2, 3, 4, 4, 5]


def test_scenario_3_a_completed_run_executes_nothing_again(chain: Path) -> None:
    call("run", "chain.json", "--load", "steps.py", "--journal", "journal")
    before = file_in(chain / "journal").read_bytes()

    assert output_of(recovered(file_in(chain / "journal"))) == {"n": 5}
    assert ran(chain) == [1, 2, 3, 4, 5]
    assert file_in(chain / "journal").read_bytes() == before


def test_scenario_3_what_became_of_a_run_is_told_as_the_run_told_it(chain: Path) -> None:
    ran_first = call("run", "chain.json", "--load", "steps.py", "--journal", "journal")
    file = file_in(chain / "journal")

    told = call("recover", file)
    folded = call("recover", file, "--until-damage")

    assert told.exit_code == folded.exit_code == 0
    assert told.stdout == folded.stdout == ran_first.stdout
    assert f"{file}: chain" in told.stderr


def test_scenario_5_a_torn_or_nul_filled_end_is_dropped_and_told(chain: Path) -> None:
    # HyperFlow: any such journal is unusable (W7)
    file = killed_in(chain, 4)
    whole = file.read_bytes()

    for end in (b'{"v":1,"line":6,"str', b"\0" * 512, b"\n"):
        file.write_bytes(whole + end)
        done = call("journal", "plan", file, "-o", "json")
        assert done.exit_code == 0
        assert "not used from line 6" in done.stderr
        assert [row["action"] for row in json.loads(done.stdout)] == ["reuse"] * 3 + ["run again"]
    assert output_of(recovered(file)) == {"n": 5}


def test_scenario_6_a_flipped_bit_is_refused_with_its_place(chain: Path) -> None:
    # HyperFlow: no check sum, the value is used
    file = killed_in(chain, 4)
    whole = bytearray(file.read_bytes())
    at = whole.index(b'"COMPLETED"')
    whole[at + 3] ^= 1
    file.write_bytes(whole)

    done = recovered(file)
    assert done.exit_code == 3
    assert "damaged at line 3" in done.stderr
    assert output_of(recovered(file, "--until-damage", "--db", "new.db")) == {"n": 5}


def test_scenario_7_parallel_squares_are_not_mixed_up(chain: Path) -> None:
    # HyperFlow: 15 in place of 30 (W2)
    squares = [{**task(f"q{n}", inputParameters={"n": n}), "name": "square"} for n in range(1, 5)]
    total = task(
        "sum",
        "INLINE",
        inputParameters={
            **{f"q{n}": f"${{q{n}.output.square}}" for n in range(1, 5)},
            "evaluatorType": "graaljs",
            "expression": "$.q1 + $.q2 + $.q3 + $.q4",
        },
    )
    tasks = [
        {**task("fork", "FORK_JOIN"), "forkTasks": [[each] for each in squares]},
        {**task("join", "JOIN"), "joinOn": [f"q{n}" for n in range(1, 5)]},
        step(9),
        total,
    ]
    write(chain / "sum.json", workflow(*tasks, name="sum", outputParameters={"sum": "${sum.output.result}"}))
    file = killed_in(chain, 9, "sum.json")

    assert output_of(recovered(file)) == {"sum": 30}
    assert sorted(ran(chain)) == [1, 2, 3, 4, 9, 9]


def test_scenario_10_a_failed_step_is_recorded_as_failed(chain: Path) -> None:
    # HyperFlow: the error is dropped, recovery keeps it as a success and stalls (W6)
    (chain / "fail3").touch()
    assert call("run", "chain.json", "--load", "steps.py", "--journal", "journal").exit_code == 1

    done = recovered(file_in(chain / "journal"))

    assert done.exit_code == 1
    assert "no luck" in json.loads(done.stdout)["reasonForIncompletion"]
    assert ran(chain) == [1, 2, 3]


def test_scenario_11_a_result_of_none_is_a_result(chain: Path) -> None:
    file = killed_in(chain, 3)

    output_of(recovered(file))

    assert ran(chain).count(2) == 1


def test_scenario_14_and_15_moved_and_renamed_with_the_input_of_the_start(
    chain: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    # HyperFlow: neither works (W9, W10), and variables of the start have to be repeated
    write(
        chain / "asked.json",
        workflow(step(1), step(4), name="asked", outputParameters={"who": "${workflow.input.who}"}),
    )
    file = killed_in(chain, 4, "asked.json", "--input", '{"who": "you"}')
    moved = file.rename(tmp_path_factory.mktemp("elsewhere") / "any name")
    (chain / "asked.json").unlink()

    assert output_of(recovered(moved)) == {"who": "you"}
    assert ran(chain) == [1, 4, 4]


def test_scenario_22_killed_while_it_is_taken_up_again_and_again(chain: Path) -> None:
    file = killed_in(chain, 2)
    for n in (2, 3, 4, 5, 5):
        kill_in(chain, n, file.parent, "recover", str(file))

    assert output_of(recovered(file)) == {"n": 5}
    assert ran(chain) == [1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 5]


def test_scenario_23_of_two_who_take_it_up_one_is_told(chain: Path) -> None:
    file = killed_in(chain, 4)
    (chain / "stop4").touch()
    with begin("recover", str(file), "--load", "steps.py", cwd=chain) as process:
        wait_for_line(process, "stopped")
        done = recovered(file, "--db", "other.db")
        process.kill()
        process.communicate()

    assert done.exit_code == 3
    assert "another process is taking it up" in done.stderr


LIMITED = """
import os, resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)
os.execv(sys.executable, [sys.executable, "-B", "-m", "asyncflow", *sys.argv[2:]])
"""


@pytest.mark.parametrize(("size", "some"), [(1_024, False), (2_048, True)])
def test_scenario_26_a_run_that_cannot_write_its_journal_stops(chain: Path, size: int, some: bool) -> None:  # noqa: FBT001
    # HyperFlow: nobody waits for the lines, and nobody is told
    words = ["run", "chain.json", "--load", "steps.py", "--journal=journal"]
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(size), *words],
        cwd=chain,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 3, done.stderr
    assert "journal file in journal: File too large" in done.stderr
    assert "COMPLETED" not in done.stdout
    recorded = (chain / "journal").glob("*.log")
    ended = sum(file.read_text(encoding="utf-8").count('"COMPLETED"') for file in recorded)
    begun = len(ran(chain)) if (chain / "ran").exists() else 0
    assert bool(begun) == some
    assert begun <= ended + 1  # nothing went on behind what is not in the file


def test_scenario_26_a_file_that_cannot_be_written_stops_recover_with_its_first_turn(chain: Path) -> None:
    file = killed_in(chain, 4)
    (chain / "other" / file.name).mkdir(parents=True)

    done = recovered(file, "--journal", "other")

    assert done.exit_code == 3
    assert "journal file in other: Is a directory" in done.stderr
    assert ran(chain) == [1, 2, 3, 4]


@pytest.mark.parametrize("command", ["run", "recover"])
def test_scenario_26_a_folder_that_cannot_be_used_is_said_before_anything_runs(
    chain: Path, command: str
) -> None:
    file = killed_in(chain, 4)
    (chain / "other").touch()

    done = call(
        command, "chain.json" if command == "run" else file, "--load", "steps.py", "--journal", "other/below"
    )

    assert done.exit_code == 3
    assert "journal folder other/below: Not a directory" in done.stderr
    assert ran(chain) == [1, 2, 3, 4]


def test_scenario_27_the_file_of_a_run_that_ended_is_complete(chain: Path) -> None:
    # HyperFlow: lines may be missing after a normal end (W8)
    call("run", "chain.json", "--load", "steps.py", "--journal", "journal")

    last = json.loads(file_in(chain / "journal").read_text(encoding="utf-8").splitlines()[-1])

    assert last["events"][-1][1] == "ExecutionEnded"


# --- other ways ------------------------------------------------------------------------------------------


def test_recover_into_a_database_that_has_it_already_does_nothing_again(chain: Path) -> None:
    file = killed_in(chain, 4)
    assert output_of(recovered(file, "--db", "new.db")) == {"n": 5}

    assert output_of(recovered(file, "--db", "new.db")) == {"n": 5}
    assert ran(chain) == [1, 2, 3, 4, 4, 5]
    assert call("db", "check", "new.db").exit_code == 0
    listed = json.loads(call("workflow", "list", "--db", "new.db", "-o", "json").stdout)
    assert [row["status"] for row in listed] == ["COMPLETED"]


def test_recover_under_a_new_id_is_another_execution(chain: Path) -> None:
    file = killed_in(chain, 4)
    first = json.loads(recovered(file, "--db", "new.db").stdout)

    second = json.loads(recovered(file, "--db", "new.db", "--new-id").stdout)

    assert second["workflowId"] != first["workflowId"]
    assert second["output"] == first["output"]
    assert ran(chain) == [1, 2, 3, 4, 4, 5, 4, 5]


def test_recover_leaves_it_to_the_next_engine_if_told_to(chain: Path) -> None:
    file = killed_in(chain, 4)

    done = call("recover", file, "--db", "new.db", "--no-run")

    assert done.exit_code == 0
    assert ran(chain) == [1, 2, 3, 4]
    again = call("run", "chain.json", "--load", "steps.py", "--db", "new.db", "-o", "json")
    assert json.loads(again.stdout)["workflowId"] == done.stdout.strip()
    assert ran(chain) == [1, 2, 3, 4, 4, 5]


def test_a_file_is_written_from_a_database_with_its_sub_workflows(chain: Path) -> None:
    below = workflow(step(1), name="below")
    above = workflow(
        {**task("sub", "SUB_WORKFLOW"), "subWorkflowParam": {"name": "below", "workflowDefinition": below}},
        step(3),
        name="above",
        outputParameters={"n": "${s3.output.n}"},
    )
    write(chain / "above.json", above)
    done = call(
        "run", "above.json", "--load", "steps.py", "--db", "a.db", "--journal", "journal", "-o", "json"
    )
    execution = json.loads(done.stdout)["workflowId"]

    exported = call("journal", "export", execution, "--db", "a.db", "--to", "exported")

    assert exported.exit_code == 0, exported.stderr
    for file in (file_in(chain / "journal"), file_in(chain / "exported")):
        rows = json.loads(call("journal", "plan", file, "-o", "json").stdout)
        assert {row["taskReferenceName"] for row in rows} == {"sub", "s1", "s3"}
        assert {row["action"] for row in rows} == {"reuse"}
    assert output_of(recovered(file_in(chain / "exported"), "--db", "b.db", "--new-id")) == {"n": 3}
    assert ran(chain) == [1, 3]


def test_journal_on_a_database_that_had_none_gets_the_whole_of_what_goes_on(chain: Path) -> None:
    (chain / "stop4").touch()
    with begin("run", "chain.json", "--load", "steps.py", "--db", "a.db", cwd=chain) as process:
        wait_for_line(process, "stopped")
        process.kill()
        process.communicate()
    (chain / "stop4").unlink()

    call("run", "chain.json", "--load", "steps.py", "--db", "a.db", "--journal", "journal")

    assert output_of(recovered(file_in(chain / "journal"))) == {"n": 5}
    assert ran(chain) == [1, 2, 3, 4, 4, 5]


def test_files_are_private_and_named_of_harmless_characters(chain: Path) -> None:
    write(chain / "odd.json", workflow(step(1), name="a b"))

    call("run", "odd.json", "--load", "steps.py", "--journal", "journal")

    file = file_in(chain / "journal")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.name.startswith("a_b.")


def test_a_database_of_a_run_and_its_files_name_the_same_installation(chain: Path) -> None:
    file = killed_in(chain, 4, "chain.json", "--db", "a.db")
    call("recover", file, "--db", "b.db", "--no-run")

    named = json.loads(file.read_text(encoding="utf-8").splitlines()[0])["installation"]

    assert named
    for database in ("a.db", "b.db"):
        with closing(sqlite3.connect(chain / database)) as db:
            assert db.execute("SELECT installation_id FROM installation").fetchone() == (named,)


def test_what_is_taken_from_before_damage_goes_on_in_a_whole_file_and_the_damaged_one_is_kept(
    chain: Path,
) -> None:
    file = killed_in(chain, 4)
    whole = bytearray(file.read_bytes())
    whole[whole.index(b'"COMPLETED"') + 3] ^= 1
    file.write_bytes(whole)

    assert output_of(recovered(file, "--until-damage")) == {"n": 5}

    rows = json.loads(call("journal", "plan", file, "-o", "json").stdout)
    assert {row["action"] for row in rows} == {"reuse"}
    (aside,) = file.parent.glob("*.damaged-*")
    assert aside.read_bytes() == bytes(whole)
