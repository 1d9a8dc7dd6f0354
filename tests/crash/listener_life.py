"""A life of an engine with a listener that writes what it hears into a file, killed at a point.

Arguments: database, the file, a named point, and at which of its times. Executions run one after the other.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from asyncflow.plugins.listeners import CommittedEvent, Listener
from asyncflow.plugins.resources import PluginConfig
from tests.crash.calendar_life import say
from tests.crash.killing import Death, die_at
from tests.integration.listener_support import heard_by, ran

PATTERNS = ("execution.started", "execution.completed")


class Scribe(Listener):
    """Appends the id of each event, in the file at return."""

    def __init__(self, file: Path) -> None:
        super().__init__("scribe", PluginConfig())
        self._file = file

    async def on_event(self, event: CommittedEvent) -> None:
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(descriptor, f"{event.id} {event.name}\n".encode())
        os.close(descriptor)


async def live(database: str, file: str, point: str, nth: int) -> None:
    """Run executions until the point is reached as often as was said."""
    async with heard_by(Scribe(Path(file)), database=database, patterns=PATTERNS) as services:
        say("ready")
        die_at(Death(point, nth))
        for _ in range(200):
            await ran(services)
        say("over")


if __name__ == "__main__":
    asyncio.run(live(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])))
