"""The promises of the repository itself: README commands, pins, and nothing of one machine in a file."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

COMMANDS = re.compile(r"^python3 -m venv .*$", re.MULTILINE)
# Written so that this file does not match itself.
INDEX = re.compile(r"--(extra-)?index-ur[l]|--find-link[s]|pythonhosted\.or[g]|/simpl[e]/?[\"'\s]")
MACHINE = re.compile(r"(?:^|[\s\"'=(`])/(?:roo[t]|hom[e]|wor[k]|User[s]|tmp/a[f])/")
PIN = re.compile(r"[a-z0-9-]+==[0-9][A-Za-z0-9.]*( ; .*)?")


def tracked(checkout: Path) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=checkout, capture_output=True, check=True)
    return [checkout / name for name in listed.stdout.decode().split("\0") if name]


def test_ci_executes_the_readme_commands(checkout: Path) -> None:
    promised = COMMANDS.findall((checkout / "README.md").read_text(encoding="utf-8"))
    executed = {line.strip() for line in (checkout / ".ci" / "run").read_text(encoding="utf-8").splitlines()}

    assert len(promised) == 2
    assert [command for command in promised if command not in executed] == []


def test_ci_script_can_be_executed(checkout: Path) -> None:
    assert (checkout / ".ci" / "run").stat().st_mode & 0o111


def test_constraints_pin_and_name_no_index(checkout: Path) -> None:
    lines = (checkout / "constraints.txt").read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if not PIN.fullmatch(line)] == []


def test_constraints_cover_every_dependency(checkout: Path) -> None:
    project = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [
        *project["dependencies"],
        *(r for extra in project["optional-dependencies"].values() for r in extra),
    ]
    names = {re.split(r"[<>=!~;\[ ]", requirement)[0].lower() for requirement in asked}
    pinned = {line.split("==")[0] for line in (checkout / "constraints.txt").read_text().splitlines()}

    assert names - pinned == set()


def test_files_name_no_index_and_no_machine(checkout: Path) -> None:
    found = [
        f"{file.relative_to(checkout)}:{number}: {line.strip()[:100]}"
        for file in tracked(checkout)
        if file.is_file() and b"\0" not in (content := file.read_bytes())
        for number, line in enumerate(content.decode("utf-8").splitlines(), 1)
        if INDEX.search(line) or MACHINE.search(line)
    ]

    # The Makefile tells the tool that makes constraints.txt to leave the index out.
    assert [place for place in found if not place.startswith("Makefile:")] == []


def test_wheel_takes_the_package_only(checkout: Path) -> None:
    """That the installed files are these, and `py.typed` is among them, is looked at by .ci/run."""
    build = tomllib.loads((checkout / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["hatch"]["build"]

    assert build["targets"]["wheel"]["packages"] == ["asyncflow"]
    assert (checkout / "asyncflow" / "py.typed").is_file()
