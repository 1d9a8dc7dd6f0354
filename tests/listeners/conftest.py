"""Every test of listeners begins with empty notes."""

from __future__ import annotations

import pytest

from tests.listeners.support import NOTES


@pytest.fixture(autouse=True)
def _fresh_notes() -> None:
    NOTES.clear()
