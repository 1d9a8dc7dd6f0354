"""Bugs that can be planted: each still fits the source, and the tests that are to see it are there.

Whether they see it says `python -m tests.crash.planted`, which takes minutes.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.crash.planted.__main__ import planted
from tests.crash.planted.bugs import BUGS, Bug


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_bug_can_be_planted_and_somebody_looks_for_it(bug: Bug, checkout: Path) -> None:
    changed = planted(bug, checkout)

    assert changed
    for path, text in changed.items():
        ast.parse(text)
        assert text != (checkout / path).read_text(encoding="utf-8")
    for test in bug.tests:
        file, _, function = test.partition("::")
        assert (checkout / file).exists()
        assert function.partition("[")[0] in ((checkout / file).read_text("utf-8") if function else "")
