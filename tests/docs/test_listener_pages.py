"""The pages of listeners and data volumes say what the code says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from asyncflow.app.config import Config
from asyncflow.app.event_catalogue import catalogue, catalogue_page
from asyncflow.app.event_names import PUBLISHED
from asyncflow.app.event_rules import INTERNAL, RULES
from asyncflow.app.listener_config import ListenerSection
from asyncflow.model.events import EVENTS


def test_the_catalogue_is_generated_from_the_table(checkout: Path) -> None:
    written = (checkout / "docs" / "event-catalogue.md").read_text(encoding="utf-8")

    assert written == catalogue_page(), "python -m asyncflow.app.event_catalogue docs/event-catalogue.md"


def test_every_kind_of_the_journal_is_told_or_said_to_be_internal() -> None:
    assert {*EVENTS.values()} == {*RULES, *INTERNAL}
    assert not {*RULES} & {*INTERNAL}


def test_the_catalogue_has_every_name_once() -> None:
    names = [each["name"] for each in catalogue()]

    assert names == sorted(PUBLISHED)


def test_sections_on_the_pages_are_settings(checkout: Path) -> None:
    for page in ("listeners.md", "data-volume.md"):
        text = (checkout / "docs" / page).read_text(encoding="utf-8")
        for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL):
            Config.model_validate(tomllib.loads(block))


def test_every_key_of_a_listener_is_on_the_page(checkout: Path) -> None:
    text = (checkout / "docs" / "listeners.md").read_text(encoding="utf-8")
    keys = {"from" if key == "start" else key for key in ListenerSection.model_fields}

    assert {key for key in keys if f"`{key}`" not in text} == set()
