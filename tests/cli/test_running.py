"""A run that cannot go on tells of it, whatever the reason."""

from __future__ import annotations

import anyio
import anyio.lowlevel
import pytest

from asyncflow.app.local import LocalOptions, open_local
from asyncflow.cli.loading import Bundle
from asyncflow.cli.progress import Progress
from asyncflow.cli.running import Job, LocalRun
from asyncflow.model.definition import parse_workflow
from tests.cli.making import task, workflow


async def test_run_ends_when_its_execution_is_set_aside() -> None:
    """Deciding it broke, so no event will ever tell of its end."""
    definition = parse_workflow(workflow(task("pause", "WAIT", inputParameters={"duration": "1 hours"})))
    job = Job(definition, Bundle(), {}, LocalOptions())

    async with open_local(None, {}, LocalOptions()) as service:
        with pytest.RaisesGroup(
            pytest.RaisesExc(RuntimeError, match="set aside: a bug"), flatten_subgroups=True
        ):
            async with anyio.create_task_group() as group:
                run = LocalRun(job, service, Progress("off"), anyio.Event())
                group.start_soon(run.finish)
                with anyio.fail_after(30):
                    while not run.following.streams:
                        await anyio.lowlevel.checkpoint()
                (stream,) = run.following.streams
                service.engine.turns.residents.quarantine(stream, "a bug")
