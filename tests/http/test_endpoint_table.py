"""The page of all endpoints has each of them, with its role and with a test that names it."""

from __future__ import annotations

import re
from pathlib import Path

from asyncflow.http.tables import all_routes
from tests.http.endpoint_table import named_tests

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "rest.md"
ROW = re.compile(r"^\| ([A-Z]+) \| `(\S+)` \| (\w+) \| `(\S+)` \|$", re.MULTILINE)


def test_the_page_has_every_endpoint_and_no_other() -> None:
    told = sorted(row[:3] for row in ROW.findall(PAGE.read_text(encoding="utf-8")))
    known = sorted((route.method, route.path, route.role.name.lower()) for route in all_routes())

    assert told == known, "python -m tests.http.endpoint_table > docs/rest.md"


def test_the_page_names_tests_that_show_the_endpoint() -> None:
    tests = named_tests()
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    wrong = [row for row in rows if row[3] not in tests.get(f"{row[0]} {row[1]}", [])]

    assert wrong == [], "python -m tests.http.endpoint_table > docs/rest.md"
