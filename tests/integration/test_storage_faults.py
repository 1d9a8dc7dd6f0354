"""Law: where nothing can be written nothing begins, who asks is told, and it goes on once there is room."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, nullcontext
from pathlib import Path

import pytest

from asyncflow.app.service import Service
from asyncflow.app.services import open_services
from asyncflow.errors import NotCommitted
from asyncflow.model.values import JsonObject
from asyncflow.runtime import commits
from asyncflow.store import maintenance, wal
from tests.http.conftest import Answer, Server, serving
from tests.integration.engine_support import waiting, workflow
from tests.integration.job_support import Bench, job
from tests.integration.waiting import until
from tests.store.faulty_disk import FULL, OK, FaultyDisk

FAR: JsonObject = {"name": "far", "taskReferenceName": "far", "type": "SIMPLE"}
AGAIN_S = 0.02


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[FaultyDisk]:
    with FaultyDisk(tmp_path).registered() as made:
        yield made


def fill(disk: FaultyDisk) -> None:
    """From here on there is no room for anything."""
    disk.refuse = lambda done: FULL if done.what == "write" else OK


def empty(disk: FaultyDisk) -> None:
    disk.refuse = lambda _: OK


@asynccontextmanager
async def server_on(path: Path) -> AsyncIterator[Server]:
    async with serving(database=path) as server:
        server.services.executions.engine.turns.commits._again_s = AGAIN_S
        yield server


async def start(server: Server, name: str, *tasks: JsonObject) -> Answer:
    return await server.post("/api/workflow", json={"name": name, "workflowDef": workflow(name, [*tasks])})


@pytest.mark.scenario("R64")
async def test_full_disk_is_told_reads_go_on_and_it_heals_by_itself(tmp_path: Path, disk: FaultyDisk) -> None:
    async with server_on(tmp_path / "a.db") as server:
        first = (await start(server, "first", waiting())).text
        other = (await start(server, "other", FAR)).text
        fill(disk)
        stuck = asyncio.ensure_future(server.put(f"/api/workflow/{first}/pause"))
        trouble = server.services.executions.engine.turns.commits
        await until(lambda: trouble.trouble)
        refused = [await start(server, "more", FAR), await server.get("/api/tasks/poll/far?workerid=w")]
        read = await server.get(f"/api/workflow/{other}")
        ready = await server.get("/ready")
        told = await stuck
        empty(disk)
        await until(lambda: not trouble.trouble)
        healed = await start(server, "more", FAR)

        assert [each.status for each in refused] == [503, 503]
        assert (told.status, "SQLITE_FULL" in told.text) == (503, True)
        assert (read.status, ready.status, healed.status) == (200, 503, 200)
        assert (await server.services.executions.get(first))["status"] == "PAUSED"
    assert commits.AGAIN_S <= 10
    assert await maintenance.check(tmp_path / "a.db") == []


async def test_reader_of_what_cannot_be_written_is_told_and_not_kept_waiting(
    tmp_path: Path, disk: FaultyDisk
) -> None:
    async with server_on(tmp_path / "a.db") as server:
        identity = (await start(server, "w", waiting())).text
        fill(disk)
        paused, read = await asyncio.gather(
            server.put(f"/api/workflow/{identity}/pause"), server.get(f"/api/workflow/{identity}")
        )
        empty(disk)
        trouble = server.services.executions.engine.turns.commits
        await until(lambda: not trouble.trouble)
        shown = await server.get(f"/api/workflow/{identity}/status")

    assert (paused.status, read.status) in [(503, 503), (503, 200)]
    assert isinstance(shown.json, dict)
    assert shown.json["status"] == "PAUSED"


def soon_again(service: Service) -> None:
    service.engine.turns.commits._again_s = AGAIN_S


@pytest.mark.scenario("R64", "R65")
@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("tier", ["token", "tag"])
async def test_handle_that_cannot_be_recorded_costs_no_second_job(
    tmp_path: Path, disk: FaultyDisk, tier: str, *, restarts: bool
) -> None:
    bench = Bench(tmp_path / "a.db", "token" if tier == "token" else "tag")
    disk.refuse = lambda done: FULL if done.what == "write" and bench.service.made else OK
    body = workflow("w", [job()])
    stop = pytest.raises(NotCommitted) if restarts else nullcontext()
    with stop:
        async with bench.engine() as service:
            soon_again(service)
            stream = await bench.start(service, body)
            ending = asyncio.ensure_future(bench.end(service, stream))
            await until(lambda: service.engine.turns.commits.trouble)
            if restarts:
                ending.cancel()
            else:
                empty(disk)
                await ending
    empty(disk)
    async with bench.engine() as service:
        ended = await bench.end(service, stream)

    assert ended.status == "COMPLETED"
    assert len(bench.service.made) == 1


@pytest.mark.scenario("R67")
async def test_lock_of_a_stranger_is_waited_for_then_told_and_then_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert wal._BUSY_MS >= 3_000  # so long a lock is held unnoticed
    monkeypatch.setattr(wal, "_BUSY_MS", 5)
    async with server_on(tmp_path / "a.db") as server:
        identity = (await start(server, "w", waiting())).text
        with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            locked = await server.put(f"/api/workflow/{identity}/pause")
            refused = await start(server, "more", waiting())
            read = await server.get("/api/workflow/search")
            stranger.execute("ROLLBACK")
        trouble = server.services.executions.engine.turns.commits
        await until(lambda: not trouble.trouble)
        shown = await server.get(f"/api/workflow/{identity}/status")

    assert (locked.status, refused.status) == (503, 503)
    assert read.status in {200, 503}
    assert isinstance(shown.json, dict)
    assert shown.json["status"] == "PAUSED"


def restore(backup: Path, path: Path) -> None:
    """Put a backup in the place of what was lost."""
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    shutil.copy(backup, path)


@pytest.mark.scenario("R70")
@pytest.mark.parametrize("tier", ["token", "tag"])
async def test_restored_backup_finds_every_job_that_went_on_without_it(tmp_path: Path, tier: str) -> None:
    path, kept = tmp_path / "a.db", tmp_path / "backup.db"
    bench = Bench(path, "token" if tier == "token" else "tag")
    bench.service.duration_s = 900
    body = workflow("w", [job(f"step{n}") for n in range(3)])
    async with bench.engine() as service:
        streams = [await bench.start(service, body) for _ in range(5)]
        await bench.clock.run(lambda: len(bench.service.made) == 3, seconds=600)
        await maintenance.backup(path, kept)
        await bench.clock.run(lambda: len(bench.service.made) == 9, seconds=3_600)
    restore(kept, path)
    async with bench.engine() as service:
        ends = [(await bench.end(service, stream)).status for stream in streams]

    assert ends == ["COMPLETED"] * 5
    assert len(bench.service.made) == 15
    assert len({made.token or made.mark for made in bench.service.made.values()}) == 15


@pytest.mark.parametrize(("free", "said"), [(21, []), (19, ["81% of the disk of the database are in use"])])
async def test_health_names_a_disk_that_fills_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, said: list[str]
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(total=100, used=100 - free, free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    for path, expected in ((tmp_path / "a.db", said), (":memory:", [])):
        async with open_services(path) as services:
            found = [each.message for each in services.health.findings() if each.name == "disk"]
            assert found == expected
