"""The event handlers of an engine, found by name and by the event that they listen to.

It stores nothing and gives nobody a message: documents are kept by `event_handlers`, messages brought by
`event_delivery`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncflow.app.event_definitions import Handler


class HandlerBook:
    """Handlers by name and by event.

    Cost: one of them is put in, taken out or found by its event in the same time, however many there are.
    """

    def __init__(self) -> None:
        """No handler yet."""
        self._by_name: dict[str, Handler] = {}
        self._by_event: dict[str, dict[str, Handler]] = {}
        self._active = 0

    def __iter__(self) -> Iterator[Handler]:
        """All of them, in the order in which they were first put in."""
        return iter(self._by_name.values())

    @property
    def has_active(self) -> bool:
        """Whether any of them is active."""
        return self._active > 0

    def get(self, name: str) -> Handler | None:
        """The handler of this name."""
        return self._by_name.get(name)

    def of_event(self, event: str) -> Iterable[Handler]:
        """Those that listen to an event, active or not."""
        return self._by_event.get(event, {}).values()

    def put(self, handler: Handler) -> None:
        """There is this one now, in place of the one of its name."""
        before = self._by_name.get(handler.name)
        if before is not None:
            self._forget(before)
        self._by_name[handler.name] = handler
        self._by_event.setdefault(handler.event, {})[handler.name] = handler
        self._active += handler.is_active

    def drop(self, name: str) -> None:
        """There is none of this name any more."""
        before = self._by_name.pop(name, None)
        if before is not None:
            self._forget(before)

    def _forget(self, handler: Handler) -> None:
        listening = self._by_event[handler.event]
        del listening[handler.name]
        if not listening:
            del self._by_event[handler.event]
        self._active -= handler.is_active
