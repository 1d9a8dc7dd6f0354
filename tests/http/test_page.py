"""The page on serving says what the code does: every setting with its default, every probe."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from asyncflow.app.config import Config
from asyncflow.app.config_sources import SETTINGS, configure
from asyncflow.http.health import PROBES

_ROW = re.compile(r"^\| `([a-z]+\.\w+)` \| (.*?) ?\| .+ \|$", re.MULTILINE)


def _page(checkout: Path) -> str:
    return (checkout / "docs" / "serving.md").read_text(encoding="utf-8")


def _shown(value: object) -> str:
    return "" if value in (None, ()) else str(value).lower() if isinstance(value, bool) else str(value)


def test_the_page_has_every_setting_with_its_default(checkout: Path, tmp_path: Path) -> None:
    empty = tmp_path / "asyncflow.toml"
    empty.touch()
    defaults = {name: _shown(value) for name, value, _ in configure(empty, {}).values()}
    wanted = {
        f"{section}.{name}": defaults[f"{section}.{name}"]
        for section, names in SETTINGS.items()
        if section != "limits"
        for name in names
    }

    assert dict(_ROW.findall(_page(checkout))) == wanted


def test_the_settings_on_the_page_are_sound(checkout: Path) -> None:
    found = re.findall(r"^```toml\n(.*?)^```$", _page(checkout), re.MULTILINE | re.DOTALL)

    assert all(Config.model_validate(tomllib.loads(text)) != Config() for text in found)
    assert found


def test_the_page_has_every_probe(checkout: Path) -> None:
    page = _page(checkout)

    assert [probe for probe in PROBES if f"`{probe}`" not in page] == []
