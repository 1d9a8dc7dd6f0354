"""Journal files of executions with jobs outside: taken up where these are found again, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.app.recover_changed import Change, changed
from asyncflow.app.recovering import Journaled, export, put_in, read_file, renamed
from asyncflow.errors import Conflict
from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, job


async def handed_in(folder: Path) -> tuple[Bench, Journaled]:
    """The file of an execution whose job was handed in, and the service that has it."""
    bench = Bench(folder / "f.db")
    bench.service.duration_s = 100
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(20)
    return bench, await read_file(await export(folder / "f.db", execution, folder / "journal"))


async def test_an_empty_database_finds_the_job_again(tmp_path: Path) -> None:
    bench, found = await handed_in(tmp_path)
    elsewhere = Bench(tmp_path / "new.db")
    elsewhere.service, elsewhere.clock = bench.service, bench.clock
    await put_in(tmp_path / "new.db", found)
    async with elsewhere.engine() as service:
        state = await elsewhere.end(service, found.execution_id)

    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 1


async def test_a_database_of_another_installation_is_refused(tmp_path: Path) -> None:
    _, found = await handed_in(tmp_path)
    async with Bench(tmp_path / "other.db").engine():
        pass

    with pytest.raises(
        Conflict, match="jobs outside that go on, and the database is of another installation"
    ):
        await put_in(tmp_path / "other.db", found)


async def test_a_second_execution_with_the_same_job_is_refused(tmp_path: Path) -> None:
    _, found = await handed_in(tmp_path)

    with pytest.raises(Conflict, match="only one execution can have them"):
        await renamed(found)


async def test_a_change_is_refused_while_a_job_is_open(tmp_path: Path) -> None:
    _, found = await handed_in(tmp_path)

    with pytest.raises(Conflict, match="let them end first"):
        await changed(found, Change(("ref:job",)))
