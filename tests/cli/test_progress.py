"""Progress: every record is counted once, whatever it goes through, and shown in few lines."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from asyncflow.app.following import REMOVED, Following, TaskSeen
from asyncflow.app.local import LocalOptions, open_local, start_or_take_up
from asyncflow.cli.output import cell, display_width, duration
from asyncflow.cli.progress import Count, Counts
from asyncflow.model.definition import parse_workflow
from tests.cli.making import call, environment, task, workflow, write

RECORD = TaskSeen("x", 1, "a", "work", "SIMPLE", "thread", "SCHEDULED", 0)


def test_record_is_in_one_column_at_a_time() -> None:
    counts, before = Counts(), None
    lines = []
    for status in ("SCHEDULED", "IN_PROGRESS", "SCHEDULED", "IN_PROGRESS", "COMPLETED"):
        now = RECORD._replace(status=status)
        counts.seen(now, before)
        before = now
        lines.append(counts.line())

    assert lines[0] == "0 of 1 tasks done, 1 waiting"
    assert lines[1] == "0 of 1 tasks done, 1 running"
    assert lines[-1] == "1 of 1 tasks done"


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "CANCELED", "FAILED_WITH_TERMINAL_ERROR", REMOVED])
def test_unsuccessful_ends_are_counted_as_such(status: str) -> None:
    counts = Counts()
    counts.seen(RECORD, None)
    counts.seen(RECORD._replace(status=status), RECORD)

    assert counts.sum() == Count(failed=1)


def test_operators_are_not_counted() -> None:
    counts = Counts()
    counts.seen(RECORD._replace(executor=""), None)

    assert counts.by_name == {}


async def test_following_tells_of_every_record_once_below_children_too() -> None:
    child = workflow(
        task("inner", "INLINE", inputParameters={"evaluatorType": "javascript", "expression": "1"})
    )
    sub = task("sub", "SUB_WORKFLOW", subWorkflowParam={"name": "wf", "workflowDefinition": child})
    branches = [[task(f"w{i}", "WAIT", inputParameters={"duration": "1 seconds"})] for i in range(3)]
    loop = task("loop", "DO_WHILE", loopCondition="$.loop['iteration'] < 3", loopOver=[task("body", "NOOP")])
    tasks = [
        sub,
        loop,
        task("fork", "FORK_JOIN", forkTasks=branches),
        task("join", "JOIN", joinOn=["w0", "w1", "w2"]),
    ]
    ends: list[str] = []
    first: list[tuple[str, int]] = []

    def listen(seen: TaskSeen, old: TaskSeen | None) -> None:
        if old is None:
            first.append((seen.execution_id, seen.number))
        if seen.is_over:
            ends.append(seen.ref)

    async with open_local(None, {}, LocalOptions()) as service:
        identity, _ = await start_or_take_up(service, parse_workflow(workflow(*tasks)), {})
        with Following(service, listen) as following:
            following.follow(identity)
            await service.ended(identity)
            assert len(following.streams) == 2
            assert not any(following.open.values())
        assert service.engine.turns.watchers == {}

    assert sorted(ends) == sorted(
        ["sub", "inner", "loop", "body__1", "body__2", "body__3", "fork", "w0", "w1", "w2", "join"]
    )
    assert len(first) == len(set(first)) == len(ends)


def test_plain_progress_is_quiet_about_what_is_over_soon(tmp_path: Path) -> None:
    done = call("run", write(tmp_path / "w.json", workflow(task("a", "NOOP"))), "--progress", "plain")

    assert (done.exit_code, done.stderr) == (0, "")


def test_terminal_gets_a_live_line_per_name(tmp_path: Path) -> None:
    write(
        tmp_path / "w.json", workflow(task("[bold]pause", "WAIT", inputParameters={"duration": "1 seconds"}))
    )
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "asyncflow", "run", "w.json", "-o", "json"],
        cwd=tmp_path,
        env=environment(TERM="xterm", COLUMNS="100"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    out, _ = process.communicate(timeout=60)
    shown = b""
    while chunk := _read(ours):
        shown += chunk
    os.close(ours)

    assert process.returncode == 0
    assert json.loads(out)["status"] == "COMPLETED"
    assert b"[bold]pause" in shown
    assert b"1 of 1 tasks done" in shown


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other end is closed and all is read
        return b""


# --- cells ------------------------------------------------------------------------------------


def test_cells_cannot_steer_a_terminal() -> None:
    assert cell("a\x1b[31mred\nline\u202e") == "a\\x1b[31mred\\nline\\u202e"
    assert cell({"a": [1, None]}) == '{"a":[1,null]}'


def test_width_counts_columns_not_characters() -> None:
    assert (display_width("abc"), display_width("日本"), display_width("e\u0301")) == (3, 4, 1)


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0.00 s"), (1234, "1.23 s"), (59_900, "59.9 s"), (61_000, "1 min 01 s"), (3_660_000, "1 h 01 min")],
)
def test_durations_are_readable(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text
