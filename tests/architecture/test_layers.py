"""Who may import whom. The rules are the contracts in pyproject.toml; `make layers` shows them all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CHECK = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
HEAVY = {"aiohttp", "quickjs", "jq", "rich", "click", "hypothesis", "pytest"}


def test_layers_and_purity_hold(checkout: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", CHECK], cwd=checkout, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_layers_are_watched_for_every_package(checkout: Path) -> None:
    """A package that no layer names could import, and be imported by, anything."""
    rules = (checkout / "pyproject.toml").read_text(encoding="utf-8")
    packages = [file.parent.name for file in (checkout / "asyncflow").glob("*/__init__.py")]

    assert packages
    assert [name for name in packages if f"({name})" not in rules] == []


def test_importing_asyncflow_leaves_heavy_libraries_alone(checkout: Path) -> None:
    """They cost from 20 to 400 ms each; what needs them imports them when it is used."""
    script = f"import sys, asyncflow; asyncflow.__all__; print(*sys.modules.keys() & {HEAVY!r})"

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=checkout, capture_output=True, text=True, check=False
    )

    assert (done.stdout.strip(), done.stderr) == ("", "")
