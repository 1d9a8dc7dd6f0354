"""All endpoints with the tests that name them: `python -m tests.http.endpoint_table > docs/rest.md`.

It is made of the routes and of the marks of tests, so that neither can be forgotten; that the page is the
newest in all that matters is held by `test_endpoint_table`.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from asyncflow.http.routing import Route
from asyncflow.http.tables import all_routes, all_subjects

HEAD = """# The REST surface

Every endpoint, the role that it needs where keys are configured, and a test that shows it. What each
takes and answers is in the OpenAPI document that the server serves at `/api-docs`; how it is served is in
[serving](serving.md). The page is made by `python -m tests.http.endpoint_table`.
"""

FOLDER = Path(__file__).resolve().parent


def named_tests() -> dict[str, list[str]]:
    """`METHOD /path` to the tests that name it in order: `file::test`, or the file where all of it does."""
    found: dict[str, list[str]] = {}
    for path in sorted(FOLDER.glob("test_*.py")):
        for route, test in _named(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(route, []).append(f"{path.name}::{test}" if test else path.name)
    return found


def _named(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Each route with a test that is marked with it, "" for all tests of the module."""
    known = {
        ast.unparse(target): each.value
        for each in tree.body
        if isinstance(each, ast.Assign)
        for target in each.targets
    }
    if "pytestmark" in known:
        yield from ((route, "") for route in _routes(known["pytestmark"], known))
    for function in tree.body:
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for decorator in function.decorator_list:
                yield from ((route, function.name) for route in _routes(decorator, known))


def _routes(marks: ast.expr, known: Mapping[str, ast.expr]) -> Iterator[str]:
    """The routes that an expression marks with, also by names of the module."""
    for node in ast.walk(marks):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.route":
            (argument,) = node.args
            yield str(ast.literal_eval(argument))
        elif isinstance(node, ast.Name) and node.id in known:
            yield from _routes(known[node.id], known)


def table() -> str:
    """The page."""
    tests = named_tests()
    parts = [HEAD]
    subjects: dict[str, list[Route]] = {}
    for routes in all_subjects():
        subjects.setdefault(routes.tag, []).extend(routes)
    for tag, listed in subjects.items():
        parts.append(f"\n## {tag}\n\n| method | path | role | shown by |\n| --- | --- | --- | --- |\n")
        parts += [_row(route, tests) for route in listed]
    parts.append(f"\n{len(all_routes())} endpoints.\n")
    return "".join(parts)


def _row(route: Route, tests: dict[str, list[str]]) -> str:
    """One line; of its tests the first, as a page of all would be out of date with every new one."""
    named = tests.get(f"{route.method} {route.path}", [""])[0]
    return f"| {route.method} | `{route.path}` | {route.role.name.lower()} | `{named}` |\n"


if __name__ == "__main__":
    sys.stdout.write(table())
