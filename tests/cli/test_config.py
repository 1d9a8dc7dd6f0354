"""Configuration: where values come from, and that nothing misspelt is lost in silence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncflow.app.config import Config
from asyncflow.app.config_sources import SETTINGS, configure
from asyncflow.errors import ConfigurationError
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.runtime.demand import HandOutSettings
from tests.cli.making import run_process

FULL = """
[server]
port = 9000
hosts = ["flow.example.org"]

[store]
db = "flow.db"
durability = "normal"

[limits]
fork_width = 500

[http]
allow = ["10.0.0.0/8"]

[resources.emr-prod]
max_concurrent = 8
rate = "20/1m"

[resources."a.b"]
rate = "3/500ms"
reserve_after_s = 5

[scripts]
mode = "process"

[commands]
enabled = true
root = "/srv/work"

[workers]
fair = false
max_in_flight = 7
prefer_s = 0
lost_s = 60

[secrets.password]
env = "DB_PASSWORD"

[environment]
REGION = "eu"
"""


def _file(folder: Path, text: str) -> Path:
    path = folder / "asyncflow.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_sets_everything(tmp_path: Path) -> None:
    config = configure(_file(tmp_path, FULL), {}).config
    settings = config.engine_settings({"DB_PASSWORD": "hidden"})

    assert (config.server.port, config.store.durability) == (9000, "normal")
    assert settings.limits.fork_width == 500
    assert settings.resources == {
        "emr-prod": ResourceSettings(limit=ResourceLimit(8, 20, 60_000, 60_000)),
        "a.b": ResourceSettings(limit=ResourceLimit(0, 3, 500, 5_000)),
    }
    assert settings.scripts.mode == "process"
    assert settings.commands.enabled
    assert settings.secrets == {"password": "hidden"}
    assert settings.environment == {"REGION": "eu"}
    assert settings.hand_out == HandOutSettings(False, 7, 0, 60)
    assert config.store_settings().durability == "normal"


def test_later_sources_are_stronger(tmp_path: Path) -> None:
    found = configure(
        _file(tmp_path, "[server]\nport = 1\nhost = '::1'\n[store]\ndb = 'file.db'"),
        {"ASYNCFLOW_SERVER_PORT": "2", "ASYNCFLOW_HTTP_ALLOW": "a.example,10.0.0.0/8", "HOME": "/x"},
        {"store.db": Path("option.db")},
    )
    sources = {name: (value, source) for name, value, source in found.values()}

    assert sources["server.port"] == (2, "ASYNCFLOW_SERVER_PORT")
    assert sources["server.host"] == ("::1", str(tmp_path / "asyncflow.toml"))
    assert sources["store.db"] == (Path("option.db"), "command line")
    assert sources["http.allow"] == (("a.example", "10.0.0.0/8"), "ASYNCFLOW_HTTP_ALLOW")
    assert sources["server.body_timeout_s"] == (30.0, "default")


def test_every_setting_has_a_variable(tmp_path: Path) -> None:
    """Setting each to its own default changes nothing."""
    defaults = {name: value for name, value, _ in configure(_file(tmp_path, ""), {}).values()}
    for section, names in SETTINGS.items():
        for name in names:
            value = defaults[f"{section}.{name}"]
            if value is None:
                continue
            text = ",".join(value) if isinstance(value, tuple) else str(value)
            if text:
                variable = f"ASYNCFLOW_{section}_{name}".upper()
                assert configure(_file(tmp_path, ""), {variable: text}).config == Config()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("[server]\nprot = 1", "server.prot: no such setting (did you mean port?)"),
        ("[servr]\nport = 1", "servr: no such setting (did you mean server?)"),
        ("[limits]\nfork_widht = 1", "limits.fork_widht: no such setting (did you mean fork_width?)"),
        ("[limits]\nfork_width = 0", "limits: must be more than 0: fork_width"),
        ("[server]\nport = 'x'", "server.port: "),
        ("[server]\nport = 70000", "server.port: "),
        ("server = 1", "server: "),
        ("[store]\ndurability = 'none'", "store.durability: "),
        ("[resources.x]\nrate = 'often'", "resources.x.rate: a number from 1, a slash and a time"),
        ("[resources.x]\nidle_after = 'soon'", "resources.x.idle_after: a number of seconds"),
        ("[resources.x]\npoll = {frist = 1}", "resources.x.poll.frist: "),
        ("[resources.x]\ninstances = {max = 0}", "resources.x.instances.max: "),
        ("[resources.x]\non_code_change = 'stop'", "resources.x.on_code_change: "),
        ("[plugins]\ndisable = ['x']", "plugins.disable: no such setting (did you mean disabled?)"),
        ("[http]\nallow = ['300.1.1.1/8']", "http.allow: "),
        ("[commands]\nenabled = true", "commands: commands need a root"),
        ("[secrets.x]\nenv = 'A'\nfile = 'b'", "secrets.x: either env or file"),
        ("[secrets]\nx = 'plain text'", "secrets.x: "),
        ("[server", "not TOML"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure(_file(tmp_path, text), {})

    assert named in str(refused.value)
    assert "asyncflow.toml" in str(refused.value)
    assert "plain text" not in str(refused.value)


@pytest.mark.parametrize(
    "variable", ["ASYNCFLOW_SERVER_PROT", "ASYNCFLOW_SERVR_PORT", "ASYNCFLOW_RESOURCES_X"]
)
def test_a_misspelt_variable_is_refused(tmp_path: Path, variable: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{variable}: no such setting"):
        configure(_file(tmp_path, ""), {variable: "1"})


def test_variables_of_clients_are_no_settings(tmp_path: Path) -> None:
    environment = {
        "ASYNCFLOW_SERVER": "http://x",
        "ASYNCFLOW_API_KEY": "k",
        "ASYNCFLOW_DATA": "/d",
        "ASYNCFLOW_SDKS": "/s",
    }

    assert configure(_file(tmp_path, ""), environment).config == Config()


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        configure(_file(tmp_path, "[server]\nprot = 1\nhost = 3\n[store]\nname = 'x'"), {})

    assert str(refused.value).count("asyncflow.toml: ") == 3


def test_a_secret_comes_from_a_file_without_its_last_line_break(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret\n", encoding="utf-8")
    config = configure(_file(tmp_path, f"[secrets.x]\nfile = '{tmp_path}/secret'"), {}).config

    assert config.engine_settings({}).secrets == {"x": "s3cret"}


def test_callbacks_need_a_key(tmp_path: Path) -> None:
    text = "[server]\ncallback_url = 'https://flow.example.org'\n[secrets.callback_key]\nenv = 'KEY'"
    config = configure(_file(tmp_path, text), {}).config

    settings = config.engine_settings({"KEY": "0123456789abcdef"})
    with pytest.raises(ConfigurationError, match=r"server\.callback_url: a secret callback_key"):
        config.engine_settings({"KEY": "short"})

    assert settings.callback_address == "https://flow.example.org/api/asyncflow/callback"
    assert settings.callback_key == b"0123456789abcdef"


@pytest.mark.parametrize("where", ["env = 'NOT_SET'", "file = '/nowhere/at/all'"])
def test_a_secret_that_is_not_there_is_named(tmp_path: Path, where: str) -> None:
    config = configure(_file(tmp_path, f"[secrets.x]\n{where}"), {}).config

    with pytest.raises(ConfigurationError, match=r"secrets\.x"):
        config.engine_settings({})


def test_the_commands_show_and_check(tmp_path: Path) -> None:
    _file(tmp_path, "[server]\nport = 9000\n[secrets.x]\nenv = 'NOT_SET'")
    shown = run_process("config", "show", "--changed", "-o", "json", cwd=tmp_path)
    checked = run_process("config", "check", cwd=tmp_path)

    assert json.loads(shown.stdout) == [
        {"setting": "server.port", "value": 9000, "source": "asyncflow.toml"},
        {"setting": "secrets.x.env", "value": "NOT_SET", "source": "asyncflow.toml"},
    ]
    assert (checked.returncode, checked.stdout) == (2, "")
    assert "secrets.x: the variable NOT_SET is not set" in checked.stderr
