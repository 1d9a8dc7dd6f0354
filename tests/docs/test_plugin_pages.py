"""What the pages on resources and plugins show is taken as it stands."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from asyncflow.app.config import Config
from asyncflow.app.resource_config import ResourceSection
from asyncflow.plugins.registry import BUILT_IN, Registry

_BLOCK = r"^```{language}\n(.*?)^```$"


def blocks(checkout: Path, name: str, language: str) -> list[str]:
    text = (checkout / "docs" / name).read_text(encoding="utf-8")
    return re.findall(_BLOCK.replace("{language}", language), text, re.MULTILINE | re.DOTALL)


def classes(text: str) -> dict[str, type]:
    names: dict[str, object] = {}
    exec(text, names)
    return {name: each for name, each in names.items() if isinstance(each, type)}


def test_the_classes_of_the_page_are_plugins(checkout: Path) -> None:
    manager, parts, _, _, task, listener = blocks(checkout, "plugins.md", "python")
    printer, trays, message, tell = (classes(each) for each in (manager, parts, task, listener))

    registry = Registry.built_in().with_classes(
        resources={"printer": printer["PrinterManager"]},
        tasks=[message["PostMessage"]],
        listeners={"tell": tell["Tell"]},
    )

    assert list(trays["PrinterWithTrays"].parts({"tray": 2})) == ["2"]  # type: ignore[attr-defined]  # it has
    assert {"PRINT_LABEL", "POST_MESSAGE"} <= registry.task_types
    assert len(manager.splitlines()) < 60


def test_the_sections_of_the_pages_are_settings(checkout: Path) -> None:
    (resource,) = blocks(checkout, "resources.md", "toml")
    (listener,) = blocks(checkout, "plugins.md", "toml")

    config = Config.model_validate({**tomllib.loads(resource), **tomllib.loads(listener)})

    assert config.resources["emr-prod"].config == {
        "region": "eu-central-1",
        "password": "${secret:emr_password}",
    }
    assert config.listeners["tell"].patterns == ("task.timed_out",)


def test_every_key_and_every_type_is_on_the_page(checkout: Path) -> None:
    text = (checkout / "docs" / "resources.md").read_text(encoding="utf-8")
    types = [task for kind in Registry.built_in().resources.values() for task in kind.tasks]

    assert [key for key in ResourceSection.model_fields if f"| `{key}` |" not in text] == []
    assert [each for each in (*BUILT_IN, *types) if each not in text] == []
