"""Settings of resources: the engine's keys, the plugin's own, and what is told where they do not fit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel, Field, SecretStr

from asyncflow.app.config_sources import configure
from asyncflow.app.plugin_settings import shown_config
from asyncflow.app.resource_config import ResourceSection, check_resource, parse_resource
from asyncflow.errors import ConfigurationError
from asyncflow.model.resources import ResourceLimit
from asyncflow.plugins.jobs import InstanceOrder, InstanceStatus, Job, JobStatus
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import JobInput, PluginConfig, ResourceManager


class Settings(PluginConfig):
    region: str
    password: str = ""


class Cluster(ResourceManager):
    Config = Settings
    tasks: ClassVar[Mapping[str, type[BaseModel]]] = {"CLUSTER_STEP": JobInput}

    async def create(self, order: InstanceOrder) -> str:
        return order.token

    async def check(self, handle: str) -> InstanceStatus:
        return InstanceStatus("ready")

    async def destroy(self, handle: str) -> None:
        """Destroy."""

    async def submit(self, job: Job) -> str:
        return job.token

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        return {}


class Gate(ResourceManager):
    """Limits only."""


REGISTRY = Registry.built_in().with_classes(resources={"cluster": Cluster, "gate": Gate})


def test_settings_of_the_engine_and_of_the_plugin_share_a_section() -> None:
    body: dict[str, object] = {
        "type": "cluster",
        "max_concurrent": 8,
        "rate": "20/1m",
        "reserve_after": "90s",
        "instances": {"min": 1, "max": 3},
        "idle_after": "10m",
        "poll": {"first": "5s", "max": 120, "batch": 40},
        "on_code_change": "drain",
        "region": "eu",
    }

    found = parse_resource(body, "resources.c").settings()

    assert found.limit == ResourceLimit(8, 20, 60_000, 90_000)
    assert (found.min_instances, found.max_instances, found.idle_after_s) == (1, 3, 600)
    assert (found.poll_first_s, found.poll_max_s, found.on_code_change) == (5, 120, "drain")
    assert (found.config, found.poll_batch) == ({"region": "eu"}, 40)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"type": "clutser"}, "resources.c.type: 'clutser': no plugin of this name is installed"),
        ({"type": "cluster"}, "resources.c.region: Field required"),
        ({"type": "cluster", "region": "eu", "idle_aftre": 1}, "resources.c.idle_aftre: no such setting "),
        ({"type": "cluster", "region": "eu", "idle_aftre": 1}, "(did you mean idle_after?)"),
        (
            {"type": "gate", "idle_after": 1},
            "c.idle_after: a resource of type gate has no instances",
        ),
        ({"type": "gate", "poll": {}}, "resources.c.poll: a resource of type gate takes no jobs"),
        (
            {"type": "cluster", "region": "eu", "instances": {"min": 2}},
            "c.instances: min is above max",
        ),
        ({"type": "cluster", "region": "${secret:r}"}, "resources.c: there is no secret r in [secrets]"),
    ],
)
def test_what_does_not_fit_is_told_by_its_key(body: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        check_resource(parse_resource(body, "resources.c"), "resources.c", REGISTRY, {})

    assert said in str(refused.value)


def test_a_broken_plugin_is_no_mistake_of_the_configuration() -> None:
    broken = Registry.built_in().with_classes(resources={"cluster": Cluster})
    disabled = type(broken)(broken._candidates, disabled=["cluster"])

    said = check_resource(ResourceSection(type="cluster"), "resources.c", disabled, {})

    assert said == "the plugin cluster is disabled"


def test_secrets_are_shown_by_name_only() -> None:
    shown = shown_config(
        {
            "region": "eu",
            "password": "hunter2",
            "dsn": "${secret:pg}",
            "url": "https://me:hunter2@example.com/",
            "more": {"api_key": ["hunter2"]},
        }
    )

    assert shown == {
        "region": "eu",
        "password": "***",
        "dsn": "${secret:pg}",
        "url": "***",
        "more": {"api_key": ["***"]},
    }


class Keys(PluginConfig):
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    hook: SecretStr | None = None
    inner: Settings | None = None


@pytest.mark.parametrize(
    ("config", "shown"),
    [
        (
            {"credentials": {"user": "me", "value": "hunter2"}},
            {"credentials": {"user": "***", "value": "***"}},
        ),
        ({"password": 12345678, "tokens_at_once": 5}, {"password": "***", "tokens_at_once": 5}),
        ({"url": "https://ghp_hunter2@example.com/"}, {"url": "***"}),
        ({"url": "https://example.com/?sig=hunter2"}, {"url": "***"}),
        ({"url": "https://example.com/?page=2"}, {"url": "https://example.com/?page=2"}),
        (
            {"headers": {"X-Of-Us": "hunter2", "B": "${secret:b}"}},
            {"headers": {"X-Of-Us": "***", "B": "${secret:b}"}},
        ),
        ({"hook": "hunter2"}, {"hook": "***"}),
        ({"inner": {"region": "eu", "password": "hunter2"}}, {"inner": {"region": "eu", "password": "***"}}),
    ],
)
def test_what_is_under_the_name_of_a_secret_or_held_as_one_is_hidden(
    config: dict[str, object], shown: dict[str, object]
) -> None:
    assert shown_config(config, model=Keys) == shown


def test_the_configuration_as_it_is_shown_hides_them_too(tmp_path: Path) -> None:
    file = tmp_path / "asyncflow.toml"
    file.write_text("[resources.c]\ntype = 'cluster'\nregion = 'eu'\npassword = 'hunter2'\n")

    told = {name: value for name, value, _ in configure(file, {}).values()}

    assert told["resources.c.region"] == "eu"
    assert told["resources.c.password"] == "***"


def test_a_variable_overrides_a_setting_of_a_resource_that_the_file_names(tmp_path: Path) -> None:
    file = tmp_path / "asyncflow.toml"
    file.write_text("[resources.emr-prod]\nmax_concurrent = 8\n")
    environment = {
        "ASYNCFLOW_RESOURCES_EMR_PROD_MAX_CONCURRENT": "4",
        "ASYNCFLOW_RESOURCES_EMR_PROD_RESERVE_AFTER": "2m",
        "ASYNCFLOW_PLUGINS_DISABLED": "one,two",
    }

    config = configure(file, environment).config

    assert config.resources["emr-prod"].limit() == ResourceLimit(4, 0, 0, 120_000)
    assert config.plugins.disabled == ("one", "two")


def test_an_unknown_type_or_listener_of_the_configuration_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "asyncflow.toml"
    file.write_text("[resources.x]\ntype = 'never-there'\n[listeners.nobody]\nchannel = 'c'\n")

    with pytest.raises(ConfigurationError) as refused:
        configure(file, {}).config.engine_settings({})

    assert "resources.x.type: 'never-there'" in str(refused.value)
    assert "listeners.nobody.type: no plugin of this name" in str(refused.value)
