"""A folder with the definitions that most tests of `run` start from, and a server for the others."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.making import DOUBLE, FAILING, FUNCTIONS, HELLO, write
from tests.cli.remote_calls import DOOMED, QUICK, STEPS, Shell
from tests.http.conftest import serving


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


@pytest.fixture
async def shell(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shell]:
    """The command line with a server in memory that has some definitions."""
    for name in ("ASYNCFLOW_API_KEY", "CONDUCTOR_AUTH_KEY", "CONDUCTOR_AUTH_SECRET"):
        monkeypatch.delenv(name, raising=False)
    async with serving() as server:
        made = Shell(server)
        await made.registered(STEPS, QUICK, DOOMED)
        yield made
