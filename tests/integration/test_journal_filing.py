"""What is written while a journal file is being made durable is made durable the next time."""

from __future__ import annotations

import asyncio
import errno
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from asyncflow.app.build import open_engine
from asyncflow.app.journal_filing import Entry, JournalFiling
from asyncflow.app.service import Service, StartRequest
from asyncflow.model.definition import parse_workflow
from asyncflow.store.journal_folder import JournalFolder
from tests.integration.engine_support import waiting, workflow

WAITS = workflow("waits", [waiting("first")])


class HeldFolder(JournalFolder):
    """A folder whose syncs wait while it is held, and fail once if told."""

    def prepare(self) -> None:
        self.gate, self.arrived = threading.Event(), threading.Event()
        self.synced: list[str] = []
        self.fails = False

    def sync(self, name: str) -> None:
        self.arrived.set()
        self.gate.wait()
        if self.fails:
            self.fails = False
            raise OSError(errno.EIO, "Input/output error")
        super().sync(name)
        self.synced.append(name)


@asynccontextmanager
async def written(path: Path) -> AsyncIterator[tuple[JournalFiling, HeldFolder, Entry]]:
    """The file of an execution with its first event, and what is to follow."""
    folder = HeldFolder(path / "journal")
    folder.prepare()
    async with open_engine(path / "a.db") as (engine, store):
        execution = await Service(engine).start(StartRequest(definition=parse_workflow(WAITS)))
        events = [each async for page in store.read_events(execution) for each in page]
        filing = JournalFiling(engine, store, folder, at_once=True)
        await filing.write(execution, [Entry(1, execution, events[:1])])
        yield filing, folder, Entry(1, execution, events[1:])
    folder.close()


async def test_what_is_written_during_a_sync_is_synced_the_next_time(tmp_path: Path) -> None:
    async with written(tmp_path) as (filing, folder, more):
        async with asyncio.TaskGroup() as group:
            group.create_task(filing.sync())
            await asyncio.to_thread(folder.arrived.wait)
            await filing.write(more.stream, [more])
            folder.gate.set()
        await filing.sync()
        await filing.sync()

    assert len(folder.synced) == 2


async def test_a_sync_that_failed_is_made_up_for(tmp_path: Path) -> None:
    async with written(tmp_path) as (filing, folder, _):
        folder.gate.set()
        folder.fails = True
        with pytest.raises(OSError, match="Input/output error"):
            await filing.sync()
        await filing.sync()

    assert len(folder.synced) == 1
