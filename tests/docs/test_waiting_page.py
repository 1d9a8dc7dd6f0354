"""The page on waits knows every word that the engine can say of one, and every phrase has a word."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from asyncflow.cli import waits

SOURCES = {
    "asyncflow/decide/waiting.py": r'"kind": "(\w+)"',
    "asyncflow/decide/job_view.py": r'"kind": "(\w+)" if .* else "(\w+)"',
    "asyncflow/decide/admission_why.py": r'return "(\w+)"',
    "asyncflow/runtime/worker_why.py": r'return "(\w+)"',
    "asyncflow/runtime/jobs/telling.py": r'Stage\.(?:QUEUED|SENDING|UNSURE|WATCHED|ASKED|STUCK): "(\w+)"',
    "asyncflow/app/waits.py": r'"kind": "(\w+)"',
}


def words(checkout: Path, source: str) -> set[str]:
    """What a module says, as its text has it."""
    text = (checkout / source).read_text(encoding="utf-8")
    ast.parse(text)
    found = re.findall(SOURCES[source], text)
    assert found, source
    return {word for each in found for word in ([each] if isinstance(each, str) else each)}


def test_every_word_is_on_the_page(checkout: Path) -> None:
    page = (checkout / "docs" / "waiting.md").read_text(encoding="utf-8")
    said = {source: words(checkout, source) for source in SOURCES}

    missing = {
        source: sorted(each for each in found if f"`{each}`" not in page) for source, found in said.items()
    }
    assert missing["asyncflow/app/waits.py"] in ([], ["function"])
    del missing["asyncflow/app/waits.py"]
    assert not any(missing.values()), missing


def test_every_kind_and_every_refusal_has_a_phrase(checkout: Path) -> None:
    kinds = words(checkout, "asyncflow/decide/waiting.py") | words(checkout, "asyncflow/decide/job_view.py")
    refusals = words(checkout, "asyncflow/decide/admission_why.py") - {"no_demand"}

    assert kinds - set(waits.PHRASES) == set()
    assert refusals == set(waits.REFUSALS)
