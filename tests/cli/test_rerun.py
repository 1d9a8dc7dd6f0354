"""`workflow rerun --changed` and `retry --set`: shown, kept, edited, carried out; at a server, on a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.making import Json, call, task, workflow, write
from tests.cli.remote_calls import Shell


def inline(ref: str, **inputs: object) -> Json:
    """A task whose result is what it is given, and one."""
    given = {"evaluatorType": "javascript", "expression": "$.a + 1", **inputs}
    return task(ref, "INLINE", inputParameters=given)


SUMS = workflow(
    inline("one", a="${workflow.input.day}"),
    inline("two", a="${one.output.result}"),
    inline("three", a="${workflow.input.other}"),
    name="sums",
)

FUNCTIONS = """
import pathlib
import asyncflow as af

def note(name, value):
    with pathlib.Path("calls.txt").open("a") as file:
        print(name, file=file)
    return {"value": value}

@af.task
def first(day: int):
    return note("first", day * 2)

@af.task
def second(value: int):
    return note("second", value + 1)

@af.task
def other(key: int):
    return note("other", key)
"""
CALLED = workflow(
    task("first", inputParameters={"day": "${workflow.input.day}"}),
    task("second", inputParameters={"value": "${first.output.value}"}),
    task("other", inputParameters={"key": "${workflow.input.key}"}),
    name="called",
)


def results(execution: object) -> dict[str, object]:
    assert isinstance(execution, dict)
    return {each["referenceTaskName"]: each["outputData"]["result"] for each in execution["tasks"]}


async def ended(shell: Shell) -> str:
    await shell.registered(SUMS)
    return await shell.started("sums", input={"day": 1, "other": 5})


async def test_the_plan_is_shown_and_nothing_runs(shell: Shell) -> None:
    identity = await ended(shell)
    shown = await shell("workflow", "rerun", identity, "--changed", "input:day=2", "--plan")
    plan = await shell.one("workflow", "rerun", identity, "--changed", "input:other=2", "--plan")

    lines = [line.split(maxsplit=3) for line in shown.stdout.splitlines()]
    assert lines[1] == ["redo", "one", "INLINE", "changed input key day"]
    assert lines[2] == ["redo", "two", "INLINE", "depends on one, unless that is as before"]
    assert "0 reuse, 3 redo" in shown.stderr
    assert [each["action"] for each in plan["tasks"]] == ["reuse", "reuse", "redo"]  # type: ignore[attr-defined]
    assert results(await shell.one("workflow", "get", identity)) == {"one": 2, "two": 3, "three": 6}


async def test_a_plan_is_kept_edited_and_carried_out_once(shell: Shell, tmp_path: Path) -> None:
    identity, file = await ended(shell), tmp_path / "plan.json"
    await shell("workflow", "rerun", identity, "--changed", "input:day=2", "--save", file)
    plan = json.loads(file.read_text(encoding="utf-8"))
    next(each for each in plan["tasks"] if each["taskReferenceName"] == "two")["action"] = "reuse"
    write(file, plan)
    done = await shell("workflow", "rerun", identity, "--apply", file)
    after = await shell.one("workflow", "get", identity)
    again = await shell("workflow", "rerun", identity, "--apply", file)

    assert "COMPLETED" in done.stdout
    assert results(after) == {"one": 3, "two": 3, "three": 6}
    assert "carried out already" in again.stderr
    assert await shell.one("workflow", "get", identity) == after


async def test_actions_are_chosen_on_the_command_line(shell: Shell) -> None:
    identity = await ended(shell)
    await shell("workflow", "rerun", identity, "--changed", "input:day=2", "--choose", "two=reuse")
    refused = await shell(
        "workflow", "rerun", identity, "--changed", "ref:one", "--choose", "four=redo", code=2
    )

    assert results(await shell.one("workflow", "get", identity)) == {"one": 3, "two": 3, "three": 6}
    assert "four=redo" in refused.stderr


async def test_finished_tasks_are_asked_about_one_by_one(shell: Shell) -> None:
    identity = await ended(shell)
    words = ("workflow", "rerun", identity, "--completed", "ask-per-task")
    refused = await shell(*words, code=2)
    plan = await shell.one(*words, "--plan")
    answers = [word for ref in ("one", "two", "three") for word in ("--choose", f"{ref}=reuse")]
    kept = await shell(*words, *answers)

    assert "3 tasks are to be answered, such as one, two, three" in refused.stderr
    assert [each["action"] for each in plan["tasks"]] == ["ask"] * 3  # type: ignore[attr-defined]
    assert "nothing is to be redone" in kept.stderr


async def test_a_retry_that_sets_a_key_redoes_who_reads_it(shell: Shell) -> None:
    identity = await ended(shell)
    plan = await shell("workflow", "retry", identity, "--set", "other=9", "--plan")
    await shell("workflow", "retry", identity, "--set", "other=9")
    after = await shell.one("workflow", "get", identity)

    assert "2 reuse, 1 redo" in plan.stderr
    assert results(after) == {"one": 2, "two": 3, "three": 10}
    assert after["input"] == {"day": 1, "other": 9}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["rerun", "ID", "--changed", "colour:red"], "no such selector"),
        (["rerun", "ID", "--changed", "ref:four"], "no task of this execution"),
        (["rerun", "ID", "--changed", "ref:one", "--input", "{}"], "without a plan"),
        (["retry", "ID", "ID", "--set", "a=1"], "for one execution"),
        (["retry", "ID", "--set", "a"], "KEY=VALUE"),
    ],
)
async def test_what_cannot_be_is_refused_and_runs_nothing(shell: Shell, words: list[str], said: str) -> None:
    identity = await ended(shell)
    before = await shell.one("workflow", "get", identity)
    done = await shell("workflow", *(identity if word == "ID" else word for word in words), code=2)

    assert said in done.stderr
    assert await shell.one("workflow", "get", identity) == before


def test_a_file_is_planned_without_an_engine_and_run_to_its_end(here: Path) -> None:
    (here / "called.py").write_text(FUNCTIONS, encoding="utf-8")
    definition = write(here / "called.json", CALLED)
    options = ("--db", "called.db", "--load", "called.py", "-o", "json")
    done = call("run", definition, "--input", '{"day": 1, "key": 5}', *options, "--progress", "off")
    execution = json.loads(done.stdout)
    identity = execution["workflowId"]
    assert (here / "calls.txt").read_text(encoding="utf-8").split() == ["first", "second", "other"]
    (here / "calls.txt").unlink()
    words = ("workflow", "rerun", identity, "--changed", "input:key=6")
    plan = call(*words, "--plan", "--db", "called.db")

    assert plan.exit_code == 0, plan.output
    assert "changed input key key" in plan.stdout
    assert not (here / "calls.txt").exists()
    again = call(*words, *options)
    assert again.exit_code == 0, again.output
    assert (here / "calls.txt").read_text(encoding="utf-8").split() == ["other"]
    tasks = json.loads(again.stdout)["tasks"]
    assert [each["outputData"]["value"] for each in tasks] == [2, 3, 6]
    assert [each["taskId"] for each in tasks] == [each["taskId"] for each in execution["tasks"]]


async def test_a_newer_version_reuses_what_fits_and_runs_the_rest(shell: Shell) -> None:
    identity = await ended(shell)
    assert isinstance(SUMS["tasks"], list)
    zero = inline("zero", a="${workflow.input.day}")
    await shell.registered(workflow(zero, *SUMS["tasks"], name="sums", version=2))
    chosen = ("workflow", "rerun", identity, "--definition-version", "latest")
    plan = await shell(*chosen, "--plan")
    await shell(*chosen)
    refused = await shell(*chosen[:-1], "7", code=2)

    assert "to be run where the flow comes to them: zero" in plan.stderr
    assert "3 reuse, 0 redo" in plan.stderr
    shown = await shell.one("workflow", "get", identity)
    assert shown["workflowVersion"] == 2
    assert results(shown) == {"zero": 2, "one": 2, "two": 3, "three": 6}
    assert "sums version 7" in refused.stderr
