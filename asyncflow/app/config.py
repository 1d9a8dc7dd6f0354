"""What can be configured, section by section, with defaults and bounds; parsed once, then frozen.

It is the shape of `asyncflow.toml` and of the variables `ASYNCFLOW_<SECTION>_<NAME>`. Where values
come from is the business of `config_sources`; nothing below `app` reads either.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from asyncflow.app.listener_config import ListenerSection, check_listener
from asyncflow.app.resource_config import ResourceSection, check_resource
from asyncflow.app.retention_config import KeptSection, RetentionSection
from asyncflow.errors import ConfigurationError
from asyncflow.model.extension import OnStop
from asyncflow.model.io_rule import IoRule
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.plugins.registry import Registry
from asyncflow.runtime.addresses import AddressPolicy
from asyncflow.runtime.command_task import CommandPolicy
from asyncflow.runtime.demand import HandOutSettings
from asyncflow.runtime.engine import EngineSettings
from asyncflow.runtime.scripts.evaluator import ScriptSettings
from asyncflow.store.log_records import Retention
from asyncflow.store.records import StoreSettings

log = logging.getLogger("asyncflow.config")

_CALLBACK_KEY = "callback_key"  # what the addresses that services call are proved with
_LEAST_KEY = 16
_MOST_SECRET_BYTES = 64 << 10

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Section(BaseModel):
    """A part of the configuration; keys that are not known are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSection(Section):
    """Where `asyncflow serve` listens, whom it believes, and what it takes at most."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65_535)
    hosts: tuple[str, ...] = ()
    """Names it is called by besides loopback's."""
    origins: tuple[str, ...] = ()
    """Pages of other origins that may call."""
    callback_url: str = Field(default="", pattern=r"^(https?://[^/?#\s]+)?/?$")
    """Where services reach this server to tell that a job has ended."""
    insecure_no_auth: bool = False
    """Listen beyond loopback although no keys are asked for."""
    audit_workers: bool = False
    """Audit what workers say of their tasks too."""
    drain_timeout_s: float = Field(default=10.0, ge=0, le=3_600)
    """How long a stop waits for attempts under way."""
    on_stop: OnStop = "continue"
    """What a stop does to executions of workflows that do not say it themselves: nothing, or pause them."""
    crash_limit: int = Field(default=3, ge=0, le=1_000)
    """Processes in a row that may die while they are at one execution before it is set aside; 0 means any."""
    connections: Count = 20_000
    in_flight: Count = 2_000
    held: Count = 15_000
    """Requests that wait for news at once: long polls and streams."""
    bodies_bytes: Count = 128 << 20
    header_timeout_s: Seconds = 15.0
    body_timeout_s: Seconds = 30.0
    write_timeout_s: Seconds = 30.0
    idle_timeout_s: Seconds = 75.0


class StoreSection(Section):
    """The database file."""

    db: Path = Path("asyncflow.db")
    durability: Literal["full", "normal"] = "full"
    """Whether it survives a power cut, or only the end of the process."""
    takeover_wait_s: float = Field(default=15.0, ge=0, le=3_600)
    """How long to wait for another process to let go of the file."""
    size_limit: int = Field(default=0, ge=0)
    """Bytes; 0 means no limit."""
    payloads: Path | None = None
    """The folder for inputs and outputs over the limit; without it they are refused."""
    journal: Path | None = None
    """The folder of journal files, one per execution; without it there are none."""
    idempotency_life_s: float = Field(default=7 * 86_400, gt=0, le=3_660 * 86_400)
    """How long the idempotency key of a start counts."""
    query_timeout_s: float = Field(default=10.0, ge=0, le=3_600)
    """How long a list or a search may take, the wait for others included; 0 means any time."""
    query_connections: int = Field(default=2, ge=1, le=16)
    """Lists and searches that are answered at once."""


class HttpSection(Section):
    """What HTTP tasks may reach."""

    allow: tuple[str, ...] = ()
    """Hosts and networks that may be reached although they are not public."""

    @field_validator("allow")
    @classmethod
    def _are_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        AddressPolicy(value)
        return value


class ScriptsSection(Section):
    """Where JavaScript and jq of definitions run."""

    mode: Literal["thread", "process", "off"] = "thread"
    threads: Annotated[int, Field(ge=1, le=256)] = 4
    processes: Annotated[int, Field(ge=1, le=256)] = 2


class CommandsSection(Section):
    """Whether COMMAND tasks may run."""

    enabled: bool = False
    root: Path | None = None
    """Working directories lie in it."""
    wall_s: float = Field(default=86_400.0, gt=0)

    @model_validator(mode="after")
    def _has_root(self) -> Self:
        if self.enabled and self.root is None:
            raise ValueError("commands need a root, the folder that their working directories lie in")
        return self


class WorkersSection(Section):
    """How tasks are given to workers elsewhere."""

    fair: bool = True
    """Share tasks among all who poll; otherwise who comes first takes all it asks for."""
    max_in_flight: int = Field(default=0, ge=0, le=1_000_000_000)
    """Tasks that one worker may have at once, of all names; 0 means any."""
    prefer_s: float = Field(default=30.0, ge=0, le=86_400)
    """How long a task waits for the worker that its `reassign` asks for."""
    lost_s: Seconds = 300.0
    """A worker that has tasks and is not heard of so long counts as lost."""

    def hand_out(self) -> HandOutSettings:
        """The same as the engine takes it."""
        return HandOutSettings(self.fair, self.max_in_flight, self.prefer_s, self.lost_s)


class SecretSection(Section):
    """Where one secret is: in a variable of the environment, or in a file; its value is never shown."""

    env: str = ""
    file: Path | None = None

    @model_validator(mode="after")
    def _is_somewhere(self) -> Self:
        if bool(self.env) == (self.file is not None):
            raise ValueError("either env or file says where the secret is")
        return self

    def value(self, name: str, environment: Mapping[str, str]) -> str:
        """The secret itself; a line break at the end of a file is no part of it.

        Raises:
            ConfigurationError: it is not there; the message holds nothing of it.
        """
        if self.file is None:
            if self.env not in environment:
                raise ConfigurationError(f"secrets.{name}: the variable {self.env} is not set")
            return environment[self.env]
        try:
            with self.file.open("rb") as file:
                content = file.read(_MOST_SECRET_BYTES + 1)
            if len(content) > _MOST_SECRET_BYTES:
                raise ConfigurationError(f"secrets.{name}: larger than {_MOST_SECRET_BYTES} bytes")
            return content.decode().removesuffix("\n").removesuffix("\r")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise ConfigurationError(f"secrets.{name}: {self.file}: {reason}") from None


class IoSection(Section):
    """When the data volume of a task counts as unusual."""

    unusual_factor: float = Field(default=0.0, ge=0, le=1_000_000)
    """More than this times the median of its last runs, or less than that divided by it; 0 turns it off."""
    runs: int = Field(default=20, ge=1, le=1_000)
    least_runs: int = Field(default=5, ge=1, le=1_000)

    def rule(self) -> IoRule:
        """The same as the engine takes it."""
        return IoRule(self.unusual_factor, self.runs, self.least_runs)


class LogbookSection(Section):
    """How much is kept of the audit, and of the times at which schedules were due; 0 means all."""

    audit_entries: int = Field(default=1_000_000, ge=0, le=1_000_000_000)
    """Of each kind of object: executions, keys, what event handlers did, what listeners did not take."""
    audit_days: int = Field(default=0, ge=0, le=36_500)
    firings: int = Field(default=10_000, ge=0, le=1_000_000_000)
    """Of each schedule."""
    firing_days: int = Field(default=0, ge=0, le=36_500)

    def retention(self) -> Retention:
        """The same as the engine takes it."""
        return Retention(self.audit_entries, self.audit_days, self.firings, self.firing_days)


class PluginsSection(Section):
    """What is installed and shall not be used."""

    disabled: tuple[str, ...] = ()
    """Names of plugins, or `resource:NAME`, `task:NAME`, `listener:NAME`."""


class Config(Section):
    """Everything that can be configured."""

    server: ServerSection = ServerSection()
    store: StoreSection = StoreSection()
    limits: Limits = DEFAULT_LIMITS
    http: HttpSection = HttpSection()
    resources: dict[str, ResourceSection] = {}
    listeners: dict[str, ListenerSection] = {}
    plugins: PluginsSection = PluginsSection()
    scripts: ScriptsSection = ScriptsSection()
    commands: CommandsSection = CommandsSection()
    workers: WorkersSection = WorkersSection()
    io: IoSection = IoSection()
    logbook: LogbookSection = LogbookSection()
    retention: RetentionSection = RetentionSection()
    retention_of: dict[str, KeptSection] = {}
    """Rules of single workflows, by name; nothing is taken over from the others."""
    secrets: dict[str, SecretSection] = {}
    environment: dict[str, str] = {}
    """What `${workflow.env.NAME}` shows to every definition."""

    @field_validator("limits")
    @classmethod
    def _are_positive(cls, value: Limits) -> Limits:
        wrong = [each.name for each in fields(value) if getattr(value, each.name) <= 0]
        if wrong:
            raise ValueError(f"must be more than 0: {', '.join(wrong)}")
        return value

    def engine_settings(self, environment: Mapping[str, str]) -> EngineSettings:
        """What the engine is made with; secrets are read here, from this environment and from files.

        Raises:
            ConfigurationError: a secret is not where it should be, or a plugin does not take its settings.
        """
        commands = self.commands
        registry = Registry.load(disabled=self.plugins.disabled)
        secrets = {name: each.value(name, environment) for name, each in self.secrets.items()}
        check_plugins(self.resources, self.listeners, registry, secrets)
        callback = self.server.callback_url.rstrip("/")
        if callback and len(secrets.get(_CALLBACK_KEY, "")) < _LEAST_KEY:
            raise ConfigurationError(
                f"server.callback_url: a secret {_CALLBACK_KEY} of {_LEAST_KEY} characters or more is needed"
            )
        return EngineSettings(
            limits=self.limits,
            scripts=ScriptSettings(
                mode=self.scripts.mode, threads=self.scripts.threads, processes=self.scripts.processes
            ),
            http_allow=self.http.allow,
            commands=CommandPolicy(commands.enabled, commands.root, wall_seconds=commands.wall_s),
            environment=self.environment,
            secrets=secrets,
            resources={name: each.settings() for name, each in self.resources.items()},
            registry=registry,
            callback_address=f"{callback}/api/asyncflow/callback" if callback else "",
            callback_key=secrets[_CALLBACK_KEY].encode() if callback else b"",
            listeners={name: each.settings() for name, each in self.listeners.items()},
            payload_folder=self.store.payloads,
            idempotency_life_s=self.store.idempotency_life_s,
            hand_out=self.workers.hand_out(),
            io=self.io.rule(),
            crash_limit=self.server.crash_limit,
            on_stop=self.server.on_stop,
            logbook=self.logbook.retention(),
            retention=self.retention.retention(self.retention_of),
        )

    def store_settings(self) -> StoreSettings:
        """How the database file is opened."""
        store = self.store
        return StoreSettings(
            durability=store.durability,
            takeover_wait_s=store.takeover_wait_s,
            size_limit=store.size_limit,
            journal=store.journal,
            query_timeout_s=store.query_timeout_s,
            query_connections=store.query_connections,
        )


def check_plugins(
    resources: Mapping[str, ResourceSection],
    listeners: Mapping[str, ListenerSection],
    registry: Registry,
    secrets: Mapping[str, str],
) -> None:
    """Return if every plugin that is asked for takes its settings; broken plugins are told of in the log.

    Raises:
        ConfigurationError: there is no such plugin, or settings do not fit; names all of it.
    """
    faults = []
    for name, section in resources.items():
        try:
            broken = check_resource(section, f"resources.{name}", registry, secrets)
        except ConfigurationError as error:
            faults.append(str(error))
        else:
            if broken:
                log.error("resource %s cannot be used: %s", name, broken)
    for name, listener in listeners.items():
        try:
            check_listener(listener, name, registry, secrets)
        except ConfigurationError as error:
            faults.append(str(error))
    if faults:
        raise ConfigurationError("; ".join(faults))
