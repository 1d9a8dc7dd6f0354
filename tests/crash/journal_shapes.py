"""Real workflows killed again and again: `python -m tests.crash.journal_shapes 10 FILE...`.

Every task of a HyperFlow or WfFormat file becomes a quick function; what depends on what stays. A run kills
itself at a random task, the next process takes its journal file up, and so on; then a last one runs it to its
end. Scenario 25 of HyperFlow's.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path

import asyncflow as af
from asyncflow.app.local import LocalOptions, open_local
from asyncflow.app.recovering import Journaled, put_in, read_file
from asyncflow.app.service import StartRequest
from asyncflow.convert.hyperflow import HyperflowOptions, import_hyperflow
from asyncflow.convert.wfformat import WfFormatOptions, import_wfformat
from asyncflow.model.definition import parse_workflow
from asyncflow.model.events import TaskEnded
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.values import JsonObject


def shape(file: Path) -> JsonObject:
    """The definition of a file, with a quick function for every task."""
    text = file.read_text(encoding="utf-8")
    document = json.loads(text) if file.name.startswith("wfformat") else None
    made = (
        import_hyperflow(text, HyperflowOptions(simulate=True))
        if document is None
        else import_wfformat(document, WfFormatOptions())
    )
    tasks = made["tasks"]
    assert isinstance(tasks, list)
    return {"name": "shape", "version": 1, "schemaVersion": 2, "tasks": [_quick(task) for task in tasks]}


def _quick(task: JsonObject) -> JsonObject:
    ref = task["taskReferenceName"]
    given: JsonObject = {"ref": ref}
    own = task.get("asyncflow")
    needs = own.get("dependsOn", []) if isinstance(own, dict) else []
    kept: JsonObject = {"dependsOn": needs}
    named: JsonObject = {"name": "quick", "taskReferenceName": ref, "type": "SIMPLE"}
    return {**named, "inputParameters": given, "asyncflow": kept}


async def _run(folder: Path, definition: JsonObject, deadly: int) -> None:
    """Begin, or go on from the file; die in the task of this number, counted in this process."""
    begun = 0

    @af.task(retries=0)
    async def quick(ref: str) -> dict[str, str]:
        nonlocal begun
        begun += 1
        if begun == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"ref": ref}

    options = LocalOptions(durability="normal", journal=folder)
    found = [await read_file(file) for file in _files(folder)]
    with tempfile.TemporaryDirectory() as passing:
        database = Path(passing) / "a.db"
        for each in found:
            await put_in(database, each)
        async with open_local(database, {"quick": quick}, options) as service:
            if found:
                identity = found[0].execution_id
            else:
                identity = await service.start(StartRequest(definition=parse_workflow(definition), input={}))
            await service.ended(identity)


def _files(folder: Path) -> list[Path]:
    return [*folder.glob("*.log")]


def in_child(folder: Path, definition: JsonObject, deadly: int) -> bool:
    """One process of a run; whether it came to its own end."""
    return in_child_of(_run(folder, definition, deadly))


def in_child_of(work: Coroutine[object, object, None]) -> bool:
    """Do it in a process of its own; whether that came to its own end."""
    child = os.fork()
    if not child:
        status = 1
        try:
            asyncio.run(work)
            status = 0
        finally:
            os._exit(status)
    work.close()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def judged(found: Journaled) -> list[str]:
    """What is wrong with a finished run."""
    ended = Counter(
        found.state.tasks[each.event.number].ref
        for each in found.streams[found.execution_id]
        if isinstance(each.event, TaskEnded) and each.event.status == COMPLETED
    )
    wanted = {node.ref for node in found.state.graph.nodes.values()}
    wrong = [f"{ref} ended {count} times" for ref, count in ended.items() if count != 1]
    wrong += [f"{ref} never ended" for ref in sorted(wanted - ended.keys())]
    return wrong if found.state.status == COMPLETED else [*wrong, f"it is {found.state.status}"]


def killed(file: Path, kills: int, seed: int) -> tuple[int, int, list[str]]:
    """How many tasks a workflow has, how often it was killed on its way, and what is wrong with it then."""
    dice, definition = random.Random(seed), shape(file)
    tasks = definition["tasks"]
    assert isinstance(tasks, list)
    died = 0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for _ in range(kills):
            died += not in_child(folder, definition, dice.randint(1, max(1, len(tasks) // (kills + 1))))
        if not in_child(folder, definition, 0):
            return len(tasks), died, ["the last process failed"]
        found = asyncio.run(read_file(_files(folder)[0]))
    return len(tasks), died, judged(found)


def main(kills: int, files: list[Path]) -> int:
    """Kill each workflow so often, and tell."""
    worst = 0
    for file in files:
        tasks, died, wrong = killed(file, kills, seed=len(file.name))
        said = "; ".join(wrong[:5]) or "all tasks done, each once"
        sys.stdout.write(f"{file.name}: {tasks} tasks, {died} kills: {said}\n")
        worst |= bool(wrong)
    return worst


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), [Path(each) for each in sys.argv[2:]]))
