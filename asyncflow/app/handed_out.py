"""Tasks on their way to a worker and back: secrets and stored payloads put in, secrets taken out.

What is recorded holds placeholders and references only; a worker elsewhere gets the values, as an
attempt in this process does. Who gets which task is `runtime/hand_out`.
"""

from __future__ import annotations

import asyncio
from typing import cast

from pydantic_core import to_json

from asyncflow.errors import AsyncflowError
from asyncflow.ids import task_number
from asyncflow.model.inputs import AttemptEnded, ReleaseAttempt
from asyncflow.model.payload_reference import STORED_MARK
from asyncflow.model.state import TaskState
from asyncflow.model.statuses import FAILED
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.secrets_in_use import SecretsInUse

_SECRET = b"workflow.secrets"


class HandedOut:
    """What workers elsewhere are given by one engine, complete."""

    def __init__(self, engine: Engine) -> None:
        """Nothing was given."""
        self._engine = engine

    async def poll(
        self, name: str, domain: str, *, worker: str, count: int, timeout_ms: int, version: str
    ) -> list[JsonObject]:
        """Tasks with complete inputs; one whose input cannot be had fails, and is not among them.

        Cancellation: as `HandOut.poll`.
        """
        return await self.completed(
            await self._engine.carry.hand_out.poll(
                name, domain, worker=worker, count=count, timeout_ms=timeout_ms, version=version
            )
        )

    async def completed(self, found: list[JsonObject]) -> list[JsonObject]:
        """What a poll gave, with complete inputs; as `poll`."""
        texts = [to_json(task["inputData"]) if task["inputData"] else b"" for task in found]
        if not any(STORED_MARK in text or _SECRET in text for text in texts):
            return found
        try:
            return [task for task, text in zip(found, texts, strict=True) if await self._complete(task, text)]
        except asyncio.CancelledError:
            for task in found:
                self._report(task, "the worker that polled for it was gone", failed=False)
            raise

    async def _complete(self, task: JsonObject, text: bytes) -> bool:
        try:
            given = task["inputData"]
            if _SECRET in text:
                given = SecretsInUse(self._engine.settings.secrets).fill(cast("JsonObject", given))
            if STORED_MARK in text:
                given = await self._engine.payloads.hydrate(given)
        except AsyncflowError as fault:
            self._report(task, str(fault), failed=True)
            return False
        task["inputData"] = given
        return True

    def _report(self, task: JsonObject, reason: str, *, failed: bool) -> None:
        stream = str(task["workflowInstanceId"])
        number = task_number(stream, str(task["taskId"]))
        assert number is not None  # we made the id
        report = AttemptEnded(number, FAILED, {}, reason) if failed else ReleaseAttempt(number, reason)
        self._engine.turns.report(stream, report)

    def masked(self, output: JsonObject, task: TaskState) -> JsonObject:
        """What a worker gives back, without the secrets that its task was given."""
        if not self._engine.settings.secrets or not task.input:
            return output
        secrets = SecretsInUse(self._engine.settings.secrets)
        secrets.fill(task.input)
        return secrets.masked(output)

    def masked_text(self, text: str | None, task: TaskState) -> str | None:
        """The same of the reason that a worker gives."""
        return text and str(self.masked({"": text}, task)[""])
