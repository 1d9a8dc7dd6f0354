"""A process of its own: signals, the lock of a file, and a kill in the middle of a run.

The law of the kill: the same command goes on, and no task that was recorded as finished runs again.
"""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.cli.making import HELLO, Json, begin, run_process, task, wait_for_line, workflow, write

LAYERS, WIDTH, GATE = 30, 10, 15
FUNCTIONS = f'''
import os, sys, threading
import asyncflow as af

@af.task(retries=0)
def mark(layer: int, place: int) -> dict:
    """Leave a line behind; the layer at the gate is never got past while there is one."""
    if os.environ.get("GATE") and layer == {GATE}:
        print("at the gate", file=sys.stderr, flush=True)
        threading.Event().wait()
    with open("marks", "a") as file:
        file.write(f"t{{layer}}_{{place}}\\n")
    return {{"layer": layer}}
'''


def layered() -> Json:
    """300 tasks, each layer after the one before it."""
    tasks = [
        task(
            f"t{layer}_{place}",
            inputParameters={"layer": layer, "place": place},
            asyncflow={"dependsOn": [f"t{layer - 1}_{place}"] if layer else []},
        )
        | {"name": "mark"}
        for layer in range(LAYERS)
        for place in range(WIDTH)
    ]
    return workflow(*tasks, name="layers")


def marks(folder: Path) -> Counter[str]:
    return Counter((folder / "marks").read_text(encoding="utf-8").split())


def finished(execution: str) -> set[str]:
    tasks = json.loads(execution)["tasks"]
    return {each["referenceTaskName"] for each in tasks if each["status"] == "COMPLETED"}


def test_killed_run_goes_on_and_no_finished_task_runs_twice(tmp_path: Path) -> None:
    write(tmp_path / "layers.json", layered())
    (tmp_path / "functions.py").write_text(FUNCTIONS, encoding="utf-8")
    command = ["run", "layers.json", "--load", "functions.py", "--db", "x.db", "-o", "json"]

    with begin(*command, cwd=tmp_path, env={"GATE": "1"}) as process:
        wait_for_line(process, "at the gate")
        identity = ""
        while not identity:  # a view may be a fifth of a second behind the journal
            identity = run_process("workflow", "list", "--db", "x.db", "-o", "jsonl", cwd=tmp_path).stdout
        process.kill()
        process.communicate()
    killed = run_process(
        "workflow", "get", json.loads(identity)["workflowId"], "--db", "x.db", "-o", "json", cwd=tmp_path
    )
    recorded = finished(killed.stdout)
    again = run_process(*command, cwd=tmp_path)

    assert again.returncode == 0, again.stderr
    assert "taking up execution" in again.stderr
    assert 1 <= len(recorded) < LAYERS * WIDTH
    found = marks(tmp_path)
    assert {name for name in recorded if found[name] != 1} == set()
    assert len(found) == LAYERS * WIDTH
    assert finished(again.stdout) == set(found)


def test_first_signal_stops_in_order_and_says_how_to_go_on(tmp_path: Path) -> None:
    stuck = workflow(task("stuck"), task("after", "NOOP"), name="stuck")
    write(tmp_path / "stuck.json", stuck)

    with begin("run", "stuck.json", "--wait", "--db", "x.db", cwd=tmp_path) as process:
        wait_for_line(process, "waiting for a worker")
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    kept = run_process("workflow", "list", "--db", "x.db", "-o", "jsonl", cwd=tmp_path)

    assert process.returncode == 130
    assert "the same command goes on" in said
    assert json.loads(kept.stdout)["status"] == "RUNNING"


STUBBORN = """
import asyncflow as af

@af.task(retries=0)
async def stubborn() -> None:
    import asyncio, sys
    print("begun", file=sys.stderr, flush=True)
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("not yet", file=sys.stderr, flush=True)

with af.Workflow("stubborn") as wf:
    wf >> stubborn.node("stubborn")
"""


def test_second_signal_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "stubborn.py").write_text(STUBBORN, encoding="utf-8")

    with begin("run", "stubborn.py", cwd=tmp_path) as process:
        wait_for_line(process, "begun")
        process.send_signal(signal.SIGINT)
        wait_for_line(process, "not yet")
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "ended at once" in said


def test_second_process_is_refused_and_told_who_has_the_file(tmp_path: Path) -> None:
    write(tmp_path / "stuck.json", workflow(task("stuck"), name="stuck"))

    with begin("run", "stuck.json", "--wait", "--db", "x.db", cwd=tmp_path) as process:
        wait_for_line(process, "waiting for a worker")
        refused = run_process("run", "stuck.json", "--db", "x.db", cwd=tmp_path)
        rebuilt = run_process("db", "rebuild", "x.db", cwd=tmp_path)
        listed = run_process("workflow", "list", "--db", "x.db", "-o", "jsonl", cwd=tmp_path)
        process.kill()
        process.communicate()

    assert refused.returncode == rebuilt.returncode == 3
    assert f"process {process.pid}" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert listed.returncode == 0


def test_storage_that_fails_ends_the_run_with_3(tmp_path: Path) -> None:
    wait = task("brief", "WAIT", inputParameters={"duration": "2 seconds"})
    fork = task("fork", "FORK_JOIN", forkTasks=[[task("stuck")], [wait]])
    write(tmp_path / "fork.json", workflow(fork, task("join", "JOIN", joinOn=["stuck", "brief"])))

    with begin("run", "fork.json", "--wait", "--db", "x.db", cwd=tmp_path) as process:
        wait_for_line(process, "waiting for a worker")
        (tmp_path / "x.db").unlink()
        _, said = process.communicate(timeout=60)

    assert process.returncode == 3
    assert "x.db" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("output", ["table", "json", "jsonl"])
def test_results_go_to_stdout_and_talk_to_stderr(tmp_path: Path, output: str) -> None:
    write(tmp_path / "hello.json", HELLO)

    done = run_process("run", "hello.json", "-o", output, cwd=tmp_path)

    assert done.returncode == 0
    assert "hello" in done.stdout
    assert "\x1b" not in done.stdout + done.stderr


def test_closed_pipe_is_no_error_of_ours(tmp_path: Path) -> None:
    write(tmp_path / "hello.json", HELLO)

    with begin("run", "hello.json", "-o", "json", cwd=tmp_path) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
        process.wait(timeout=60)

    assert "Traceback" not in said
    assert "Exception" not in said
