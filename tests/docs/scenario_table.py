"""Which test shows which scenario: `python -m tests.docs.scenario_table > docs/reliability.md`.

A test says so by the mark `scenario`, by its name (`test_r88_…`) or in its docstring; there is no other list.
That every scenario has a test or a reason, and every test that is named is there, holds `test_scenarios`.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.docs.scenario_names import GROUPS, NOT_HERE, SMALLER

CHECKOUT = Path(__file__).resolve().parents[2]
HEAD = """# Reliability: what is tested

Each scenario of the reliability reference that the project was given, and the tests that show it. All of them
are of the ordinary suite, so what is named here passes in every change; a word behind a test says where it
shows less than was asked, or where a command shows more. The page is made by
`python -m tests.docs.scenario_table`. How the engine comes through is told in [crash](crash.md).
"""
MOST = 4
"""Tests named for one scenario; others are counted."""

_NAMED = re.compile(r"(?:^test|(?<=\d))_r(\d{1,3})(?=_)")
_TOLD = re.compile(r"\bR(\d{1,3})\b(?: to R(\d{1,3})\b)?")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def shown_by() -> dict[str, list[str]]:
    """The node ids of the tests of each scenario, in order of their files; those of a mark come first."""
    marked: dict[str, list[str]] = {}
    told: dict[str, list[str]] = {}
    for path in sorted([*CHECKOUT.glob("tests/**/test_*.py"), *CHECKOUT.glob("plugins/*/tests/test_*.py")]):
        file = path.relative_to(CHECKOUT).as_posix()
        for name, function in _tests(ast.parse(path.read_text(encoding="utf-8"))):
            for number in _marks(function):
                marked.setdefault(number, []).append(f"{file}::{name}")
            for number in _words(function):
                told.setdefault(number, []).append(f"{file}::{name}")
    return {
        number: [*dict.fromkeys([*marked.get(number, ()), *told.get(number, ())])]
        for number in {*marked, *told}
    }


def _tests(tree: ast.Module) -> Iterator[tuple[str, Function]]:
    for node in tree.body:
        if isinstance(node, Function) and node.name.startswith("test_"):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            for inner in node.body:
                if isinstance(inner, Function) and inner.name.startswith("test_"):
                    yield f"{node.name}::{inner.name}", inner


def _marks(function: Function) -> Iterator[str]:
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.scenario":
            yield from (str(ast.literal_eval(argument)) for argument in decorator.args)


def _words(function: Function) -> Iterator[str]:
    yield from (f"R{number}" for number in _NAMED.findall(function.name))
    for first, last in _TOLD.findall(ast.get_docstring(function) or ""):
        yield from (f"R{number}" for number in range(int(first), int(last or first) + 1))


def page(found: Mapping[str, Sequence[str]]) -> str:
    """The whole page."""
    parts = [HEAD]
    for group, scenarios in GROUPS.items():
        parts.append(f"\n## {group}\n\n| | scenario | shown by |\n| --- | --- | --- |\n")
        parts += [f"| {number} | {what} | {_cell(number, found)} |\n" for number, what in scenarios.items()]
    return "".join(parts)


def _cell(number: str, found: Mapping[str, Sequence[str]]) -> str:
    tests = found.get(number, ())
    if not tests:
        return f"not here: {NOT_HERE.get(number, 'no test yet.')}"
    named = [f"`{test}`" for test in tests[:MOST]]
    if len(tests) > MOST:
        named.append(f"and {len(tests) - MOST} more")
    if number in SMALLER:
        named.append(SMALLER[number])
    return "<br>".join(named)


if __name__ == "__main__":
    sys.stdout.write(page(shown_by()))
