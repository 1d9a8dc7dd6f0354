"""Keys for the tests of whoever may do what: one per role, and the headers that show them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from asyncflow.app.key_records import ROLES, NewKey
from asyncflow.app.keys import Keys
from asyncflow.model.turn import Moment
from asyncflow.runtime.clock import SystemClock
from tests.http.conftest import Answer, Server


@dataclass(frozen=True)
class KeyRing:
    """One key per role."""

    by_role: dict[str, NewKey]

    def headers(self, role: str) -> dict[str, str]:
        return bearer(self.by_role[role])


class MovedClock(SystemClock):
    """The machine's clock, moved by hand; the wall clock alone."""

    def __init__(self) -> None:
        super().__init__()
        self.moved_ms = 0

    def now(self) -> Moment:
        now = super().now()
        return now._replace(wall_ms=now.wall_ms + self.moved_ms)


def bearer(key: NewKey) -> dict[str, str]:
    """The header that shows a key."""
    return {"Authorization": f"Bearer {key.text}"}


async def key_ring(keys: Keys) -> KeyRing:
    """A key of each role; from here on keys are asked for."""
    made = {role: await keys.create(f"{role}-key", role) for role in reversed(ROLES)}
    return KeyRing(made)


async def token_for(server: Server, key: NewKey) -> str:
    """A token, as SDKs get it."""
    answer = await server.post("/api/token", json={"keyId": key.record.key_id, "keySecret": key.secret})
    assert answer.status == 200, answer.text
    assert isinstance(answer.json, dict)
    return str(answer.json["token"])


def error_word(answer: Answer) -> object:
    """The word in a refusal that Conductor's clients look at."""
    assert isinstance(answer.json, dict)
    return answer.json.get("error")


def stored_bytes(folder: Path) -> bytes:
    """Everything in the files of a folder."""
    return b"".join(each.read_bytes() for each in sorted(folder.iterdir()))


async def until(event: asyncio.Event) -> None:
    """Wait for an event, not for ever."""
    async with asyncio.timeout(60):
        await event.wait()
