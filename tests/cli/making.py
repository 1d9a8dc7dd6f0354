"""What the tests of the command line share: a call in this process, a process of its own, definitions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from click.testing import CliRunner, Result

from asyncflow.cli import cli

CHECKOUT = Path(__file__).resolve().parents[2]
Json = dict[str, object]


def call(*arguments: str | Path, given: str | bytes | None = None) -> Result:
    """A command in this process."""
    return CliRunner().invoke(cli, [str(argument) for argument in arguments], input=given)


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key in {"PATH", "HOME", "TMPDIR", "LANG"}}
    return {**kept, "PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "default", **more}


def begin(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """A process of its own, its stderr to be read line by line."""
    return subprocess.Popen(
        [sys.executable, "-m", "asyncflow", *map(str, arguments)],
        cwd=cwd,
        env=environment(**(env or {})),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_process(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """A process of its own, to its end."""
    with begin(*arguments, cwd=cwd) as process:
        out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    """Read stderr until a line has the text."""
    assert process.stderr is not None
    read = []
    for line in process.stderr:
        read.append(line)
        if text in line:
            return
    raise AssertionError(f"ended without {text!r}: {''.join(read)}")


def write(path: Path, value: object) -> Path:
    """A JSON file."""
    path.write_text(json.dumps(value), encoding="utf-8")
    return path


def task(ref: str, kind: str = "SIMPLE", **fields: object) -> Json:
    return {"name": ref, "taskReferenceName": ref, "type": kind, **fields}


def workflow(*tasks: Json, name: str = "wf", **fields: object) -> Json:
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": list(tasks), **fields}


HELLO = workflow(
    task("greet", "SET_VARIABLE", inputParameters={"greeting": "hello, ${workflow.input.name}"}),
    name="hello",
    outputParameters={"greeting": "${workflow.variables.greeting}"},
)
FAILING = workflow(
    task(
        "stop", "TERMINATE", inputParameters={"terminationStatus": "FAILED", "terminationReason": "no luck"}
    ),
    name="failing",
)

FUNCTIONS = """
import asyncflow as af

@af.task(retries=0)
def double(value: int) -> dict:
    if value < 0:
        raise ValueError("negative")
    return {"value": 2 * value}

with af.Workflow("twice") as wf:
    first = double.node("first", value=wf.input.value)
    second = double.node("second", value=first.output.value)
    wf >> first >> second
    wf.output(value=second.output.value)
"""
DOUBLE = workflow(task("double", inputParameters={"value": "${workflow.input.value}"}), name="doubling")


def result(*arguments: str | Path, given: str | None = None) -> Json:
    done = call("run", *arguments, "-o", "json", given=given)
    assert done.exit_code == 0, done.stderr
    shown = json.loads(done.stdout)
    assert isinstance(shown, dict)
    return shown


def tasks(execution: Json) -> list[Json]:
    listed = execution["tasks"]
    assert isinstance(listed, list)
    return listed
