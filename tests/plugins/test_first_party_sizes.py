"""Managers that come with asyncflow stay small: what one has to read to trust one."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = sorted((ROOT / "plugins").glob("*/asyncflow_*"))
NO_MANAGER = {"testing.py", "listener.py"}
"""What stands beside a manager and is none of it: help for tests, and a plugin of another kind."""


def test_there_are_plugins() -> None:
    assert len(PLUGINS) >= 4


@pytest.mark.parametrize("package", PLUGINS, ids=lambda path: path.name)
def test_manager_is_under_400_lines_whatever_they_hold(package: Path) -> None:
    files = [path for path in package.rglob("*.py") if path.name not in NO_MANAGER]
    counted = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in files}

    assert 0 < sum(counted.values()) < 400, counted
