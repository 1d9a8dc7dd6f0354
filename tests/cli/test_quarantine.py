"""`asyncflow quarantine`: what was set aside is listed, explained by `why`, released, and deleted."""

from __future__ import annotations

from tests.cli.remote_calls import Shell


async def test_what_was_set_aside_is_listed_explained_and_released(shell: Shell) -> None:
    identity = await shell.started(input={"value": 1})
    engine = shell.server.services.executions.engine
    await engine.views_caught_up()
    engine.turns.residents.quarantine(identity, "of no reason\nat all", kind="crash")
    table = (await shell("quarantine", "list")).stdout
    rows, listed = (
        await shell.rows("quarantine", "list"),
        await shell.rows("workflow", "list", "--quarantined"),
    )
    why = (await shell("why", identity)).stdout
    done = await shell("quarantine", "release", identity)
    await shell("quarantine", "release", identity, code=2)

    assert identity in table
    assert "steps v1" in table
    assert (rows, [row["kind"] for row in rows]) == (listed, ["crash"])
    assert "its release from quarantine: the process died of it" in why
    assert f"{identity} was released, it is RUNNING" in done.stderr
    assert await shell.rows("quarantine", "list") == []


async def test_what_was_set_aside_is_deleted_when_one_is_sure(shell: Shell) -> None:
    identity = await shell.started(input={"value": 1})
    engine = shell.server.services.executions.engine
    await engine.views_caught_up()
    engine.turns.residents.quarantine(identity, "damaged", kind="unreadable")
    asked = await shell("quarantine", "delete", identity, code=2)
    done = await shell("quarantine", "delete", identity, "--yes", "--reason", "damaged")

    assert "say --yes" in asked.stderr
    assert f"{identity} was deleted" in done.stderr
    assert "was open" in done.stderr
    assert await shell.rows("quarantine", "list") == []
    assert await shell.rows("workflow", "list") == []
