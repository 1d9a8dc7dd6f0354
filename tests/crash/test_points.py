"""Law: there is no named point at which the suite kills nobody."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from asyncflow.runtime import points
from tests.crash.loads import LOADS

NAMED = {*points.EVERY_POINT}


def reached_in(source: Path) -> Iterator[str]:
    """What a module says it has come to."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "points.reach":
            yield str(getattr(points, ast.unparse(node.args[0]).removeprefix("points.")))


def test_every_point_is_listed_and_stands_somewhere(checkout: Path) -> None:
    reached = {each for path in (checkout / "asyncflow").rglob("*.py") for each in reached_in(path)}

    assert reached == NAMED


def test_every_point_is_one_where_a_chain_of_the_suite_is_killed() -> None:
    """That it was is asserted of each chain: `test_kill_loop` asks for all moments of its load."""
    assert {moment for load in LOADS.values() for moment in load.moments} >= NAMED
