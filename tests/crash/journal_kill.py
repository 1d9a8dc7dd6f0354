"""Runs killed at random points, and what their journal files hold: `python -m tests.crash.journal_kill 1000`.

Four chains of tasks run side by side with a journal and no database. Each task says in a file of its own that
it has begun, which proves that the result before it was handed on. The process kills itself in the middle of
something; then every result that was handed on has to be in the journal file. A second process takes the file
up, does nothing of that again, and kills itself too, mostly in its first moments.
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
from asyncflow.app.recovering import put_in, read_file
from asyncflow.app.service import StartRequest
from asyncflow.errors import StoreError
from asyncflow.model.definition import parse_workflow
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.values import JsonObject
from tests.crash.journal_shapes import in_child_of

CHAINS, LENGTH = 4, 12
MOST_SPINS = 200_000


class Round(NamedTuple):
    """What came of one run: how many results had been handed on, and those of them that the file lacks.

    `again` are those that the file had and that were begun again.
    """

    handed_on: int
    lost: list[str]
    again: list[str]


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
    """Begin, or go on from the file, and die somewhere on the way."""
    dice, files = random.Random(seed), _files(folder)
    deadly, spins = dice.randrange(2 * CHAINS if files else CHAINS * LENGTH), dice.randrange(MOST_SPINS)
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

    for file in files:
        await put_in(folder / "a.db", await read_file(file))
    options = LocalOptions(durability="normal", journal=folder / "journal")
    async with open_local(folder / "a.db" if files else None, {"link": link}, options) as service:
        if files:
            identity = (await read_file(files[0])).execution_id
        else:
            request = StartRequest(definition=parse_workflow(definition()), input={})
            identity = await service.start(request)
        await service.ended(identity)


def _files(folder: Path) -> list[Path]:
    return [*(folder / "journal").glob("*.log")]


def killed(folder: Path, seed: int) -> Round:
    """One run in a process of its own, which kills itself or, seldom, is faster, and another that goes on."""
    in_child_of(_run(folder, seed))
    first, done = _begun(folder), _done(folder)
    if done is None:  # killed before anything but the head was in the file
        return _judged(first, set(), [])
    in_child_of(_run(folder, -seed - 1))
    return _judged(_begun(folder), _done(folder) or set(), [*done.intersection(_begun(folder)[len(first) :])])


def _begun(folder: Path) -> list[str]:
    file = folder / "begun"
    return file.read_text(encoding="ascii").split() if file.exists() else []


def _judged(begun: list[str], done: set[str], again: list[str]) -> Round:
    handed_on = {before for ref in begun for before in _before(ref)}
    return Round(len(handed_on), sorted(handed_on - done), again)


def _before(ref: str) -> Iterator[str]:
    chain, at = ref.split("_")
    if int(at):
        yield f"{chain}_{int(at) - 1}"


def _done(folder: Path) -> set[str] | None:
    """What the file has the results of; None if it has nothing."""
    for file in _files(folder):
        with suppress(StoreError):
            found = asyncio.run(read_file(file))
            return {task.ref for task in found.state.tasks.values() if task.status == COMPLETED}
    return None


def main(rounds: int, seed: int = 0) -> int:
    """Kill so many runs twice each, tell what was lost or done again."""
    handed_on = lost = again = 0
    for number in range(seed, seed + rounds):
        with tempfile.TemporaryDirectory() as name:
            found = killed(Path(name), number)
        handed_on += found.handed_on
        lost += len(found.lost)
        again += len(found.again)
        if found.lost or found.again:
            sys.stdout.write(f"seed {number}: lost {', '.join(found.lost)}; again {', '.join(found.again)}\n")
    sys.stdout.write(
        f"{rounds} runs killed twice, {handed_on} results handed on, {lost} lost, {again} done again\n"
    )
    return int(bool(lost or again))


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
