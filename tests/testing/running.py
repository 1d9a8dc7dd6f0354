"""A pytest run of its own, as a project of somebody else has it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def run_pytest(folder: Path, checkout: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Without plugins found by themselves: the package may or may not be installed here."""
    plugins = ["-p", "pytest_asyncio.plugin", "-p", "asyncflow.testing.plugin"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-o", "asyncio_mode=auto", *plugins, *options, str(folder)],
        cwd=folder,
        env={"PYTHONPATH": str(checkout), "PATH": "/usr/bin:/bin", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
