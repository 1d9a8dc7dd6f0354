"""The page of limits says what the code holds: every limit, its default, and no other."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

from asyncflow.decide.java_text import MAX_TEXT_CHARS
from asyncflow.decide.step import MAX_DEPTH
from asyncflow.decide.template_text import MAX_EXPRESSION_NESTING
from asyncflow.model.limits import DEFAULT_LIMITS

_ROW = re.compile(r"^\| `(\w+)` \| ([\d,.]+) \| (.+) \| (.+) \|$", re.MULTILINE)


def test_page_of_limits_agrees_with_the_code(checkout: Path) -> None:
    page = (checkout / "docs" / "limits.md").read_text(encoding="utf-8")
    told = {name: float(value.replace(",", "")) for name, value, _, _ in _ROW.findall(page)}

    assert told == asdict(DEFAULT_LIMITS)
    assert list(told) == list(asdict(DEFAULT_LIMITS))


def test_page_of_limits_tells_of_those_that_are_fixed(checkout: Path) -> None:
    page = (checkout / "docs" / "limits.md").read_text(encoding="utf-8")

    assert f"({MAX_DEPTH} levels" in page
    assert f"({MAX_EXPRESSION_NESTING})" in page
    assert f"({MAX_TEXT_CHARS >> 20} MiB)" in page
