"""The page of all endpoints is the newest, and every endpoint in it is shown by a test."""

from __future__ import annotations

from pathlib import Path

from asyncflow.http.tables import all_routes
from tests.http.endpoint_table import named_tests, table

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "rest.md"


def test_the_page_is_the_newest() -> None:
    assert PAGE.read_text(encoding="utf-8") == table(), "python -m tests.http.endpoint_table > docs/rest.md"


def test_every_endpoint_names_a_test() -> None:
    tests = named_tests()

    assert [f"{r.method} {r.path}" for r in all_routes() if f"{r.method} {r.path}" not in tests] == []
