"""Starts with a key of the caller's: however often the same one is asked, one execution begins.

A key is recorded with the start itself, in one commit, so that no crash comes between them. What is
in the views is looked up there; what is newer is remembered here. Starts are made by `app/starting`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from asyncflow.app.start_requests import Strategy
from asyncflow.app.starting import Prepared, Starting, StartRequest
from asyncflow.errors import AsyncflowError, Conflict, KeyReused, NotFound
from asyncflow.model.state import ExecutionState
from asyncflow.store.journal import Views
from asyncflow.store.records import Condition, Page

_REMEMBERED = 20_000  # keys, before those that the views have are forgotten

Key = tuple[str, str]  # of the workflow's name and the caller's key


@dataclass(slots=True, eq=False)
class _Used:
    """What a key was used for; `answer` while that start is under way, `turn` once it is durable."""

    identity: str
    request_hash: str
    answer: asyncio.Future[ExecutionState] | None = None
    turn: int = 0
    began_ms: int = 0


# Two requests with one key meet in `_recent`, which is read and written without giving up the loop in
# between. The views are asked first only where it knows nothing; a key leaves it when they have it. A
# start that was let in begins even if its caller goes away, so the answer belongs to the key.


class Idempotency:
    """The keys of one engine; a key counts within the workflow of its name, for so long."""

    def __init__(self, starting: Starting, views: Views) -> None:
        """Know the keys that these views have."""
        self._starting, self._views = starting, views
        self._recent: dict[Key, _Used] = {}
        self._is_caught_up = False

    async def start(self, request: StartRequest, strategy: Strategy | None) -> str:
        """Start an execution, or give the one that its key started before; durable at return.

        A key without a strategy, or a strategy without a key, asks for nothing: a key is recorded then,
        for later requests.

        Raises:
            KeyReused: under RETURN_EXISTING, the key came with another request before.
            Conflict: the key was used, or under FAIL_ON_RUNNING is in use.
            NotFound, DefinitionError, InvalidInput, LimitExceeded: as `Starting.start`.
        """
        if strategy is None or not request.idempotency_key:
            return await self._starting.start(request)
        prepared = await self._starting.prepare(request)
        key = (prepared.graph.definition.name, request.idempotency_key)
        used = await self._find(key)
        if used is not None and strategy == "FAIL_ON_RUNNING" and await self._has_ended(used):
            known = self._recent.get(key)
            used = None if known is used else known  # somebody may have been quicker
        if used is None:
            return await self._begin(key, prepared)
        if strategy != "RETURN_EXISTING":
            raise Conflict(f"idempotency key {key[1]!r} started execution {used.identity}")
        if used.request_hash != request.request_hash:
            raise KeyReused(f"idempotency key {key[1]!r} came with another request before")
        if used.answer is not None:
            await asyncio.shield(used.answer)
        return used.identity

    async def start_all(
        self, starts: Sequence[tuple[StartRequest, Strategy | None]]
    ) -> list[str | AsyncflowError]:
        """Start several, each for itself, decided and committed together where nothing keeps one waiting.

        Returns:
            For each the id of its execution, or what `start` would have raised.
        """
        if any(strategy is not None and request.idempotency_key for request, strategy in starts):
            return await asyncio.gather(*(_outcome(self.start(*each)) for each in starts))
        # Without keys none of them needs an asyncio task of its own, which costs as much as deciding it.
        begun = [await self._begun(request) for request, _ in starts]
        return [each if isinstance(each, AsyncflowError) else await _outcome(each) for each in begun]

    async def _begun(self, request: StartRequest) -> asyncio.Future[ExecutionState] | AsyncflowError:
        """A start without a key, whose commit is not waited for."""
        try:
            prepared = await self._starting.prepare(request)
            return self._starting.begin(self._starting.draw_id(), prepared)
        except AsyncflowError as error:
            return error

    async def _begin(self, key: Key, prepared: Prepared) -> str:
        if len(self._recent) >= _REMEMBERED:
            self._forget()
        identity = self._starting.draw_id()
        answer = self._starting.begin(identity, prepared)
        began_ms = self._starting.engine.clock.now().elapsed_ms
        used = _Used(identity, prepared.command.request_hash, answer, began_ms=began_ms)
        self._recent[key] = used
        answer.add_done_callback(lambda done: self._began(key, used, done))
        await asyncio.shield(answer)
        return identity

    def _began(self, key: Key, used: _Used, answer: asyncio.Future[ExecutionState]) -> None:
        """The start is durable, or is not and never will be: then the key is free."""
        used.answer, used.turn = None, self._starting.engine.turns.number
        failed = answer.cancelled() or answer.exception() is not None
        if failed and self._recent.get(key) is used:
            del self._recent[key]

    def _forget(self) -> None:
        """Leave to the views what they have, the newest keys aside: somebody may be asking for them."""
        shown = self._starting.engine.projection.turn
        oldest = [*self._recent][: _REMEMBERED // 2]
        for key in oldest:
            used = self._recent[key]
            if used.answer is None and used.turn <= shown:
                del self._recent[key]

    # --- what was begun before ------------------------------------------------------------------------

    async def _find(self, key: Key) -> _Used | None:
        """The last use of a key, within its life."""
        engine = self._starting.engine
        since_ms = engine.clock.now().elapsed_ms - round(engine.settings.idempotency_life_s * 1000)
        known = self._remembered(key, since_ms)
        if known is not None:
            return known
        if not self._is_caught_up:  # what an earlier process recorded and did not show yet
            await engine.views_caught_up()
            self._is_caught_up = True
        conditions = [
            Condition("idempotency_key", "=", (key[1],)),
            Condition("name", "=", (key[0],)),
            Condition("started_at_ms", ">", (since_ms,)),
        ]
        rows = await self._views.list_executions(conditions, Page(1))
        found = [_Used(row.execution_id, row.request_hash) for row in rows]
        return self._remembered(key, since_ms) or (found[0] if found else None)

    def _remembered(self, key: Key, since_ms: int) -> _Used | None:
        """The last use that is remembered here, if it is under way or began after this time."""
        known = self._recent.get(key)
        if known is None or (known.answer is None and known.began_ms <= since_ms):
            return None
        return known

    async def _has_ended(self, used: _Used) -> bool:
        if used.answer is not None:
            return False
        try:
            return (await self._starting.engine.state(used.identity)).is_ended
        except NotFound:
            return True  # it was deleted


async def _outcome(begun: Awaitable[ExecutionState | str]) -> str | AsyncflowError:
    """The id of what was begun once it is durable, or why it did not begin."""
    try:
        ended = await begun
    except AsyncflowError as error:
        return error
    return ended if isinstance(ended, str) else ended.execution_id
