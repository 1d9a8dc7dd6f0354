"""The measures the code is held to: sizes, docstrings, import rings, waiting on the wall clock."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter

from tests.architecture.sources import code_lines, functions, imported, public_definitions, sources

FILE_LINES = 400
FUNCTION_LINES = 60
CLASS_LINES = 250
DOCUMENTED = 0.95
SLEEPS = {"time.sleep", "asyncio.sleep", "anyio.sleep"}


def test_files_are_short() -> None:
    long = {str(s.path): lines for s in sources() if (lines := s.text.count("\n")) > FILE_LINES}

    assert long == {}


def test_functions_are_short() -> None:
    everywhere = [*sources(), *sources("tests"), *sources("bench")]
    long = {
        f"{source.path}:{node.lineno} {node.name}": lines
        for source in everywhere
        for node in functions(source)
        if (lines := code_lines(node)) > FUNCTION_LINES
    }

    assert long == {}


def test_classes_are_short() -> None:
    long = {
        f"{source.path}:{node.lineno} {node.name}": lines
        for source in sources()
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef) and (lines := code_lines(node)) > CLASS_LINES
    }

    assert long == {}


def test_modules_say_what_they_are_for() -> None:
    silent = [str(source.path) for source in sources() if source.text and not ast.get_docstring(source.tree)]

    assert silent == []


def test_public_code_is_documented() -> None:
    public = [pair for source in sources() for pair in public_definitions(source.tree.body, source.name)]
    silent = [name for name, node in public if not ast.get_docstring(node)]

    assert len(silent) <= (1 - DOCUMENTED) * len(public), silent


def test_every_exception_is_documented() -> None:
    (errors,) = (source for source in sources() if source.name == "asyncflow.errors")
    public = list(public_definitions(errors.tree.body, errors.name))

    assert public
    assert [name for name, node in public if not ast.get_docstring(node)] == []


def test_imports_form_no_ring() -> None:
    """Deferred imports count: a ring that is cut by importing late is still a ring."""
    names = frozenset(source.name for source in sources())
    graph = {source.name: imported(source, names) - {source.name} for source in sources()}

    try:
        TopologicalSorter(graph).prepare()
        ring: list[str] = []
    except CycleError as error:
        ring = error.args[1]

    assert ring == []


def test_tests_wait_for_events_not_for_time() -> None:
    waits = [
        f"{source.path}:{node.lineno}"
        for source in sources("tests")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) in SLEEPS and not _yields_only(node)
    ]

    assert waits == []


def _yields_only(call: ast.Call) -> bool:
    return bool(call.args) and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
