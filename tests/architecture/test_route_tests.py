"""Every route is shown by a test that names it, and no test names a route that is not there."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from asyncflow.http.tables import all_routes
from tests.architecture.sources import sources


def named_routes() -> Iterator[tuple[str, str]]:
    """Every `pytest.mark.route("METHOD /path")` below tests/http, with the file that has it."""
    for source in sources("tests/http"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.route":
                (argument,) = node.args
                assert isinstance(argument, ast.Constant), f"{source.path}: a route is named by a literal"
                yield str(argument.value), str(source.path)


def test_every_route_has_a_test() -> None:
    tested = {route for route, _ in named_routes()}

    assert sorted({f"{route.method} {route.path}" for route in all_routes()} - tested) == []


def test_tests_name_routes_that_exist() -> None:
    known = {f"{route.method} {route.path}" for route in all_routes()}

    assert sorted(f"{path}: {route}" for route, path in named_routes() if route not in known) == []
