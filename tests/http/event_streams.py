"""Server-sent events as a client reads them, and executions that make some; for the tests of streams."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

import aiohttp

from tests.http.conftest import Server

WAITING = {
    "name": "waiting",
    "version": 1,
    "schemaVersion": 2,
    "tasks": [{"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}],
}


class Message(NamedTuple):
    """One message of a stream; a comment has neither event nor data."""

    id: str
    event: str
    data: dict[str, object]
    comment: str = ""


@dataclass
class Reader:
    """Reads a stream message by message."""

    response: aiohttp.ClientResponse

    async def message(self) -> Message:
        """The next one; an empty comment at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(60):
            while line := (await self.response.content.readline()).decode():
                if line == "\n":
                    break
                key, _, value = line.rstrip("\n").partition(": ")
                fields[key] = value
        data = json.loads(fields.get("data", "{}"))
        return Message(fields.get("id", ""), fields.get("event", ""), data, fields.get("", ""))

    async def until(self, *kinds: str) -> list[Message]:
        """The events up to the first of these kinds."""
        found: list[Message] = []
        while not found or found[-1].event not in kinds:
            message = await self.message()
            assert message != Message("", "", {}), found
            if message.event:
                found.append(message)
        return found


@asynccontextmanager
async def stream(server: Server, path: str, **headers: str) -> AsyncIterator[Reader]:
    """A stream that is open, its first lines read."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    async with server.session.get(server.url + path, headers=fields) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream"
        reader = Reader(response)
        assert await response.content.readline() == b"retry: 1000\n"
        assert await response.content.readline() == b"\n"
        yield reader


async def registered(server: Server, *names: str) -> None:
    for name in names:
        task = {"name": "v", "taskReferenceName": "v", "type": "SET_VARIABLE", "inputParameters": {"a": 1}}
        definition = {"name": name, "version": 1, "schemaVersion": 2, "tasks": [task]}
        assert (await server.put("/api/metadata/workflow", json=[definition])).status == 200


async def ran(server: Server, name: str) -> str:
    """The id of an execution that has ended."""
    workflow_id = (await server.post(f"/api/workflow/{name}", json={"word": "hello\nworld"})).text
    await server.services.executions.ended(workflow_id)
    return workflow_id
