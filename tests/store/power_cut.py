"""Power cut at every point of a log of writes: what was acknowledged is there, and the file is whole.

The log is what SQLite wrote and synced (`faulty_disk`). After a cut a file holds all that was synced, and of
what was written since anything: nothing, everything, or any part of it. `python -m tests.store.power_cut`
tries every point; the suite some of them.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asyncflow.errors import StoreError
from asyncflow.store.records import StoreSettings
from asyncflow.store.sqlite import SqliteStore
from tests.store.faulty_disk import Done, FaultyDisk
from tests.store.making import execution, recorded, segment, turn, views

NAME = "flow.db"


async def record(folder: Path, turns: int) -> list[Done]:
    """The log of a store at work: turns, views, segments, trims, and a checkpoint every few turns."""
    disk, done = FaultyDisk(folder), 0
    with disk.registered():
        async with SqliteStore.open(folder / NAME, settings=StoreSettings(wal_limit=60_000)) as store:
            for number in range(1, turns + 1):
                await store.append(turn(number))
                disk.mark(str(number))
                if number % 5 == 0:
                    await store.write_segments([segment(done + 1, number)])
                    done = number
                    await store.write_views(views(number, [execution(last_seq=number)]))
                if number % 10 == 0:
                    await store.trim_turns(number - 3)
    return disk.log


@dataclass
class _File:
    """What is on the disk of one file for certain, and what was written since."""

    synced: bytearray = field(default_factory=bytearray)
    since: list[Done] = field(default_factory=list)

    def sync(self) -> None:
        for done in self.since:
            _apply(self.synced, done)
        self.since = []


def _apply(content: bytearray, done: Done) -> None:
    if done.what == "truncate":
        del content[done.offset :]
    else:
        content.extend(bytes(max(0, done.offset - len(content))))
        content[done.offset : done.offset + len(done.data)] = done.data


@dataclass(frozen=True)
class Cut:
    """What a disk holds after a cut behind so many steps of the log, and what was acknowledged by then."""

    at: int
    kept: str
    files: dict[str, bytes]
    acknowledged: int


def cuts(log: Sequence[Done], every: int, rng: random.Random) -> Iterator[Cut]:
    """Cuts behind every so many steps: none, all, or some of what was not synced is there."""
    files: dict[str, _File] = {}
    acknowledged = 0
    for at, done in enumerate(log):
        if done.what == "mark":
            acknowledged = int(done.name)
        elif done.what == "delete":
            files.pop(done.name, None)
        elif done.what == "sync":
            files.setdefault(done.name, _File()).sync()
        else:
            files.setdefault(done.name, _File()).since.append(done)
        if acknowledged and at % every == 0:
            for kept in ("none", "all", "some"):
                found = {name: bytes(_content(file, kept, rng)) for name, file in files.items()}
                yield Cut(at, kept, found, acknowledged)


def _content(file: _File, kept: str, rng: random.Random) -> bytearray:
    content = bytearray(file.synced)
    for done in file.since:
        if kept == "all" or (kept == "some" and rng.random() < 0.5):
            _apply(content, _torn(done, rng) if kept == "some" else done)
    return content


def _torn(done: Done, rng: random.Random) -> Done:
    """Some of its sectors of 512 bytes, from the first on."""
    return done._replace(data=done.data[: 512 * rng.randint(0, len(done.data) // 512 + 1)])


async def judge(cut: Cut, folder: Path) -> str:
    """What is wrong with a disk after a cut; empty if nothing is."""
    for name, content in cut.files.items():
        (folder / Path(name).name).write_bytes(content)
    try:
        async with SqliteStore.open(folder / NAME) as store:
            last = (await store.recover()).last_turn
            history = await store.read_stream("s")
            faults = await store.find_faults()
    except StoreError as error:
        return str(error)
    if last < cut.acknowledged:
        return f"turn {cut.acknowledged} was acknowledged, {last} is the last there is"
    if history != recorded(1, last):
        return f"the history is not that of {last} turns"
    return "; ".join(faults)


async def run(turns: int, every: int, seed: int) -> tuple[int, list[str]]:
    """How many cuts were tried, and what was wrong after them."""
    with tempfile.TemporaryDirectory() as root:
        log = await record(_folder(root, "log"), turns)
        return await judge_all(cuts(log, every, random.Random(seed)), root)


async def judge_all(found: Iterable[Cut], root: str | Path) -> tuple[int, list[str]]:
    """How many cuts these were, and what was wrong after them."""
    count, wrong = 0, []
    for count, cut in enumerate(found, start=1):  # noqa: B007 - it is the result
        fault = await judge(cut, _folder(root, f"{cut.at}-{cut.kept}"))
        if fault:
            wrong.append(f"behind step {cut.at}, {cut.kept} of what was not synced: {fault}")
    return count, wrong


async def torn(folder: Path, turns: int, every: int) -> tuple[int, list[str]]:
    """The log cut short at every so many bytes of its last record: how many cuts, and what was wrong."""
    files: dict[str, bytes] = {}
    ends: list[int] = []
    async with SqliteStore.open(folder / NAME) as store:
        log = folder / f"{NAME}-wal"
        for number in range(1, turns + 1):
            await store.append(turn(number))
            ends.append(log.stat().st_size)
        files = {NAME: (folder / NAME).read_bytes(), log.name: log.read_bytes()}
    found = [
        Cut(
            size,
            "torn",
            {**files, log.name: files[log.name][:size]},
            turns if size == ends[-1] else turns - 1,
        )
        for size in range(ends[-2], ends[-1] + 1, every)
    ]
    wrong = (await judge_all(found, folder))[1]
    return len(found), wrong


def _folder(root: str | Path, name: str) -> Path:
    made = Path(root) / name
    made.mkdir()
    return made


def main() -> None:
    """Try them and say what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=40)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--torn", action="store_true", help="tear the last record instead, at every byte")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        tried = torn(Path(root), given.turns, given.every) if given.torn else None
        count, wrong = asyncio.run(tried or run(given.turns, given.every, given.seed))
    sys.stdout.write("\n".join([*wrong, f"{count} cuts, {len(wrong)} with something wrong\n"]))


if __name__ == "__main__":
    main()
