"""The Montage example: every command of the real files runs, in order, on files that are there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from asyncflow.convert.hyperflow import HyperflowOptions, import_hyperflow
from asyncflow.convert.tasks import parse_executable_map
from asyncflow.convert.wfformat import WfFormatOptions, import_wfformat
from examples.montage import montage_tool
from tests.convert.emitted import inputs_of, tasks_of

TOOL = Path(montage_tool.__file__)
MAP = parse_executable_map(["*=tool run --program {program} --inputs {inputs} --outputs {outputs}"])

HYPERFLOW, WFFORMAT = "hyperflow-montage143.json", "wfformat-montage-2mass-015d.json"


def montage(data_dir: Path, file: str) -> dict[str, object]:
    text = (data_dir / "workflows" / file).read_text()
    if file == HYPERFLOW:
        return import_hyperflow(text, HyperflowOptions(execute=True, executables=MAP))
    return import_wfformat(json.loads(text), WfFormatOptions(execute=True, executables=MAP))


def play(definition: dict[str, object], folder: Path) -> list[int]:
    """Prepare the folder and call the tool for every task, in order; gives the exit statuses."""
    (folder / "definition.json").write_text(json.dumps(definition))
    montage_tool.prepare(folder / "definition.json", folder=folder)
    statuses = []
    for task in tasks_of(definition).values():
        arguments = inputs_of(task)["args"]
        assert isinstance(arguments, list)
        statuses.append(montage_tool.main(["--folder", str(folder), *arguments]))
    return statuses


@pytest.mark.parametrize(
    ("file", "count", "last"),
    [(HYPERFLOW, 143, "shrunken_20130212_013030_8881.jpg"), (WFFORMAT, 310, "mosaic-color.png")],
)
def test_every_command_finds_its_inputs(
    data_dir: Path, tmp_path: Path, file: str, count: int, last: str
) -> None:
    definition = montage(data_dir, file)

    assert play(definition, tmp_path) == [0] * count
    assert (tmp_path / last).is_file()


def test_last_file_depends_on_the_first(data_dir: Path, tmp_path: Path) -> None:
    definition = montage(data_dir, HYPERFLOW)
    last = "shrunken_20130212_013030_8881.jpg"
    contents: list[str] = []
    for program in ("mProjectPP", "mProjectPP", "other"):
        folder = tmp_path / str(len(contents))
        folder.mkdir()
        changed = json.loads(json.dumps(definition))
        changed["tasks"][0]["inputParameters"]["args"][2] = program
        play(changed, folder)
        contents.append((folder / last).read_text())

    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


def test_missing_input_stops_the_tool(tmp_path: Path) -> None:
    command = [sys.executable, str(TOOL), "run", "--program", "p", "--inputs", "a", "b", "--outputs", "c"]
    (tmp_path / "a").write_text("a")

    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert ended.returncode == montage_tool.MISSING_INPUT
    assert ended.stderr == "p: missing: b\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]


def test_tool_runs_as_a_program(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a")
    command = [sys.executable, str(TOOL), "run", "--program", "p", "--inputs", "a", "--outputs", "sub/c"]

    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "sub" / "c").read_text().startswith("sub/c ")
