"""The page on reliability names tests that there are, and leaves out no scenario without a reason."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.scenario_names import GROUPS, NOT_HERE, SMALLER
from tests.docs.scenario_table import page, shown_by

ASKED = [f"R{number}" for number in [*range(1, 42), *range(53, 105)]]
_ROW = re.compile(r"^\| (R\d+) \|.*\| (.*) \|$", re.MULTILINE)


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    return shown_by()


def test_every_scenario_that_is_asked_for_has_a_row(checkout: Path) -> None:
    rows = [number for number, _ in _ROW.findall((checkout / "docs" / "reliability.md").read_text("utf-8"))]

    assert rows == ASKED
    assert [number for scenarios in GROUPS.values() for number in scenarios] == ASKED


def test_every_scenario_has_a_test_or_a_reason(found: dict[str, list[str]]) -> None:
    assert [number for number in ASKED if number not in found and number not in NOT_HERE] == []
    assert [number for number in SMALLER if number not in found] == []


def test_every_test_that_the_page_names_shows_that_scenario(
    checkout: Path, found: dict[str, list[str]]
) -> None:
    named = {
        (number, test)
        for number, cell in _ROW.findall((checkout / "docs" / "reliability.md").read_text("utf-8"))
        for test in re.findall(r"`([^`\s]+::[^`\s]+)`", cell)
    }

    assert named
    gone = [(number, test) for number, test in sorted(named) if test not in found.get(number, ())]
    assert gone == [], "python -m tests.docs.scenario_table > docs/reliability.md"


def test_page_tells_of_more_tests_than_it_names() -> None:
    found = {"R1": [f"tests/test_a.py::test_{number}" for number in range(6)]}

    assert "and 2 more" in page(found)
    assert "not here: There is one engine" in page(found)
