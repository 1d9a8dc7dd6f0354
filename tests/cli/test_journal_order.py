"""Journal files of runs in which the order of what comes in counts: scenarios 8 and 9.

The numbers are those of HyperFlow's scenarios, as in `test_journal_files`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.making import task, workflow, write
from tests.cli.test_journal_files import file_in, kill_in, output_of, recovered

STEPS = """
from pathlib import Path

import asyncflow as af

HERE = Path(__file__).parent


def mark(text):
    with (HERE / "ran").open("a") as ran:
        ran.write(f"{text}\\n")


@af.task
def produce(name: str) -> dict:
    mark(f"produce {name}")
    return {"name": name}


@af.task
def consume(name: str, stop: int = 0) -> dict:
    mark(f"consume {name}")
    if (HERE / f"stop{stop}").exists():
        print("stopped", flush=True, file=__import__("sys").stderr)
        __import__("time").sleep(120)
    return {"consumed": name}


@af.task(retries=0)
def gather(stop: int, members: dict) -> dict:
    found = [members[key]["consumed"] for key in sorted(members)]
    mark(f"gather {stop} {len(found)}")
    if (HERE / f"stop{stop}").exists():
        print("stopped", flush=True, file=__import__("sys").stderr)
        __import__("time").sleep(120)
    return {"size": len(found), "members": found}
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the functions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.py").write_text(STEPS, encoding="utf-8")
    return tmp_path


def step(ref: str, does: str, needs: list[str] | None = None, **given: object) -> dict[str, object]:
    own = {} if needs is None else {"asyncflow": {"dependsOn": needs}}
    return {**task(ref, inputParameters=given), "name": does, **own}


def ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text(encoding="utf-8").splitlines()


def killed_in(folder: Path, n: int, *tasks: dict[str, object], **more: object) -> Path:
    write(folder / "order.json", workflow(*tasks, name="order", **more))
    kill_in(folder, n, folder / "journal", "run", "order.json", "--journal", "journal")
    return file_in(folder / "journal")


def test_scenario_8_what_was_consumed_first_is_not_consumed_again(here: Path) -> None:
    # HyperFlow: A is never processed, B twice (W3)
    tasks = [
        step("a", "produce", [], name="A"),
        step("b", "produce", [], name="B"),
        step("s1", "consume", ["b"], name="${b.output.name}", stop=1),
        step("s2", "consume", ["a", "s1"], name="${a.output.name}", stop=2),
    ]
    outputs = {"first": "${s1.output.consumed}", "second": "${s2.output.consumed}"}
    file = killed_in(here, 2, *tasks, outputParameters=outputs)

    assert output_of(recovered(file)) == {"first": "B", "second": "A"}
    assert sorted(ran(here)[:2]) == ["produce A", "produce B"]
    assert ran(here)[2:] == ["consume B", "consume A", "consume A"]


def test_scenario_9_collections_are_delivered_in_their_sizes(here: Path) -> None:
    # HyperFlow: a collection of three delivers two, then the run stalls (W5)
    tasks: list[dict[str, object]] = []
    before: list[str] = []
    for n, members in enumerate((["a", "b"], ["c", "d", "e"], ["f"]), start=1):
        fork = {
            **task(f"f{n}", "FORK_JOIN_DYNAMIC"),
            "inputParameters": {
                "forkTaskName": "consume",
                "forkTaskInputs": [{"name": member} for member in members],
            },
        }
        gather = step(f"s{n}", "gather", stop=n, members=f"${{j{n}.output}}")
        tasks += [fork, {**task(f"j{n}", "JOIN"), "joinOn": []}, gather]
        before.append(f"${{s{n}.output.size}}")
    file = killed_in(here, 2, *tasks, outputParameters={"sizes": before})

    assert output_of(recovered(file)) == {"sizes": [2, 3, 1]}
    consumed = [line for line in ran(here) if line.startswith("consume")]
    assert sorted(consumed) == [f"consume {member}" for member in "abcdef"]
    gathered = [line for line in ran(here) if line.startswith("gather")]
    assert gathered == [
        "gather 1 2",
        "gather 2 3",
        "gather 2 3",
        "gather 3 1",
    ]
