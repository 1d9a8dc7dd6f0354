"""Which plugins there are: what is installed, what is built in, what is broken, and why.

A registry belongs to one engine; nothing here is global and nothing is made of a class. A plugin that
cannot be used is told of and stops nobody. What is asked of a class is in `plugins/inspection`; how its
settings are read is in `plugins/settings`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from typing import Literal, NamedTuple, Self, cast

from asyncflow.errors import PluginError
from asyncflow.plugins import inspection
from asyncflow.plugins.listeners import Listener
from asyncflow.plugins.resources import ResourceManager
from asyncflow.plugins.tasks import TaskType

Kind = Literal["resource", "task", "listener"]

GROUPS: Mapping[str, Kind] = {
    "asyncflow.resources": "resource",
    "asyncflow.tasks": "task",
    "asyncflow.listeners": "listener",
}
"""Groups of entry points, and what is found in each."""

BUILT_IN: Mapping[str, str] = {
    "limit": "asyncflow.managers.limit:LimitManager",
    "http-service": "asyncflow.managers.http_service:HttpServiceManager",
    "command": "asyncflow.managers.command:CommandManager",
    "workflow-server": "asyncflow.managers.workflow_server:WorkflowServerManager",
}
"""Types of resource that asyncflow brings itself, as entry points would name them."""

BUILT_IN_LISTENERS: Mapping[str, str] = {
    "webhook": "asyncflow.watchers.webhook:Webhook",
    "log": "asyncflow.watchers.log:EventLog",
}
"""Listeners that asyncflow brings itself, likewise."""

_GROUP_OF = {kind: group for group, kind in GROUPS.items()}
_MOST_REASON = 1_000


class Failure(NamedTuple):
    """A plugin that cannot be used."""

    group: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin that was found, usable or not.

    Attributes:
        name: of the entry point: the type of resource, the type of task, or the name of the listener.
        distribution, version: the package that brings it; "asyncflow" and "" for what is built in.
        target: the module and the class in it.
        state: `ready`, `failed` (see `reason`) or `disabled` by the configuration.
        found: the class, where it is ready.
    """

    kind: Kind
    name: str
    target: str
    distribution: str = ""
    version: str = ""
    state: Literal["ready", "failed", "disabled"] = "ready"
    reason: str = ""
    found: type | None = None


@dataclass(frozen=True, slots=True)
class _Candidate:
    """What may be a plugin, before its module is imported."""

    plugin: Plugin
    load: Callable[[], object]


class Registry:
    """The plugins of one engine; classes are imported when one of them is first asked for."""

    def __init__(self, candidates: Iterable[_Candidate] = (), *, disabled: Iterable[str] = ()) -> None:
        """Use `load` or `built_in`; `disabled` are names, or `<kind>:<name>`, of what is left out."""
        self._candidates = [*candidates]
        self._disabled = frozenset(disabled)
        self._plugins: list[Plugin] | None = None

    @classmethod
    def load(cls, *, disabled: Iterable[str] = ()) -> Self:
        """Everything that is built in or installed in this environment; nothing is imported yet.

        Cost: some milliseconds, as the entry points of all installed packages are read.
        """
        return cls([*_built_in(), *_installed()], disabled=disabled)

    @classmethod
    def built_in(cls) -> Self:
        """What asyncflow brings itself, and nothing that is installed."""
        return cls(_built_in())

    def with_classes(
        self,
        *,
        resources: Mapping[str, type[ResourceManager]] | None = None,
        tasks: Iterable[type[TaskType]] | Mapping[str, type[TaskType]] = (),
        listeners: Mapping[str, type[Listener]] | None = None,
    ) -> Self:
        """Another registry with these classes besides, checked as installed ones are.

        Raises:
            PluginError: one of them cannot be used; says of each why.
        """
        named = tasks if isinstance(tasks, Mapping) else {each.name: each for each in tasks}
        given: list[tuple[Kind, Mapping[str, type]]] = [
            ("resource", resources or {}),
            ("task", named),
            ("listener", listeners or {}),
        ]
        more = [_of_class(kind, name, found) for kind, classes in given for name, found in classes.items()]
        made = type(self)([*self._candidates, *more], disabled=self._disabled)
        added = {(each.plugin.kind, each.plugin.name) for each in more}
        faults = [f"{each.name}: {each.reason}" for each in made.plugins if _is_fault(each, added)]
        if faults:
            raise PluginError("; ".join(faults))
        return made

    # --- what there is ----------------------------------------------------------------------------

    @property
    def plugins(self) -> tuple[Plugin, ...]:
        """Every plugin, in the order in which they were found; imports them when first asked for."""
        if self._plugins is None:
            self._plugins = [*self._checked()]
        return tuple(self._plugins)

    @property
    def resources(self) -> dict[str, type[ResourceManager]]:
        """Managers by type of resource."""
        return cast("dict[str, type[ResourceManager]]", self._ready("resource"))

    @property
    def tasks(self) -> dict[str, type[TaskType]]:
        """Types of task that are performed in this process, by name."""
        return cast("dict[str, type[TaskType]]", self._ready("task"))

    @property
    def listeners(self) -> dict[str, type[Listener]]:
        """Listeners by name; one hears nothing before it is configured."""
        return cast("dict[str, type[Listener]]", self._ready("listener"))

    @property
    def failed(self) -> list[Failure]:
        """What cannot be used, and why."""
        return [
            Failure(_GROUP_OF[each.kind], each.name, each.reason)
            for each in self.plugins
            if each.state == "failed"
        ]

    @property
    def job_types(self) -> dict[str, str]:
        """By type of task that becomes a job: the type of resource that takes it."""
        return {task: name for name, manager in self.resources.items() for task in manager.tasks}

    @property
    def task_types(self) -> frozenset[str]:
        """Every type of task that a plugin brings."""
        return frozenset(self.tasks) | frozenset(self.job_types)

    def why_not(self, kind: Kind, name: str) -> str:
        """Why there is no such plugin, for people: failed, disabled, or not installed; and what there is."""
        for each in self.plugins:
            if (each.kind, each.name) == (kind, name) and each.state != "ready":
                return f"the plugin {name} is {each.state}{f': {each.reason}' if each.reason else ''}"
        listed = ", ".join(sorted(self._ready(kind))) or "none"
        return f"no plugin of this name is installed; there are: {listed}"

    def _ready(self, kind: Kind) -> dict[str, type]:
        return {
            each.name: each.found
            for each in self.plugins
            if each.kind == kind and each.state == "ready" and each.found is not None
        }

    # --- loading ----------------------------------------------------------------------------------

    def _checked(self) -> Iterator[Plugin]:
        taken: set[tuple[str, str]] = set()
        types: dict[str, str] = {}
        for candidate in self._candidates:
            plugin = candidate.plugin
            if {plugin.name, f"{plugin.kind}:{plugin.name}"} & self._disabled:
                yield replace(plugin, state="disabled")
                continue
            loaded = _loaded(candidate)
            if loaded.state == "ready" and loaded.found is not None:
                loaded = _without_clash(loaded, taken, types)
            yield loaded


def _is_fault(plugin: Plugin, added: set[tuple[Kind, str]]) -> bool:
    return plugin.state == "failed" and (plugin.kind, plugin.name) in added


def _built_in() -> list[_Candidate]:
    brought: list[tuple[Kind, Mapping[str, str]]] = [("resource", BUILT_IN), ("listener", BUILT_IN_LISTENERS)]
    return [
        _Candidate(Plugin(kind, name, target, "asyncflow"), metadata.EntryPoint(name, target, "").load)
        for kind, targets in brought
        for name, target in targets.items()
    ]


def _installed() -> Iterator[_Candidate]:
    for group, kind in GROUPS.items():
        for point in sorted(metadata.entry_points(group=group), key=lambda each: (each.name, each.value)):
            package = point.dist
            named = ("", "") if package is None else (package.name, package.version)
            yield _Candidate(Plugin(kind, point.name, point.value, *named), point.load)


def _of_class(kind: Kind, name: str, found: object) -> _Candidate:
    target = f"{getattr(found, '__module__', '')}:{getattr(found, '__qualname__', found)}"
    return _Candidate(Plugin(kind, name, target), lambda: found)


def _loaded(candidate: _Candidate) -> Plugin:
    """The plugin with its class, or with the reason why there is none."""
    plugin = candidate.plugin
    try:
        found = candidate.load()
        faults = inspection.faults_of(plugin.kind, plugin.name, found)
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException as error:  # noqa: BLE001 - code of strangers: also sys.exit() stops nobody
        return _failing(plugin, f"{type(error).__name__}: {error}")
    if faults:
        return _failing(plugin, "; ".join(faults))
    assert isinstance(found, type)
    return replace(plugin, found=found)


def _failing(plugin: Plugin, reason: str) -> Plugin:
    return replace(plugin, state="failed", reason=reason[:_MOST_REASON], found=None)


def _without_clash(plugin: Plugin, taken: set[tuple[str, str]], types: dict[str, str]) -> Plugin:
    """The plugin, failed where an earlier one has its name or one of its task types."""
    key = (plugin.kind, plugin.name)
    if key in taken:
        return _failing(plugin, f"another plugin is {plugin.kind} {plugin.name} already")
    named: Iterable[str] = ()
    if plugin.kind == "task":
        named = (plugin.name,)
    elif plugin.kind == "resource":
        named = cast("type[ResourceManager]", plugin.found).tasks
    clashes = [f"the task type {each} is brought by {types[each]} already" for each in named if each in types]
    if clashes:
        return _failing(plugin, "; ".join(clashes))
    taken.add(key)
    types.update((each, f"{plugin.kind} {plugin.name}") for each in named)
    return plugin
