"""`asyncflow schedule` against a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.making import Json, write
from tests.cli.remote_calls import Shell


def schedule(name: str, cron: str = "0 0 12 * * ?", **more: object) -> Json:
    return {
        "name": name,
        "cronExpression": cron,
        "zoneId": "Europe/Berlin",
        "startWorkflowRequest": {"name": "quick", "version": 1},
        **more,
    }


async def test_schedules_are_made_listed_and_shown(shell: Shell, tmp_path: Path) -> None:
    file = write(tmp_path / "schedules.json", [schedule("noon"), schedule("night", "0 0 0 * * ?")])
    made = await shell("schedule", "create", file)
    listed = await shell.rows("schedule", "list", "--workflow", "quick")
    shown = await shell.one("schedule", "get", "noon")

    assert "schedule noon is due next at 2" in made.stderr
    assert [row["name"] for row in listed] == ["night", "noon"]
    assert shown["cronExpression"] == "0 0 12 * * ?"
    assert "quick" in (await shell("schedule", "list")).stdout
    assert await shell.rows("schedule", "list", "--workflow", "other") == []


async def test_next_times_of_a_schedule_and_of_an_expression(shell: Shell, tmp_path: Path) -> None:
    pairs = [{"cronExpression": "0 0 12 * * ?"}, {"cronExpression": "0 30 12 * * ?"}]
    body = {"name": "s", "cronSchedules": pairs, "startWorkflowRequest": {"name": "quick"}}
    await shell("schedule", "create", write(tmp_path / "s.json", body))
    both = await shell.rows("schedule", "next", "s")
    hourly = await shell.rows("schedule", "next", "--cron", "0 0 * * * ?", "--zone", "Asia/Kolkata")

    assert {str(row["utc"])[-8:] for row in both} == {"12:00:00", "12:30:00"}
    assert all(str(row["utc"]).endswith(":30:00") for row in hourly)
    assert len(hourly) == 5


@pytest.mark.parametrize("arguments", [[], ["s", "--cron", "0 0 12 * * ?"]])
async def test_next_needs_one_of_both(shell: Shell, arguments: list[str]) -> None:
    refused = await shell("schedule", "next", *arguments, code=2)

    assert "--cron" in refused.stderr


async def test_an_expression_that_is_none_is_one_line(shell: Shell) -> None:
    refused = await shell("schedule", "next", "--cron", "nonsense", code=2)

    assert refused.stderr.startswith("asyncflow: server_refused: 400: ")


async def test_schedules_are_paused_and_resumed(shell: Shell, tmp_path: Path) -> None:
    await shell("schedule", "create", write(tmp_path / "s.json", [schedule("a"), schedule("b")]))
    await shell("schedule", "pause", "a", "--reason", "holidays")
    one = await shell.one("schedule", "get", "a")
    mixed = await shell("schedule", "pause", "a", "b", "c", code=2)
    paused = await shell.rows("schedule", "list")
    await shell("schedule", "resume", "a", "b")
    resumed = await shell.rows("schedule", "list")

    assert (one["paused"], one["pausedReason"]) == (True, "holidays")
    assert "c: no such schedule: c" in mixed.stderr
    assert all(row["paused"] for row in paused)
    assert not any(row.get("paused") for row in resumed)


async def test_a_schedule_is_deleted_if_one_is_sure(shell: Shell, tmp_path: Path) -> None:
    await shell("schedule", "create", write(tmp_path / "s.json", schedule("a")))
    unsure = await shell("schedule", "delete", "a", code=2)
    await shell("schedule", "delete", "a", "--yes")
    again = await shell("schedule", "delete", "a", "--yes", code=2)

    assert "--yes" in unsure.stderr
    assert "404" in again.stderr
    assert await shell.rows("schedule", "list") == []


async def test_what_came_of_times_is_listed(shell: Shell) -> None:
    assert await shell.rows("schedule", "runs", "noon", "--query", "state = FAILED") == []


async def test_all_schedules_are_held_and_go_on(shell: Shell) -> None:
    held = await shell("schedule", "hold")
    going = await shell("schedule", "go-on")

    assert "go-on" in held.stderr
    assert "fired again" in going.stderr
