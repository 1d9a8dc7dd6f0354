"""A stand-in for the programs of Montage and other traced workflows: files in, files out.

It does no astronomy. `run` refuses to work while an input is missing, then writes every output
with a digest of the program's name and of all inputs, so a task that ran too early, twice on
other data, or not at all shows in the bytes of the last file. `prepare` makes the files that a
workflow expects to find. How to use both is in the README beside this file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

MISSING_INPUT = 2
"""Exit status of `run` when an input is not there."""


def run(program: str, inputs: Sequence[str], outputs: Sequence[str], *, folder: Path) -> int:
    """Write the outputs from the inputs; returns the exit status."""
    missing = [name for name in inputs if not (folder / name).is_file()]
    if missing:
        print(f"{program}: missing: {', '.join(missing)}", file=sys.stderr)
        return MISSING_INPUT
    digest = hashlib.sha256(program.encode())
    for name in inputs:
        digest.update(name.encode() + b"\0" + (folder / name).read_bytes())
    for name in outputs:
        write(folder / name, f"{name} {digest.hexdigest()}\n".encode())
    return 0


def prepare(definition: Path, *, folder: Path) -> list[str]:
    """Make the files that tasks read and none writes; returns their names."""
    tasks = json.loads(definition.read_text())["tasks"]
    written = {name for task in tasks for name in files_of(task, "outputFiles")}
    wanted = sorted({name for task in tasks for name in files_of(task, "inputFiles")} - written)
    for name in wanted:
        write(folder / name, f"{name}\n".encode())
    return wanted


def files_of(task: dict[str, dict[str, Iterable[str]]], side: str) -> Iterable[str]:
    """The names of the files that an imported task reads or writes."""
    return task.get("metadata", {}).get(side, ())


def write(path: Path, content: bytes) -> None:
    """Put a whole file in place at once: a killed task leaves no half-written output behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    draft.write_bytes(content)
    draft.replace(path)


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and do what it asks; returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path(), help="where the files are (default: here)")
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="check the inputs, write the outputs")
    running.add_argument("--program", required=True, help="the program this run stands in for")
    running.add_argument("--inputs", nargs="*", default=[])
    running.add_argument("--outputs", nargs="*", default=[])
    preparing = commands.add_parser("prepare", help="make the files an imported definition starts from")
    preparing.add_argument("definition", type=Path)
    given = parser.parse_args(arguments)
    if given.command == "run":
        return run(given.program, given.inputs, given.outputs, folder=given.folder)
    print(f"{len(prepare(given.definition, folder=given.folder))} files are in place")
    return 0


if __name__ == "__main__":
    sys.exit(main())
