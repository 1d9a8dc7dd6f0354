"""`Resource` and plugins as a program gives them to its engine, with the keys of `[resources.NAME]`.

What is said here is checked when it is said or when the engine is made; nothing is opened. The keys are
those of `app/resource_config`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from asyncflow.app.options import Registry, ResourceSettings
from asyncflow.app.resource_config import check_resource, parse_resource
from asyncflow.errors import ConfigurationError, InvalidInput
from asyncflow.model.resources import ResourceLimit
from asyncflow.plugins.listeners import Listener
from asyncflow.plugins.resources import ResourceManager
from asyncflow.plugins.tasks import TaskType

Plugins = Iterable[type] | Mapping[str, type]


class Resource:
    """A named resource: `Resource("emr-prod", type="emr", max_concurrent=8, region="eu-west-1")`.

    Attributes:
        name: what tasks call it.
        settings: what was said of it.
    """

    def __init__(self, name: str, *, type: str = "limit", **settings: object) -> None:  # noqa: A002 - as in the file
        """Keep what is said; keys are those of `[resources.NAME]`, those of the plugin included.

        Raises:
            InvalidInput: a setting of the engine's own does not fit; every one is named.
        """
        if not name:
            raise InvalidInput("a resource has a name", field="name")
        try:
            self._section = parse_resource({"type": type, **settings}, f"resources.{name}")
        except ConfigurationError as error:
            raise InvalidInput(str(error), field=name) from error
        self.name = name
        self.settings: ResourceSettings = self._section.settings()

    def __repr__(self) -> str:
        """Its name and type: settings may hold secrets."""
        return f"<resource {self.name} of type {self._section.type}>"

    def check(self, registry: Registry, secrets: Mapping[str, str]) -> None:
        """Return if the plugin takes these settings.

        Raises:
            InvalidInput: it does not, or there is none; every key is named.
        """
        try:
            broken = check_resource(self._section, f"resources.{self.name}", registry, secrets)
        except ConfigurationError as error:
            raise InvalidInput(str(error), field=self.name) from error
        if broken:
            raise InvalidInput(broken, field=f"resources.{self.name}.type")


_EXPECTED = "must be a mapping from names to ResourceLimit, or a list of Resource"

Resources = Mapping[str, ResourceLimit] | Iterable[Resource]


def resource_settings(given: object) -> dict[str, ResourceSettings | ResourceLimit]:
    """What an engine is made with, of limits by name or a list of resources.

    Raises:
        InvalidInput: it is neither.
    """
    if isinstance(given, Mapping):
        for name, limit in given.items():
            if not isinstance(limit, ResourceLimit) or not _is_limit(limit):
                said = "must be a ResourceLimit of whole numbers from 0, such as ResourceLimit(8)"
                raise InvalidInput(f"{said}, not {limit!r}", field=f"resources.{name}")
        return dict(given)
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise InvalidInput(_EXPECTED, field="resources")
    found: dict[str, ResourceSettings | ResourceLimit] = {}
    for each in given:
        if not isinstance(each, Resource):
            raise InvalidInput(f"{_EXPECTED}, not of {each!r}", field="resources")
        if each.name in found:
            raise InvalidInput("given twice", field=f"resources.{each.name}")
        found[each.name] = each.settings
    return found


def _is_limit(limit: ResourceLimit) -> bool:
    *numbers, is_open = limit
    return all(type(part) is int and part >= 0 for part in numbers) and isinstance(is_open, bool)


def with_plugins(registry: Registry, plugins: object) -> Registry:
    """The registry with these classes besides: types of task as they are, others by their names.

    Raises:
        InvalidInput: something is no plugin, or has to be given by name.
        PluginError: one cannot be used; says why.
    """
    resources: dict[str, type[ResourceManager]] = {}
    tasks: dict[str, type[TaskType]] = {}
    listeners: dict[str, type[Listener]] = {}
    if not isinstance(plugins, Iterable) or isinstance(plugins, str):
        raise InvalidInput("must be a list of TaskType classes, or plugins by name", field="plugins")
    named = plugins.items() if isinstance(plugins, Mapping) else ((None, each) for each in plugins)
    for name, kind in named:
        if isinstance(kind, type) and issubclass(kind, TaskType):
            tasks[name or kind.name] = kind
        elif not isinstance(kind, type) or not issubclass(kind, ResourceManager | Listener):
            raise InvalidInput(f"{kind!r} is no class of a plugin", field="plugins")
        elif name is None:
            said = f"{kind.__name__} has no name of its own: give plugins={{'name': {kind.__name__}}}"
            raise InvalidInput(said, field="plugins")
        elif issubclass(kind, ResourceManager):
            resources[name] = kind
        else:
            listeners[name] = kind
    return registry.with_classes(resources=resources, tasks=tasks, listeners=listeners)
