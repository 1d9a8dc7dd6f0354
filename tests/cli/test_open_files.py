"""A process may raise the bound on its open files, and says what it got."""

from __future__ import annotations

import subprocess
import sys

import pytest

resource = pytest.importorskip("resource")

_CHECK = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 300))
from asyncflow.app.process import raise_open_files
assert raise_open_files() == 300
assert raise_open_files() == 300
assert resource.getrlimit(resource.RLIMIT_NOFILE) == (300, 300)
"""


def test_the_bound_is_raised_as_far_as_allowed() -> None:
    """In a process of its own: a bound that was lowered cannot be raised again."""
    done = subprocess.run([sys.executable, "-c", _CHECK], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
