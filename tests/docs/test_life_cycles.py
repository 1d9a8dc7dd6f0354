"""The page on life cycles is what the tables of transitions say."""

from __future__ import annotations

from pathlib import Path

from asyncflow.model.statuses import EXECUTION_TRANSITIONS, JOB_TRANSITIONS, TASK_TRANSITIONS
from asyncflow.testing.lifecycles import page


def test_page_on_life_cycles_is_generated_from_the_tables(checkout: Path) -> None:
    written = (checkout / "docs" / "life-cycles.md").read_text(encoding="utf-8")

    assert written == page(), "python -m asyncflow.testing.lifecycles docs/life-cycles.md"


def test_page_on_life_cycles_has_every_arrow() -> None:
    text = page()
    for table in (EXECUTION_TRANSITIONS, TASK_TRANSITIONS, JOB_TRANSITIONS):
        for old, after in table.items():
            for new in after:
                assert f"    {old} --> {new}\n" in text
