"""A new package of a plugin: its tests pass at once, and it is found when it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asyncflow.errors import Conflict, InvalidInput
from asyncflow.plugins.registry import Kind
from asyncflow.plugins.scaffold import write_package


def run(arguments: list[str], folder: Path, *paths: Path) -> subprocess.CompletedProcess[str]:
    """A Python of its own in this folder, which finds asyncflow and these folders."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (Path.cwd(), *paths)))}
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("kind", ["resource", "task", "listener"])
def test_the_tests_of_a_new_package_pass(kind: Kind, tmp_path: Path) -> None:
    write_package("label-printer", kind, tmp_path)

    done = run(["-m", "pytest", "-q", "-p", "no:cacheprovider"], tmp_path / "asyncflow-label-printer")

    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize(
    ("kind", "suite"),
    [
        ("resource", "ResourceManagerContract"),
        ("task", "TaskTypeContract"),
        ("listener", "ListenerContract"),
    ],
)
def test_a_package_has_the_contract_tests_of_its_kind(kind: Kind, suite: str, tmp_path: Path) -> None:
    files = write_package("emr", kind, tmp_path)

    (test,) = (each for each in files if each.parent.name == "tests")
    assert f"class TestContract({suite})" in test.read_text()


@pytest.mark.parametrize("name", ["", "Printer", "a--b", "-a", "a_b", "9a", "../up", "x" * 51])
def test_a_name_that_cannot_be_a_package_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="name: small letters"):
        write_package(name, "task", tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "asyncflow-printer").mkdir()

    with pytest.raises(Conflict, match="exists already"):
        write_package("printer", "task", tmp_path)
