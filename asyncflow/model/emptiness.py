"""Containers of a record that most records never use: one empty one for all, until something is put in.

An empty deque takes 0.6 KB, so a state would be mostly nothing. Whoever writes says `own` first and keeps
what it gives; a write that forgot to breaks at once. Only `decide/evolve` and what it calls do so.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Never, TypeVar

K = TypeVar("K")
V = TypeVar("V")


def _refuse(*_given: object, **_named: object) -> Never:
    """Shared by all states: it has to be owned before it is written to."""
    raise TypeError("this container is shared: take `own(...)` of it first")


class _NoEntries(dict[Any, Any]):  # of whatever types the field has
    """Empty for ever; reading, `clear` and `pop` with a default do what they do to any empty dict."""

    __slots__ = ()
    __hash__ = object.__hash__  # type: ignore[assignment]  # a default of a field has to have one
    __setitem__ = __ior__ = setdefault = update = _refuse


class _NoQueue(deque[Any]):  # of whatever type the field has
    """Empty for ever; reading and `clear` do what they do to any empty deque."""

    __slots__ = ()
    __hash__ = object.__hash__  # type: ignore[assignment]  # as above
    append = appendleft = extend = extendleft = insert = __iadd__ = _refuse


NO_ENTRIES: Final[dict[Any, Any]] = _NoEntries()
NO_QUEUE: Final[deque[Any]] = _NoQueue()


def own(found: dict[K, V]) -> dict[K, V]:
    """The mapping itself, or a new one in place of the shared one; put it where it was found."""
    return {} if type(found) is _NoEntries else found


def own_queue(found: deque[V]) -> deque[V]:
    """As `own`, of a queue."""
    return deque() if type(found) is _NoQueue else found
