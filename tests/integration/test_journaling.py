"""Journal files of a server whose folder is not left alone: damaged, removed, unwritable, and very full."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from asyncflow.app.build import open_engine
from asyncflow.app.journaling import journal_files
from asyncflow.app.recovering import read_file
from asyncflow.app.service import Service, StartRequest
from asyncflow.app.services import Services, open_services
from asyncflow.model.definition import parse_workflow
from asyncflow.store.records import StoreSettings
from tests.integration.engine_support import waiting, workflow
from tests.integration.waiting import until

WAITS = workflow("waits", [waiting("first"), waiting("second")])


async def begun(services: Services, folder: Path) -> tuple[str, Path]:
    """An execution that waits for its first signal, and its file."""
    await services.executions.register_workflow(WAITS)
    execution = await services.executions.start(StartRequest(name="waits"))
    return execution, await file_of(execution, folder)


async def file_of(execution: str, folder: Path) -> Path:
    """The file of an execution, once it is there."""
    await until(lambda: named(execution, folder))
    return named(execution, folder)[0]


def named(execution: str, folder: Path) -> list[Path]:
    return list(folder.glob(f"*.{execution}.log"))


async def signal(services: Services, execution: str, ref: str) -> None:
    await services.executions.signal(execution, ref, {"of": ref})


async def finished(services: Services, execution: str) -> None:
    await signal(services, execution, "first")
    await signal(services, execution, "second")
    await services.executions.ended(execution)


async def check_whole(file: Path) -> None:
    """It holds the execution to its end, and nothing is wrong with it."""
    found = await read_file(file)

    assert not found.torn
    assert found.state.status == "COMPLETED"


async def test_a_removed_file_is_written_anew_and_whole(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    async with open_services(tmp_path / "a.db", store=StoreSettings(journal=folder)) as services:
        execution, file = await begun(services, folder)
        file.unlink()
        await finished(services, execution)

    await check_whole(file)


@pytest.mark.parametrize("harm", ["flipped", "foreign", "more"])
async def test_a_damaged_file_is_set_aside_and_written_anew(
    tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "journal"
    async with open_services(tmp_path / "a.db", store=StoreSettings(journal=folder)) as services:
        execution, file = await begun(services, folder)
        other = await services.executions.start(StartRequest(name="waits"))
        strange = (await file_of(other, folder)).read_bytes()
    whole = file.read_bytes()
    spoilt = {"flipped": whole.replace(b'"waits"', b'"walts"', 1), "foreign": strange}.get(harm, whole)
    file.write_bytes(spoilt)

    with caplog.at_level(logging.WARNING, "asyncflow.journal"):
        async with open_services(tmp_path / "a.db", store=StoreSettings(journal=folder)) as services:
            await signal(services, execution, "first")
            if harm == "more":
                await until(lambda: b"TaskEnded" in file.read_bytes())
                file.write_bytes(file.read_bytes() + b"mine\n" + whole)
            await signal(services, execution, "second")
            await services.executions.ended(execution)

    await check_whole(file)
    (aside,) = folder.glob(f"{file.name}.damaged-*")
    assert aside.read_bytes().startswith(spoilt)
    assert "set aside" in caplog.text


async def test_one_file_that_cannot_be_written_holds_up_no_other(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    async with open_services(tmp_path / "a.db", store=StoreSettings(journal=folder)) as services:
        execution, file = await begun(services, folder)
        aside = file.rename(tmp_path / "aside")
        file.mkdir()
        await signal(services, execution, "first")
        await until(lambda: services.health.journaling is not None and services.health.journaling.trouble)
        other = await services.executions.start(StartRequest(name="waits"))
        await finished(services, other)
        await until(
            lambda: b'"ExecutionEnded"' in b"".join(f.read_bytes() for f in folder.glob(f"*{other}.log"))
        )
        file.rmdir()
        aside.rename(file)
        await signal(services, execution, "second")
        await services.executions.ended(execution)

    await check_whole(file)


async def test_a_start_writes_what_a_kill_left_out_of_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "journal"
    async with open_services(tmp_path / "a.db", store=StoreSettings(journal=folder)) as services:
        execution, file = await begun(services, folder)
        early = file.read_bytes()
        await signal(services, execution, "first")
    file.write_bytes(early)  # as a power cut leaves it, before anything was synced

    async with open_services(tmp_path / "a.db", store=StoreSettings(journal=folder)) as services:
        await signal(services, execution, "second")
        await services.executions.ended(execution)

    await check_whole(file)


async def test_what_happens_while_an_engine_closes_is_in_its_files(tmp_path: Path) -> None:
    store = StoreSettings(journal=tmp_path / "journal", journal_must=True)
    async with (
        journal_files(store) as files,
        open_engine(tmp_path / "a.db", store=store, prepare=files.attach) as (engine, _),
    ):
        service = Service(engine)
        async with files.kept_up():
            execution = await service.start(StartRequest(definition=parse_workflow(WAITS)))
        await service.signal(execution, "first", {})
        await service.signal(execution, "second", {})
        await service.ended(execution)

    await check_whole(await file_of(execution, tmp_path / "journal"))


async def test_a_folder_is_listed_once_however_many_files_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import os  # noqa: PLC0415 - only to count calls of it

    folder, listed = tmp_path / "journal", []
    real = os.listdir
    monkeypatch.setattr(os, "listdir", lambda *given: (listed.append(given), real(*given))[1])  # type: ignore[func-returns-value]
    async with open_services(tmp_path / "a.db", store=StoreSettings(journal=folder)) as services:
        await begun(services, folder)
        for _ in range(20):
            await services.executions.start(StartRequest(name="waits"))
        await until(lambda: len(list(folder.iterdir())) == 21)
        counted = [given for given in listed if isinstance(given[0], int)]

    assert len(counted) == 1
