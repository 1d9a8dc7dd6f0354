"""A folder with the definitions that most tests of `run` start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.making import DOUBLE, FAILING, FUNCTIONS, HELLO, write


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of the test."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "hello.json", HELLO)
    write(tmp_path / "failing.json", FAILING)
    write(tmp_path / "double.json", DOUBLE)
    write(tmp_path / "any.json", {"*": {"output": {"done": True}}})
    (tmp_path / "functions.py").write_text(FUNCTIONS, encoding="utf-8")
    return tmp_path
