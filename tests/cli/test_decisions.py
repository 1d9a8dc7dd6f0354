"""A person finds what nobody can tell about and decides it, with commands alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.cli.remote_calls import Shell
from tests.http.undecided import UNDECIDED, Undecided, undecided_server


@asynccontextmanager
async def stuck(*, creates: bool = False) -> AsyncIterator[tuple[Undecided, Shell, str]]:
    """A command line at a server with an execution that waits for a person, and its id."""
    async with undecided_server(creates=creates) as (made, server):
        yield made, Shell(server), await made.stuck(server)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (("resubmit",), "COMPLETED"),
        (("adopt", "job-1"), "COMPLETED"),
        (("fail", "--reason", "deleted by hand"), "FAILED"),
        (("complete", "--output", '{"rows": 12}'), "COMPLETED"),
    ],
)
async def test_a_job_is_found_decided_and_audited(said: tuple[str, ...], status: str) -> None:
    async with stuck() as (service, shell, execution):
        listed = await shell("task", "list", "--state", UNDECIDED)
        (row,) = await shell.rows("task", "list", "--state", UNDECIDED)
        why = await shell("workflow", "why", execution)
        decided = await shell("task", "decide", str(row["taskId"]), *said)
        await service.ended(shell.server, execution)
        left = await shell.rows("task", "list", "--state", UNDECIDED)
        again = await shell("task", "decide", str(row["taskId"]), *said, code=2)
        audit = await shell("audit", "--id", str(row["taskId"]))
        reached = await shell.status(execution)

    assert f"IN_PROGRESS {UNDECIDED}" in listed.stdout
    assert "decision" in why.stdout
    assert decided.stderr.startswith("asyncflow: job is ")
    assert (reached, left) == (status, [])
    assert "open job of task" in again.stderr
    assert said[0] in audit.stdout
    assert "anonymous" in audit.stdout


@pytest.mark.parametrize("said", [("adopt", "j-1"), ("absent",)])
async def test_an_instance_is_found_and_decided(said: tuple[str, ...]) -> None:
    async with stuck(creates=True) as (service, shell, execution):
        instances = (await shell.one("resource", "get", "fake"))["instances"]
        assert isinstance(instances, list)
        (instance,) = instances
        wrong = await shell("resource", "decide", "fake", "1", "adopt", code=2)
        none = await shell("resource", "decide", "fake", "7", "absent", code=2)
        decided = await shell("resource", "decide", "fake", "1", *said, "--reason", "seen")
        await service.ended(shell.server, execution)
        history = await shell("resource", "history", "fake")
        reached = await shell.status(execution)

    assert instance["phase"] == "undecided"
    assert "a handle goes with adopt" in wrong.stderr
    assert "fake/7" in none.stderr
    assert "fake is " in decided.stderr
    assert "seen" in history.stdout
    assert reached == "COMPLETED"
