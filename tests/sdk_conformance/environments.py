"""Where unmodified SDKs are installed, each in an environment of its own outside the checkout.

`make` brings them from the package index; nothing else here reaches beyond this machine. What runs in
them is in `scripts/`, how it is run in `running.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PYTHON_VERSIONS = ("2.0.0", "1.5.1", "1.3.11", "1.1.7")
JAVASCRIPT_PACKAGE = "@io-orkes/conductor-javascript"
JAVASCRIPT_VERSION = "4"
SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class Environment:
    """An installed SDK; `interpreter` runs its scripts, `folder` is where it was installed."""

    name: str
    interpreter: Path
    folder: Path

    @property
    def is_javascript(self) -> bool:
        return self.name.startswith("javascript")

    def command(self, script: str) -> list[str]:
        """How the script of this name is run; relative to the checkout."""
        if self.is_javascript:
            return [str(self.interpreter), str(SCRIPTS / f"{script}.mjs")]
        return [str(self.interpreter), "-m", f"tests.sdk_conformance.scripts.{script}"]


def folder() -> Path:
    """Where the environments are: `$ASYNCFLOW_SDKS`, or a folder for temporary files."""
    named = os.environ.get("ASYNCFLOW_SDKS")
    return Path(named) if named else Path(tempfile.gettempdir()) / "asyncflow-sdks"


def wanted() -> Iterator[Environment]:
    """Every SDK there should be; the JavaScript one only where there is a node."""
    for number in PYTHON_VERSIONS:
        place = folder() / f"python-{number}"
        yield Environment(f"python {number}", place / "bin" / "python", place)
    if node := shutil.which("node"):
        yield Environment(f"javascript {JAVASCRIPT_VERSION}", Path(node), folder() / "javascript")


def is_made(environment: Environment) -> bool:
    """Whether its package is there."""
    if environment.is_javascript:
        return (environment.folder / "node_modules" / JAVASCRIPT_PACKAGE).is_dir()
    return environment.interpreter.exists()


def present() -> list[Environment]:
    """What can be used: what was made, and the SDK beside asyncflow itself, if it is installed there."""
    made = [each for each in wanted() if is_made(each)]
    try:
        beside = f"python {version('conductor-python')}"
    except PackageNotFoundError:
        return made
    if any(each.name == beside for each in made):
        return made
    return [Environment(beside, Path(sys.executable), Path(sys.prefix)), *made]


def make(environment: Environment) -> None:
    """Install it, as its users do; raises CalledProcessError."""
    environment.folder.mkdir(parents=True, exist_ok=True)
    if environment.is_javascript:
        package = f"{JAVASCRIPT_PACKAGE}@{JAVASCRIPT_VERSION}"
        npm = shutil.which("npm") or "npm"
        _quietly(npm, "install", "--no-audit", "--no-fund", "--prefix", str(environment.folder), package)
        return
    package = f"conductor-python=={environment.name.removeprefix('python ')}"
    _quietly(sys.executable, "-m", "venv", str(environment.folder))
    _quietly(str(environment.interpreter), "-m", "pip", "install", "--quiet", package)


def _quietly(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
