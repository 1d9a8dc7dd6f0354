"""Lists of executions and tasks: Conductor's search, what runs, what correlates.

Everything is answered by the views, which are brought up to date first. What may be asked is in
`search_fields`, what is shown of it in `search_summaries`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from asyncflow.app.search_fields import (
    EXECUTION_FIELDS,
    TASK_FIELDS,
    bounded,
    conditions_of,
    containing,
    page_of,
)
from asyncflow.app.search_summaries import TaskFound, with_payloads
from asyncflow.errors import AsyncflowError
from asyncflow.model import free_text as words
from asyncflow.model.state import ExecutionState
from asyncflow.runtime.engine import Engine
from asyncflow.store.journal import Views
from asyncflow.store.records import AnyOf, Condition, ExecutionRow, Found, TaskHit, Where

_ANYTHING = "*"
_IDS = 100  # of one query, each looked up in the index
_AT_ONCE = 8  # executions that are loaded for a page of tasks


class Narrowed(NamedTuple):
    """Which executions are searched at all.

    Attributes:
        top_level_only: none that another one started as its child.
        classifier: that of their definitions, such as `workflow` or `agent`; "" for any.
    """

    top_level_only: bool = False
    classifier: str = ""


ANY = Narrowed()
"""All of them."""


class Search:
    """Queries over many executions of one engine; every one sees all that was durable when it was asked."""

    def __init__(self, engine: Engine, views: Views) -> None:
        """Search the views that this engine keeps up."""
        self._engine, self._views = engine, views

    async def executions(
        self,
        query: str = "",
        free_text: str = _ANYTHING,
        *,
        start: int = 0,
        size: int = 100,
        sort: Sequence[str] = (),
        narrowed: Narrowed = ANY,
    ) -> Found[ExecutionRow]:
        """How many executions there are, and a page of them, newest start first unless sorted.

        Raises:
            InvalidInput: query, sort or free text cannot be read, or the page is too large.
        """
        page = page_of(start, size, sort, EXECUTION_FIELDS)
        conditions = conditions_of(query, EXECUTION_FIELDS)
        if narrowed.top_level_only:
            conditions.append(Condition("parent_id", "=", ("",)))
        if narrowed.classifier:
            conditions.append(Condition("definition_hash", "classified", (narrowed.classifier,)))
        await self._engine.views_caught_up()
        if not words.is_everything(free_text):
            expression = words.matching(free_text)
            await self._engine.texts.caught_up()
            conditions.append(Condition("text", "matches", (expression,)))
        return await self._views.find_executions(conditions, page)

    async def tasks(
        self,
        query: str = "",
        free_text: str = _ANYTHING,
        *,
        start: int = 0,
        size: int = 100,
        sort: Sequence[str] = (),
    ) -> Found[TaskFound]:
        """How many tasks there are, and a page of them, scheduled last first unless sorted.

        Free text is looked for, letter case aside, in reference, name, type, reason, worker and domain.
        Raises as `executions`. Cost: loads the executions of the page, a few at a time.
        """
        page = page_of(start, size, sort, TASK_FIELDS)
        conditions = [*conditions_of(query, TASK_FIELDS), *containing(free_text)]
        await self._engine.views_caught_up()
        total, hits = await self._views.find_tasks(conditions, page)
        return Found(total, await self._whole(hits))

    async def _whole(self, hits: Sequence[TaskHit]) -> list[TaskFound]:
        """Tasks with their inputs and outputs, from a few executions at a time: a page may have thousands."""
        shown: dict[str, TaskFound] = {}
        by_execution: dict[str, list[TaskHit]] = {}
        for hit in hits:
            by_execution.setdefault(hit.task.execution_id, []).append(hit)
        names = sorted(by_execution)
        for first in range(0, len(names), _AT_ONCE):
            part = names[first : first + _AT_ONCE]
            states = await self._states(part)
            shown |= {
                hit.task.task_id: with_payloads(hit, states.get(name))
                for name in part
                for hit in by_execution[name]
            }
        return [shown[hit.task.task_id] for hit in hits]

    async def by_tasks(
        self,
        query: str = "",
        free_text: str = _ANYTHING,
        *,
        start: int = 0,
        size: int = 100,
        sort: Sequence[str] = (),
    ) -> Found[ExecutionRow]:
        """How many executions own tasks that meet a query of tasks, and a page of them; as `tasks`.

        `sort` names fields of executions.
        """
        page = page_of(start, size, sort, EXECUTION_FIELDS)
        conditions = [*conditions_of(query, TASK_FIELDS), *containing(free_text)]
        await self._engine.views_caught_up()
        return await self._views.find_owners(conditions, page)

    async def running(
        self, name: str, version: int = 1, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[str]:
        """Ids of executions of a version that go on; with both times all that began between them."""
        conditions: list[Where] = [Condition("name", "=", (name,)), Condition("version", "=", (version,))]
        if start_ms is not None and end_ms is not None:
            conditions.append(Condition("started_at_ms", ">=", (bounded(start_ms),)))
            conditions.append(Condition("started_at_ms", "<=", (bounded(end_ms),)))
        else:
            conditions.append(Condition("status", "in", ("RUNNING", "PAUSED")))
        await self._engine.views_caught_up()
        return [key.execution_id for key in await self._views.list_keys(conditions)]

    async def correlated(
        self, name: str, ids: Sequence[str], *, include_closed: bool = False
    ) -> dict[str, list[str]]:
        """Ids of executions of a workflow by correlation id, newest first; every id asked for is a key."""
        found: dict[str, list[str]] = {each: [] for each in ids}
        named = [each for each in found if each]
        await self._engine.views_caught_up()
        for first in range(0, len(named), _IDS):
            conditions: list[Where] = [
                Condition("name", "=", (name,)),
                AnyOf(tuple(Condition("correlation_id", "=", (one,)) for one in named[first : first + _IDS])),
            ]
            if not include_closed:
                conditions.append(Condition("status", "in", ("RUNNING", "PAUSED")))
            for key in await self._views.list_keys(conditions):
                found[key.correlation_id].append(key.execution_id)
        return found

    async def _states(self, names: Sequence[str]) -> dict[str, ExecutionState]:
        """The states of executions, without those that are gone or cannot be read."""
        found = await asyncio.gather(*map(self._engine.state, names), return_exceptions=True)
        for state in found:
            if isinstance(state, BaseException) and not isinstance(state, AsyncflowError):
                raise state
        return {
            name: state for name, state in zip(names, found, strict=True) if isinstance(state, ExecutionState)
        }
