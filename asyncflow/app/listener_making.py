"""A listener made of what is said of it: its plugin found, its settings read, its patterns looked up.

Nothing is opened. What is wrong is told by the key it stands under; who acts on it is `listeners`.
"""

from __future__ import annotations

import logging

from asyncflow.app.event_names import names_heard
from asyncflow.app.listening import Post
from asyncflow.errors import ConfigurationError
from asyncflow.plugins.listeners import Listener
from asyncflow.plugins.listening import ListenerSettings
from asyncflow.plugins.settings import read_config
from asyncflow.runtime.engine import Engine

log = logging.getLogger("asyncflow.listeners")


def post_of(engine: Engine, name: str, settings: ListenerSettings) -> Post:
    """The listener, and the names that it hears.

    Raises:
        ConfigurationError: there is no such plugin, it does not take these settings, or it hears of nothing.
    """
    listener = settings.made or _made(engine, name, settings)
    return Post(name, listener, settings, names_heard(listener.patterns, settings.patterns))


def _made(engine: Engine, name: str, settings: ListenerSettings) -> Listener:
    wanted, registry = settings.type or name, engine.registry
    kind = registry.listeners.get(wanted)
    if kind is None:
        raise ConfigurationError(f"listeners.{name}.type: {registry.why_not('listener', wanted)}")
    config = read_config(
        kind.Config, settings.config, place=f"listeners.{name}", secrets=engine.settings.secrets
    )
    try:
        return kind(name, config)
    except Exception as error:
        log.exception("listener not made", extra={"listener": name})
        raise ConfigurationError(f"listeners.{name}: {type(error).__name__}") from error
