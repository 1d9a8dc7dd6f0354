"""The page about the command line says what the command line does."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from asyncflow.cli import exits
from tests.cli.making import call, write
from tests.cli.reference import PAGE, page


def test_reference_is_what_help_says() -> None:
    """`python -m tests.cli.reference` puts it right."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_page_lists_every_exit_code() -> None:
    listed = {
        int(code) for code in re.findall(r"^\| (\d+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    }

    codes = {
        exits.DONE,
        exits.WORKFLOW_FAILED,
        exits.USAGE,
        exits.STORAGE,
        exits.NO_SERVER,
        exits.BUG,
        exits.FORCED,
        exits.BROKEN_PIPE,
    }
    assert listed == codes


def test_rehearsal_of_the_page_does_what_the_page_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    definition, outcomes = re.findall(r"```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    write(Path("publish.json"), json.loads(definition))
    write(Path("outcomes.json"), json.loads(outcomes))

    done = call("run", "publish.json", "--outcomes", "outcomes.json", "-o", "json")

    assert done.exit_code == 0, done.stderr
    assert json.loads(done.stdout)["output"] == {"url": "https://example.org/film"}
    assert len(json.loads(done.stdout)["tasks"]) == 3


def test_workflow_of_the_readme_can_be_run_from_its_file(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (script,) = re.findall(
        r"```python\n(.*?)```", (checkout / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    Path("words.py").write_text(script, encoding="utf-8")

    done = call("run", "words.py", "--input", '{"text": "durable means written"}', "-o", "json")

    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["output"] == {"answer": "durable is the longest"}
