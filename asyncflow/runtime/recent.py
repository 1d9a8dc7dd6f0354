"""At most so many names that come from outside: those that were not heard of for the longest are given up.

It holds names only and judges nothing; whether one is still needed says whoever holds what it names, such
as `runtime/demand` and `runtime/worker_roll`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from typing import Generic, TypeVar

_LOOKS = 8  # at each new name so many are looked at, at most

Name = TypeVar("Name", bound=Hashable)


class Recent(Generic[Name]):
    """Names in the order in which they were last heard of. Every method costs a few steps, however many."""

    __slots__ = ("_most", "_order")

    def __init__(self, most: int) -> None:
        """None are known; of more than `most` the oldest are outdated."""
        self._most = most
        self._order: OrderedDict[Name, None] = OrderedDict()

    def touch(self, name: Name) -> None:
        """A name was heard of just now."""
        self._order[name] = None
        self._order.move_to_end(name)

    def discard(self, name: Name) -> None:
        """A name is known no more."""
        self._order.pop(name, None)

    def outdated(self, is_needed: Callable[[Name], bool] | None = None) -> Iterator[Name]:
        """Those too many, the oldest first, a few at a time; they are known no more.

        One that is needed counts as heard of now. So there are more than `most` only while more are needed.
        """
        for _ in range(min(_LOOKS, len(self._order) - 1)):  # never the newest, which the caller is at
            if len(self._order) <= self._most:
                return
            name = next(iter(self._order))
            if is_needed is not None and is_needed(name):
                self._order.move_to_end(name)
            else:
                del self._order[name]
                yield name

    def newest(self) -> Iterator[Name]:
        """All, the one last heard of first."""
        return reversed(self._order)
