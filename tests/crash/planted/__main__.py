"""Plant each bug in a copy of the tree, run the tests that should see it, and say which did.

    python -m tests.crash.planted [NAME …]

The copy is a folder of its own, so that processes which tests start have the bug, too. The same tests run
over a copy without any bug first: what fails there proves nothing.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.crash.planted.bugs import BUGS, Bug

CHECKOUT = Path(__file__).resolve().parents[3]
PARTS = ("asyncflow", "tests", "plugins", "examples", "pyproject.toml", "README.md")
_FAILED = re.compile(r"^(?:FAILED|ERROR) (\S+?::\S+)", re.MULTILINE)


class StalePlant(Exception):
    """The text that a bug replaces does not stand exactly once in its file any more."""


def copy_to(folder: Path) -> None:
    """Everything that tests need; the sign of a checkout is among it."""
    skipped = shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache")
    for part in PARTS:
        source = CHECKOUT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=skipped)
        else:
            shutil.copy(source, folder / part)
    (folder / ".git").mkdir()


def planted(bug: Bug, read: Path) -> dict[str, str]:
    """The changed files of a bug, by path; read from this tree.

    Raises:
        StalePlant: an edit fits nowhere, or at several places.
    """
    changed: dict[str, str] = {}
    for edit in bug.edits:
        text = changed.get(edit.path) or (read / edit.path).read_text(encoding="utf-8")
        if text.count(edit.old) != 1:
            raise StalePlant(f"{bug.name}: {edit.old!r} stands {text.count(edit.old)} times in {edit.path}")
        changed[edit.path] = text.replace(edit.old, edit.new)
    return changed


def failures(folder: Path, tests: Sequence[str]) -> list[str]:
    """The node ids of these tests that fail in this tree."""
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode not in (0, 1):
        raise RuntimeError(ended.stdout[-2_000:] + ended.stderr[-2_000:])
    return sorted(set(_FAILED.findall(ended.stdout)))


def judged(bug: Bug, innocent: Sequence[str]) -> list[str]:
    """The tests that see a bug, those left out that fail without it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_to(folder)
        for path, text in planted(bug, folder).items():
            (folder / path).write_text(text, encoding="utf-8")
        return [each for each in failures(folder, bug.tests) if each not in innocent]


def without_bug(bugs: Sequence[Bug]) -> list[str]:
    """The tests that fail with no bug planted; there should be none."""
    with tempfile.TemporaryDirectory() as name:
        copy_to(Path(name))
        return failures(Path(name), sorted({test for bug in bugs for test in bug.tests}))


def main() -> int:
    """Print a line per bug; 1 if one was not seen, or a test fails without any."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", nargs="*", help="all, where none is named")
    names = parser.parse_args().name
    chosen = [bug for bug in BUGS if not names or bug.name in names]
    innocent = without_bug(chosen)
    sys.stdout.write("".join(f"fails without a bug: {each}\n" for each in innocent))
    unseen = 0
    for bug in chosen:
        seen = judged(bug, innocent)
        unseen += not seen
        sys.stdout.write(f"{bug.name}: {f'caught by {len(seen)}' if seen else 'NOT CAUGHT'}\n")
        files = Counter(test.partition("::")[0] for test in seen)
        sys.stdout.write("".join(f"    {count} in {file}\n" for file, count in files.items()))
        sys.stdout.flush()
    sys.stdout.write(f"{len(chosen)} bugs, {unseen} not caught\n")
    return 1 if unseen or innocent else 0


if __name__ == "__main__":
    sys.exit(main())
