"""`asyncflow task io` against a server: runs with their median, as a chart."""

from __future__ import annotations

from tests.cli.remote_calls import Shell


async def test_runs_of_a_task_are_shown_with_their_median(shell: Shell) -> None:
    for _ in range(3):
        await shell.started("quick")
    table = (await shell("task", "io", "quick", "note", "--limit", "2")).stdout
    found = await shell.one("task", "io", "quick", "note")
    nothing = await shell("task", "io", "quick", "nobody", code=2)

    runs = found["runs"]
    assert isinstance(runs, list)
    assert len(runs) == 3
    assert table.count("COMPLETED") == 2
    assert "MEDIAN" in table
    assert "OF THE LARGEST OUTPUT" in table
    assert "404" in nothing.stderr
