"""What the package offers by name: few names, each documented, each told about in the docs."""

from __future__ import annotations

import inspect
from pathlib import Path

import asyncflow
from asyncflow.lazy import PUBLIC

MOST = 25


def test_public_names_are_few_and_real() -> None:
    names = list(asyncflow.__all__)

    assert len(names) == len(set(names)) <= MOST
    assert [name for name in names if not hasattr(asyncflow, name)] == []


def test_public_names_carry_their_own_docstring() -> None:
    offered = {name: getattr(asyncflow, name) for name in asyncflow.__all__}
    callables = {name: value for name, value in offered.items() if callable(value)}

    assert [name for name, value in callables.items() if not inspect.getdoc(value)] == []


def test_public_names_are_told_about(checkout: Path) -> None:
    pages = [checkout / "README.md", *(checkout / "docs").rglob("*.md")]
    told = "\n".join(page.read_text(encoding="utf-8") for page in pages)

    assert [name for name in asyncflow.__all__ if name not in told] == []


def test_root_holds_no_logic(checkout: Path) -> None:
    lines = (checkout / "asyncflow" / "__init__.py").read_text(encoding="utf-8").splitlines()

    assert not [line for line in lines if line.startswith(("def ", "class ", "async def "))]


def test_public_names_are_found_where_they_are_told_to_be() -> None:
    assert sorted(PUBLIC) == sorted(asyncflow.__all__)
