"""Settings of plugins: secrets put in, faults told by key, values never shown."""

from __future__ import annotations

import pytest
from pydantic import field_validator

from asyncflow.errors import ConfigurationError
from asyncflow.plugins.resources import PluginConfig
from asyncflow.plugins.settings import read_config, secrets_named


class Database(PluginConfig):
    dsn: str
    size: int = 4

    @field_validator("dsn")
    @classmethod
    def _is_dsn(cls, value: str) -> str:
        if "://" not in value:
            raise ValueError(f"{value} is no address")
        return value


def test_secrets_are_put_in_when_settings_are_read() -> None:
    body: dict[str, object] = {"dsn": "postgres://me:${secret:pg}@db/x"}

    found = read_config(Database, body, place="resources.db", secrets={"pg": "s3cret"})

    assert found.dsn == "postgres://me:s3cret@db/x"
    assert [*secrets_named(body)] == ["pg"]
    assert body["dsn"] == "postgres://me:${secret:pg}@db/x"


def test_a_secret_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"resources\.db: there is no secret pg in \[secrets\]"):
        read_config(Database, {"dsn": "${secret:pg}"}, place="resources.db", secrets={})


def test_faults_name_their_keys_and_show_no_value() -> None:
    body: dict[str, object] = {"dsn": "${secret:pg}", "size": "many", "sise": 3}

    with pytest.raises(ConfigurationError) as caught:
        read_config(Database, body, place="resources.db", secrets={"pg": "s3cret"})

    said = str(caught.value)
    assert "resources.db.dsn: the plugin does not take this value" in said
    assert "resources.db.size: " in said
    assert "resources.db.sise: no such setting (did you mean size?)" in said
    assert "s3cret" not in said
    assert "many" not in said
