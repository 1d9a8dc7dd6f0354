"""`asyncflow routing` against a server."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.making import write
from tests.cli.remote_calls import QUICK, Shell


async def test_rules_are_set_shown_rolled_back_and_forgotten(shell: Shell, tmp_path: Path) -> None:
    await shell.registered({**QUICK, "version": 2})
    await shell("routing", "set", "quick", "--canary", "2:100", "--default", "1")
    await shell("workflow", "start", "quick")
    compared = await shell.rows("routing", "compare", "quick")
    counts = await shell("routing", "compare", "quick")
    listed = await shell.rows("routing", "list")
    table = await shell("routing", "list")
    back = await shell.one("routing", "rollback", "quick")
    by_file = write(tmp_path / "rules.json", {"rules": [{"version": 2, "when": "$.x"}], "default": 1})
    rules = await shell.one("routing", "set", "quick", "--file", by_file)
    unsure = await shell("routing", "delete", "quick", code=2)
    await shell("routing", "delete", "quick", "--yes")

    assert {row["version"] for row in compared} >= {2}
    assert "registered" in counts.stdout
    assert [row["name"] for row in listed] == ["quick"]
    assert "2 for 100" in table.stdout
    assert back["rules"] == []
    assert rules["rules"] == [{"version": 2, "when": "$.x"}]
    assert "--yes" in unsure.stderr
    assert "404" in (await shell("routing", "get", "quick", code=2)).stderr


@pytest.mark.parametrize(
    "arguments",
    [[], ["--canary", "2"], ["--canary", "x:y"], ["--canary", "2:1", "--file", "f"]],
    ids=" ".join,
)
async def test_rules_have_to_be_said(shell: Shell, arguments: list[str]) -> None:
    refused = await shell("routing", "set", "quick", *arguments, code=2)

    assert "--canary" in refused.stderr
