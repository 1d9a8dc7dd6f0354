"""The page on testing is one test file, and it passes as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from tests.testing.running import run_pytest


def test_code_on_the_page_runs(tmp_path: Path, checkout: Path) -> None:
    page = (checkout / "docs" / "testing.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "test_page.py").write_text("\n".join(blocks), encoding="utf-8")
    done = run_pytest(tmp_path, checkout)

    assert len(blocks) == 7
    assert "7 passed" in done.stdout, done.stdout + done.stderr
