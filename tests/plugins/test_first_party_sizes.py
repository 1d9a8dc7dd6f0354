"""Plugins that come with asyncflow stay small: what one has to read to trust one."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PLUGINS = sorted((Path(__file__).resolve().parents[2] / "plugins").glob("*/asyncflow_*"))
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def code_lines(path: Path) -> int:
    """Lines that are neither blank nor a comment nor a docstring."""
    text = path.read_text(encoding="utf-8")
    told: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node) is not None:
            told |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    lines = enumerate(text.splitlines(), 1)
    return sum(bool(line.strip()) and line.strip()[0] != "#" and n not in told for n, line in lines)


def test_there_are_plugins() -> None:
    assert len(PLUGINS) >= 3


@pytest.mark.parametrize("package", PLUGINS, ids=lambda path: path.name)
def test_plugin_is_under_400_lines_of_code(package: Path) -> None:
    counted = {path.name: code_lines(path) for path in package.glob("*.py") if path.name != "testing.py"}

    assert 0 < sum(counted.values()) < 400, counted
