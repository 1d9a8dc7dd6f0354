"""Laws: what was acknowledged is there after SIGKILL, whole turns or none, and no half migration."""

# ruff: noqa: ASYNC240 - a test may wait for a small file
from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from asyncflow.errors import OutcomeUnknown
from asyncflow.store import maintenance, schema
from asyncflow.store.sqlite import SqliteReader, SqliteStore
from tests.store.making import entry, recorded, segment, sql, turn, turns

DEADLINE_S = 60

WRITER = """
import asyncio, sys
from asyncflow.store.sqlite import SqliteStore
from tests.store.making import segment, turn, views, execution

async def main(path):
    async with SqliteStore.open(path) as store:
        number = done = (await store.recover()).last_turn
        async for batch in store.read_turns(0, unsegmented=True):  # killed before their segment
            done = min([done, *(each.number - 1 for each in batch if each.entries)])
        while True:
            number += 1
            await store.append(turn(number))
            print(number, flush=True)
            if number % 10 == 0:
                await store.write_segments([segment(done + 1, number)])
                done = number
                await store.write_views(views(number, [execution(last_seq=number)]))
                await store.trim_turns(number - 5)

asyncio.run(main(sys.argv[1]))
"""

MIGRATOR = """
import os, signal, sqlite3, sys
from asyncflow.store import schema

db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.create_function("die", 0, lambda: os.kill(os.getpid(), signal.SIGKILL))
number = len(schema.migrations()) + 1
step = schema.Migration(number, "deadly", "CREATE TABLE extra (a);\\nINSERT INTO extra SELECT die();\\n")
schema.migrate(db, [*schema.migrations(), step])
"""

LIMITED = """
import asyncio, resource, signal, sys
from asyncflow.errors import OutcomeUnknown, StoreError
from asyncflow.store.sqlite import SqliteStore
from tests.store.making import entry, turn

async def main(path):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    async with SqliteStore.open(path) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
        number = 0
        while True:
            number += 1
            try:
                await store.append(turn(number, entry("s", number, "x" * 20_000)))
            except StoreError as error:
                print(error.code, flush=True)
                return
            print(number, flush=True)

asyncio.run(main(sys.argv[1]))
"""


def start(program: str, path: Path, checkout: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=checkout,
        env={**os.environ, "PYTHONPATH": str(checkout)},
    )


def kill_after(child: subprocess.Popen[str], lines: int) -> int:
    """Kill the child once it has said so many lines; the last number it managed to say."""
    assert child.stdout is not None
    said = [int(child.stdout.readline()) for _ in range(lines)]
    child.kill()
    rest = child.stdout.read()  # not `communicate`: it passes over what `readline` has read ahead
    child.stdout.close()
    child.wait(timeout=DEADLINE_S)
    return max(said + [int(line) for line in rest.split("\n")[:-1]])


async def test_acknowledged_turns_survive_kill_at_any_moment(tmp_path: Path, checkout: Path) -> None:
    path, last = tmp_path / "flow.db", 0
    for lines in (1, 7, 23, 60, 111):
        said = kill_after(start(WRITER, path, checkout), lines)
        async with SqliteStore.open(path) as store:
            found = (await store.recover()).last_turn

            assert said <= found <= said + 1
            assert found > last
            assert not (await store.facts()).was_clean
            assert await store.read_stream("s") == recorded(1, found)
            assert (await store.projected_turn()) <= found
        sql(path, "UPDATE installation SET clean = 0")
        last = found
    assert await maintenance.check(path) == []


async def test_reader_follows_a_writer_in_another_process(tmp_path: Path, checkout: Path) -> None:
    path = tmp_path / "flow.db"
    child = start(WRITER, path, checkout)
    assert child.stdout is not None
    try:
        assert child.stdout.readline()
        async with SqliteReader.open(path) as reader:
            seen = 0
            while seen < 100:
                said = int(child.stdout.readline())
                events = await reader.read_stream("s")
                assert events == recorded(1, len(events))
                assert len(events) >= said
                seen = len(events)
    finally:
        child.kill()
        child.communicate(timeout=DEADLINE_S)
    async with SqliteReader.open(path) as reader:  # and while nobody writes, with the log left behind
        assert len(await reader.read_stream("s")) >= seen
        assert (await reader.list_executions())[0].execution_id == "e1"


async def test_killed_migration_is_not_begun(tmp_path: Path, checkout: Path) -> None:
    path = tmp_path / "flow.db"
    async with SqliteStore.open(path) as store:
        await store.append(turn(1))
    child = start(MIGRATOR, path, checkout)
    child.communicate(timeout=DEADLINE_S)

    assert child.returncode == -signal.SIGKILL
    assert sql(path, "SELECT name FROM sqlite_master WHERE name = 'extra'") == []
    assert sql(path, "PRAGMA user_version") == [(len(schema.migrations()),)]
    async with SqliteStore.open(path) as store:
        assert await turns(store) == [turn(1)]


async def test_failed_write_stops_and_keeps_what_was_acknowledged(tmp_path: Path, checkout: Path) -> None:
    path = tmp_path / "flow.db"
    child = start(LIMITED, path, checkout)
    out, _ = child.communicate(timeout=DEADLINE_S)
    *said, code = out.split()

    assert child.returncode == 0
    assert said
    assert code in (OutcomeUnknown.code, "storage_full")
    async with SqliteStore.open(path) as store:
        written = [turn(number, entry("s", number, "x" * 20_000)) for number in range(1, len(said) + 2)]
        assert await turns(store) in (written[:-1], written)


@pytest.mark.scenario("R68")
@pytest.mark.parametrize("cut", range(0, 4200, 517))
async def test_torn_log_ends_at_a_whole_turn(tmp_path: Path, checkout: Path, cut: int) -> None:
    """The log of a killed writer, cut short: what is left is a gap-free beginning (R68)."""
    path = tmp_path / "flow.db"
    said = kill_after(start(WRITER, path, checkout), 9)
    log = Path(f"{path}-wal")
    log.write_bytes(log.read_bytes()[: log.stat().st_size - cut])
    async with SqliteStore.open(path) as store:
        found = (await store.recover()).last_turn

        assert await store.read_stream("s") == recorded(1, found)
        assert found <= said + 1
        await store.append(turn(found + 1))
        if found < 10:
            await store.write_segments([segment(1, found + 1)])
