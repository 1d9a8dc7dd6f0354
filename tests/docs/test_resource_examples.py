"""The examples of resources run with one command each, and say of themselves whether they kept their word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("name", ["emr_daily_report", "throttled_mail"])
def test_example_keeps_its_word(name: str) -> None:
    pytest.importorskip("aiobotocore")
    pytest.importorskip("aiosmtpd")
    command = [sys.executable, str(CHECKOUT / "examples" / name)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_resource_plugin_from_the_documentation_is_short() -> None:
    written = CHECKOUT / "examples" / "plugins" / "license_server" / "license_server.py"

    assert len(written.read_text(encoding="utf-8").splitlines()) < 60
