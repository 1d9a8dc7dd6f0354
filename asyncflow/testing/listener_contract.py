"""The contract of listeners as a suite: a plugin's tests inherit it, make one, and say what it hears.

A listener is told at least once, so it may be told again, after a restart too. What it may rely on is in
`plugins/listeners` and on the page on listeners.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from asyncflow.app.event_names import names_heard
from asyncflow.plugins.inspection import faults_of
from asyncflow.plugins.listeners import CommittedEvent, Listener
from asyncflow.testing.loop_guard import holds


class ListenerContract:
    """What every listener promises. Subclass it with the method `make`, and say `events`.

    Attributes:
        name: that of its entry point.
        events: some that it is told of.
        secrets: texts of the settings that may be in no `repr`.
    """

    name: ClassVar[str] = "contract"
    events: ClassVar[Sequence[CommittedEvent]] = ()
    secrets: ClassVar[Sequence[str]] = ()

    def make(self) -> Listener:
        """A listener, not opened; called several times in one test, as after a restart."""
        raise NotImplementedError

    async def test_class_is_a_plugin(self) -> None:
        """Its version, its settings and its patterns are in order."""
        assert faults_of("listener", self.name, type(self.make())) == []

    async def test_it_hears_of_events_that_there_are(self) -> None:
        """Every pattern fits the name of a published event, and it hears of those it is tested with."""
        heard = names_heard(type(self.make()).patterns)
        assert self.events, "say some events that it is told of"
        assert {each.name for each in self.events} <= heard

    async def test_close_needs_no_opening_before_it(self) -> None:
        """Closing is right after nothing, and after it was opened."""
        await self.make().close()
        listener = self.make()
        await listener.open()
        await listener.close()

    async def test_it_takes_every_event_and_takes_it_again(self) -> None:
        """It is told again of what it may have taken before: by the same engine, and by the next."""
        for _ in range(2):
            listener = self.make()
            await listener.open()
            for event in [*self.events, *self.events]:
                await listener.on_event(event)
            await listener.close()

    async def test_secrets_are_shown_nowhere(self) -> None:
        """Neither listener nor settings tell a secret."""
        listener = self.make()
        shown = f"{listener!r} {listener.config!r} {listener.config} {vars(listener)!r}"
        assert [each for each in self.secrets if each in shown] == []

    async def test_loop_is_never_held_up(self) -> None:
        """No call computes for 50 ms at a stretch or waits without letting others have a turn."""
        held = await holds(lambda _: self._from_open_to_close())
        assert any(each.is_short for each in held), held

    async def _from_open_to_close(self) -> None:
        listener = self.make()
        await listener.open()
        for event in self.events:
            await listener.on_event(event)
        await listener.close()
