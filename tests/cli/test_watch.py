"""Following an execution: its changes, its end as an exit code, and Ctrl-C."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from asyncflow.cli import watch
from tests.cli.making import begin, call, write
from tests.cli.remote_calls import STEPS, Shell, serving_process


async def test_an_ended_execution_is_told_at_once(shell: Shell) -> None:
    done = await shell("workflow", "watch", await shell.started("quick"))
    failed = await shell("workflow", "watch", await shell.started("doomed"), "-o", "jsonl", code=1)
    lines = [json.loads(line) for line in failed.stdout.splitlines()]

    assert "status     COMPLETED" in done.stdout
    assert [(line["status"], line["reason"]) for line in lines if "workflowId" in line] == [
        ("FAILED", "no luck")
    ]


async def test_json_is_the_ended_execution_alone(shell: Shell) -> None:
    shown = await shell.one("workflow", "watch", await shell.started("quick"))

    assert (shown["status"], len(str(shown["tasks"])) > 0) == ("COMPLETED", True)


async def test_changes_are_told_as_they_come(shell: Shell, tmp_path: Path) -> None:
    identity = await shell.started()
    with begin(
        "workflow", "watch", identity, "-o", "jsonl", "--server", shell.server.url, cwd=tmp_path
    ) as process:
        assert process.stdout is not None
        first = json.loads(await asyncio.to_thread(process.stdout.readline))
        await shell("task", "complete", identity, "first")
        await shell("workflow", "signal", identity)
        out, err = await asyncio.to_thread(process.communicate, timeout=60)
    last = json.loads(out.splitlines()[-1])

    assert (first["task"], first["status"]) == ("first", "SCHEDULED")
    assert (last["workflowId"], last["status"]) == (identity, "COMPLETED")
    assert (process.returncode, err) == (0, "")


async def test_start_watches_if_told_to(shell: Shell) -> None:
    done = await shell("workflow", "start", "doomed", "--watch", code=1)

    assert "is started" in done.stderr
    assert "no luck" in done.stdout


def test_ctrl_c_ends_the_watching_alone(tmp_path: Path) -> None:
    with serving_process(tmp_path) as (_, url):
        call("workflow", "create", write(tmp_path / "steps.json", STEPS), "--server", url)
        identity = call("workflow", "start", "steps", "--server", url).stdout.strip()
        with begin("workflow", "watch", identity, "--server", url, cwd=tmp_path) as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=60)
        status = call("workflow", "status", identity, "-o", "json", "--server", url)

    assert process.returncode == 130
    assert "Traceback" not in err
    assert json.loads(status.stdout)["status"] == "RUNNING"


async def test_what_is_not_there_cannot_be_watched(shell: Shell) -> None:
    refused = await shell("workflow", "watch", "nowhere", code=2)

    assert "404" in refused.stderr


async def test_the_stream_of_events_says_when_to_look(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the stream it would look again long after the test is given up."""
    monkeypatch.setattr(watch, "_WITHOUT_STREAM_S", 1_000.0)
    monkeypatch.setattr(watch, "_WITH_STREAM_S", 1_000.0)
    identity = await shell.started()
    async with asyncio.TaskGroup() as group:
        watching = group.create_task(shell("workflow", "watch", identity, "-o", "jsonl"))
        while not shell.server.services.streams.count:  # noqa: ASYNC110 - it has no event for being opened
            await asyncio.sleep(0)
        await shell.server.post(f"/api/tasks/{identity}/first/COMPLETED", json={})
        await shell.server.post(f"/api/tasks/{identity}/hold/COMPLETED", json={})
    last = json.loads(watching.result().stdout.splitlines()[-1])

    assert (last["workflowId"], last["status"]) == (identity, "COMPLETED")
