"""Listeners as a program gives them to its engine: made by it, told under their own names.

What is said here is checked when the engine is made; nothing is opened. How they are told is in
`app/listening`.
"""

from __future__ import annotations

from asyncflow.app.event_names import names_heard
from asyncflow.errors import ConfigurationError, InvalidInput
from asyncflow.plugins.listeners import Listener
from asyncflow.plugins.listening import ListenerSettings


def listener_settings(given: object) -> dict[str, ListenerSettings]:
    """What an engine is made with, of a list of listeners.

    Raises:
        InvalidInput: one is no listener, has the name of another, or hears of no event that there is.
    """
    if not isinstance(given, list | tuple | set | frozenset):
        raise InvalidInput("must be a list of listeners", field="listeners")
    found: dict[str, ListenerSettings] = {}
    for each in given:
        if not isinstance(each, Listener):
            raise InvalidInput(f"must be a list of listeners, not of {each!r}", field="listeners")
        if each.name in found:
            raise InvalidInput("given twice", field=f"listeners.{each.name}")
        try:
            names_heard(each.patterns)
        except ConfigurationError as error:
            raise InvalidInput(str(error), field=f"listeners.{each.name}") from error
        found[each.name] = ListenerSettings(made=each)
    return found
