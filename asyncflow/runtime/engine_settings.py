"""What an engine is made with, parsed once: limits, policies, folders, resources, plugins, listeners.

It checks nothing and opens nothing; files of settings are read by `app/config`. What each part does with its
own is said where the part is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from asyncflow.model.extension import OnStop
from asyncflow.model.installation import Installation
from asyncflow.model.io_rule import NO_IO_RULE, IoRule
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.retention import ALL_KEPT, ExecutionRetention
from asyncflow.plugins.listening import ListenerSettings
from asyncflow.plugins.registry import Registry
from asyncflow.runtime.command_task import CommandPolicy
from asyncflow.runtime.demand import HandOutSettings
from asyncflow.runtime.scripts.evaluator import ScriptSettings
from asyncflow.store.log_records import KEPT, Retention


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine is made with; parsed once, by `app/config`.

    `http_allow` are hosts and networks that HTTP tasks may reach although they are not public.
    `environment` is what `${workflow.env.X}` shows, `secrets` the values of
    `${workflow.secrets.X}`. `installation` goes into tokens, see `identity`. `keep_ended` executions stay in
    memory after their end. What is over `payload_bytes` goes to the `payload_folder`; None refuses it. Each
    resource has a folder of its own in `resource_folder`; beside a database file, see `app/build`. Turns
    of more than `turn_log_bytes` are made into segments. Idempotency keys count for `idempotency_life_s`.
    Without a `registry` there are only the plugins that are built in. Services are given addresses below
    `callback_address` to call when a job has ended, with a proof under `callback_key`; see `jobs/callbacks`.
    What the process is at is kept in `touched_file`, beside a database file; an execution that `crash_limit`
    processes in a row were at when they died is set aside, none with 0. `on_stop` is what a stop does to
    executions whose definition does not say it.
    """

    limits: Limits = DEFAULT_LIMITS
    scripts: ScriptSettings = field(default_factory=ScriptSettings)
    http_allow: tuple[str, ...] = ()
    commands: CommandPolicy = field(default_factory=lambda: CommandPolicy(enabled=False, root=None))
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    resources: Mapping[str, ResourceSettings | ResourceLimit] = field(default_factory=dict)
    installation: str = ""
    installation_since_ms: int = 0
    keep_ended: int = 256
    payload_folder: Path | None = None
    resource_folder: Path | None = None
    turn_log_bytes: int = 64 << 20
    hand_out: HandOutSettings = field(default_factory=HandOutSettings)
    idempotency_life_s: float = 7 * 86_400
    registry: Registry | None = None
    listeners: Mapping[str, ListenerSettings] = field(default_factory=dict)
    io: IoRule = NO_IO_RULE
    logbook: Retention = KEPT
    retention: ExecutionRetention = ALL_KEPT
    touched_file: Path | None = None
    crash_limit: int = 3
    on_stop: OnStop = "continue"
    callback_address: str = ""
    callback_key: bytes = field(default=b"", repr=False)

    @property
    def identity(self) -> Installation:
        """Which installation this is, and since when."""
        return Installation(self.installation, self.installation_since_ms)


def bounded_scripts(settings: EngineSettings) -> ScriptSettings:
    """The settings of scripts with the limits that hold in this engine."""
    limits = settings.limits
    return replace(
        settings.scripts,
        wall_seconds=limits.script_seconds,
        memory_bytes=limits.script_memory_bytes,
        output_bytes=limits.script_output_bytes,
    )
