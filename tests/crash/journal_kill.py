"""Runs killed at random points, and what their journal files hold: `python -m tests.crash.journal_kill 1000`.

Four chains of tasks run side by side with a journal and no database. Each task says in a file of its own that
it has begun, which proves that the result before it was handed on. The process kills itself in the middle of
something; then every result that was handed on has to be in the journal file.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import asyncflow as af
from asyncflow.app.local import LocalOptions, open_local
from asyncflow.app.recovering import Journaled, read_file
from asyncflow.app.service import StartRequest
from asyncflow.errors import StoreError
from asyncflow.model.definition import parse_workflow
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.values import JsonObject

CHAINS, LENGTH = 4, 12
MOST_SPINS = 200_000


class Round(NamedTuple):
    """What came of one run: how many results had been handed on, and those of them that the file lacks."""

    begun: int
    handed_on: int
    lost: list[str]


def definition() -> JsonObject:
    """The chains, as branches of a fork; each task is given the result of the one before."""
    branches = [
        [
            {
                "name": "link",
                "taskReferenceName": f"c{chain}_{at}",
                "type": "SIMPLE",
                "inputParameters": {"ref": f"c{chain}_{at}", "of": f"${{c{chain}_{at - 1}.output.at}}"},
            }
            for at in range(LENGTH)
        ]
        for chain in range(CHAINS)
    ]
    last = [f"c{chain}_{LENGTH - 1}" for chain in range(CHAINS)]
    return {
        "name": "chains",
        "version": 1,
        "schemaVersion": 2,
        "tasks": [
            {"name": "fork", "taskReferenceName": "fork", "type": "FORK_JOIN", "forkTasks": branches},
            {"name": "join", "taskReferenceName": "join", "type": "JOIN", "joinOn": last},
        ],
    }


def _die(spins: int) -> None:
    for _ in range(spins):
        pass
    os.kill(os.getpid(), signal.SIGKILL)


async def _run(folder: Path, seed: int) -> None:
    """Run the chains, and die somewhere on the way."""
    dice = random.Random(seed)
    deadly, spins = dice.randrange(CHAINS * LENGTH), dice.randrange(MOST_SPINS)
    begun = os.open(folder / "begun", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    count = 0

    @af.task(retries=0)
    async def link(ref: str, of: object) -> dict[str, object]:
        nonlocal count
        os.write(begun, f"{ref}\n".encode())
        if count == deadly:
            threading.Thread(target=_die, args=(spins,), daemon=True).start()
        count += 1
        return {"at": ref, "of": of}

    options = LocalOptions(durability="normal", journal=folder / "journal")
    async with open_local(None, {"link": link}, options) as service:
        request = StartRequest(definition=parse_workflow(definition()), input={})
        await service.ended(await service.start(request))


def killed(folder: Path, seed: int) -> None:
    """One run in a process of its own, which kills itself or, seldom, is faster than that."""
    child = os.fork()
    if not child:
        try:
            asyncio.run(_run(folder, seed))
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def judged(folder: Path) -> Round:
    """What the file of a run lacks of what was handed on."""
    begun = (folder / "begun").read_text(encoding="ascii").split() if (folder / "begun").exists() else []
    handed_on = [before for ref in begun for before in _before(ref)]
    done: set[str] = set()
    for file in (folder / "journal").glob("*.log"):
        with suppress(StoreError):  # killed before anything but the head was in it
            done = _done(asyncio.run(read_file(file)))
    return Round(len(begun), len(handed_on), [ref for ref in handed_on if ref not in done])


def _before(ref: str) -> Iterator[str]:
    chain, at = ref.split("_")
    if int(at):
        yield f"{chain}_{int(at) - 1}"


def _done(found: Journaled) -> set[str]:
    return {task.ref for task in found.state.tasks.values() if task.status == COMPLETED}


def main(rounds: int, seed: int = 0) -> int:
    """Kill so many runs, tell what was lost."""
    handed_on = lost = 0
    for number in range(seed, seed + rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            killed(folder, number)
            found = judged(folder)
        handed_on += found.handed_on
        lost += len(found.lost)
        if found.lost:
            sys.stdout.write(f"seed {number}: lost {', '.join(found.lost)}\n")
    sys.stdout.write(f"{rounds} kills, {handed_on} results handed on, {lost} lost\n")
    return int(bool(lost))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
