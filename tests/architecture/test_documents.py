"""The pages tell the truth: links lead somewhere, code is code, and what a newcomer is told to run, runs."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)")
ROOT_PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md")


def pages(checkout: Path) -> list[Path]:
    return [*(checkout / name for name in ROOT_PAGES), *sorted((checkout / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    found = BLOCK.findall(page.read_text(encoding="utf-8"))
    return [text for spoken, text in found if spoken == language]


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).lower().replace(" ", "-") for title in titles}


def test_links_lead_somewhere(checkout: Path) -> None:
    broken = []
    for page in pages(checkout):
        for target, anchor in LINK.findall(page.read_text(encoding="utf-8")):
            file = (page.parent / target).resolve() if target else page
            if not file.exists() or (anchor and anchor not in anchors(file)):
                broken.append(f"{page.relative_to(checkout)}: {target}#{anchor}")

    assert broken == []


def test_every_page_is_in_the_index(checkout: Path) -> None:
    index = (checkout / "docs" / "index.md").read_text(encoding="utf-8")
    others = [page.relative_to(checkout / "docs") for page in (checkout / "docs").rglob("*.md")]

    assert [str(page) for page in others if page.name != "index.md" and f"({page})" not in index] == []


def test_code_on_the_pages_can_be_parsed(checkout: Path) -> None:
    python = [text for page in pages(checkout) for text in blocks(page, "python")]
    documents = [text for page in pages(checkout) for text in blocks(page, "json")]
    wrapped = [f"async def page():\n{re.sub('^', '    ', text, flags=re.MULTILINE)}" for text in python]

    assert python
    assert documents
    assert all(ast.parse(text) for text in wrapped)
    assert all(json.loads(text) for text in documents)


def test_readme_workflow_runs(checkout: Path, tmp_path: Path) -> None:
    (script,) = blocks(checkout / "README.md", "python")
    (tmp_path / "words.py").write_text(script, encoding="utf-8")

    done = run_here(["words.py"], tmp_path, checkout)

    assert done.returncode == 0, done.stderr
    assert "durable is the longest" in done.stdout


def test_first_workflow_runs_from_its_file(checkout: Path, tmp_path: Path) -> None:
    (definition,) = blocks(checkout / "docs" / "first-workflow.md", "json")
    (tmp_path / "hello.json").write_text(definition, encoding="utf-8")
    arguments = ["hello.json", "--input", '{"name": "you"}', "--db", "hello.db", "-o", "json"]

    checked = run_here(["-m", "asyncflow", "lint", "hello.json"], tmp_path, checkout)
    done = run_here(["-m", "asyncflow", "run", *arguments], tmp_path, checkout)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["output"] == {"greeting": "hello, you"}


def run_here(arguments: list[str], folder: Path, checkout: Path) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter in a folder that finds the package in the checkout, installed or not."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(checkout), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
