"""That a plugin holds up the loop is found by `plugin check`, also where its package has no contract test."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncflow.plugins.registry import Kind
from asyncflow.plugins.scaffold import write_package
from tests.plugins.test_scaffold import run

HOLD = "sum(range(40_000_000))"
PLACES: dict[Kind, str] = {
    "task": "        ctx.log(",
    "listener": "        assert isinstance(self.config, Settings)",
}
PLAIN = "def test_nothing() -> None:\n    assert True\n"


def checked(folder: Path) -> dict[str, dict[str, str]]:
    """What the check says, by subject."""
    done = run(["-m", "asyncflow", "plugin", "check", ".", "-o", "json"], folder)
    return {row["subject"] + row["level"]: row for row in json.loads(done.stdout)}


def package(kind: Kind, folder: Path, *, slow: bool) -> Path:
    """A package whose tests do not know the contract."""
    write_package("probe", kind, folder)
    top = folder / "asyncflow-probe"
    (top / "tests" / "test_probe.py").write_text(PLAIN, encoding="utf-8")
    module = top / "src" / "asyncflow_probe" / "__init__.py"
    text = module.read_text(encoding="utf-8")
    place = PLACES[kind]
    assert place in text
    if slow:
        module.write_text(text.replace(place, f"        {HOLD}\n{place}"), encoding="utf-8")
    return top


@pytest.mark.parametrize("kind", ["task", "listener"])
def test_one_that_computes_on_the_loop_is_found_without_tests_of_its_own(kind: Kind, tmp_path: Path) -> None:
    told = checked(package(kind, tmp_path, slow=True))

    assert "was held up for" in told["looperror"]["message"]
    assert "none inherits asyncflow.testing." in told["testswarning"]["message"]


@pytest.mark.parametrize("kind", ["task", "listener"])
def test_one_that_does_not_is_measured_too(kind: Kind, tmp_path: Path) -> None:
    told = checked(package(kind, tmp_path, slow=False))

    assert "looperror" not in told
    assert "at most" in told["loopok"]["message"]


def test_a_manager_that_needs_settings_is_said_to_be_unmeasured_or_measured(tmp_path: Path) -> None:
    write_package("probe", "resource", tmp_path)
    top = tmp_path / "asyncflow-probe"
    next((top / "tests").glob("test_*.py")).write_text(PLAIN, encoding="utf-8")

    told = checked(top)

    assert {"loopok", "loopwarning"} & set(told)
    assert "looperror" not in told


@pytest.mark.parametrize("kind", ["task", "listener"])
def test_the_suite_finds_what_holds_up_the_loop(kind: Kind, tmp_path: Path) -> None:
    write_package("probe", kind, tmp_path)
    top = tmp_path / "asyncflow-probe"
    module = top / "src" / "asyncflow_probe" / "__init__.py"
    text = module.read_text(encoding="utf-8")
    module.write_text(text.replace(PLACES[kind], f"        {HOLD}\n{PLACES[kind]}"), encoding="utf-8")

    told = checked(top)

    assert "test_loop_is_never_held_up" in told["testserror"]["message"]
