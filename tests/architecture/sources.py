"""The package as text and syntax trees, read once, for the tests of this folder.

Nothing is imported from the package, so a module that cannot start is still measured.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One module: its dotted name, its text and its tree."""

    name: str
    path: Path
    text: str
    tree: ast.Module


@cache
def sources(folder: str = "asyncflow") -> tuple[Source, ...]:
    """Every module below a folder of the checkout, in the order of their paths."""
    return tuple(_read(path) for path in sorted((CHECKOUT / folder).rglob("*.py")))


def _read(path: Path) -> Source:
    parts = path.relative_to(CHECKOUT).with_suffix("").parts
    text = path.read_text(encoding="utf-8")
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Source(name, path.relative_to(CHECKOUT), text, ast.parse(text))


def functions(source: Source) -> Iterator[Function]:
    """Every function of a module, methods and inner ones included."""
    return (node for node in ast.walk(source.tree) if isinstance(node, Function))


def public_definitions(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, ast.ClassDef | Function]]:
    """Public classes, functions and methods with their dotted names; not what is inside a function."""
    for node in body:
        if isinstance(node, ast.ClassDef | Function) and not node.name.startswith("_"):
            name = f"{prefix}.{node.name}"
            yield name, node
            if isinstance(node, ast.ClassDef):
                yield from public_definitions(node.body, name)


def code_lines(node: Function | ast.ClassDef) -> int:
    """Lines from the `def` or `class` to its end, decorators and docstring aside."""
    documented = ast.get_docstring(node, clean=False) is not None
    docstring = node.body[0] if documented else None
    spent = 0 if docstring is None else (docstring.end_lineno or 0) - docstring.lineno + 1
    return (node.end_lineno or node.lineno) - node.lineno + 1 - spent


def imported(source: Source, known: frozenset[str]) -> set[str]:
    """Which known modules a module imports, anywhere in it; `from a import b` means `a.b` if that is one."""
    named: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            named.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            named.update(name if name in known else node.module for name in members)
    return named & known
