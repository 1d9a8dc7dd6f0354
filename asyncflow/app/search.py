"""Lists of executions and tasks: Conductor's search, what runs, what correlates.

Everything is answered by the views, which are brought up to date first. What may be asked is in
`search_fields`, what is shown of it in `search_summaries`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

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
from asyncflow.store.records import AnyOf, Condition, ExecutionRow, Found, Page, Where

_ANYTHING = "*"


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
        top_level_only: bool = False,
    ) -> Found[ExecutionRow]:
        """How many executions there are, and a page of them, newest start first unless sorted.

        Raises:
            InvalidInput: query, sort or free text cannot be read, or the page is too large.
        """
        page = page_of(start, size, sort, EXECUTION_FIELDS)
        conditions = conditions_of(query, EXECUTION_FIELDS)
        if top_level_only:
            conditions.append(Condition("parent_id", "=", ("",)))
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
        Raises as `executions`. Cost: loads the executions of the page that are not in memory.
        """
        page = page_of(start, size, sort, TASK_FIELDS)
        conditions = [*conditions_of(query, TASK_FIELDS), *containing(free_text)]
        await self._engine.views_caught_up()
        total, hits = await self._views.find_tasks(conditions, page)
        states = await self._states({hit.task.execution_id for hit in hits})
        return Found(total, [with_payloads(hit, states.get(hit.task.execution_id)) for hit in hits])

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
        return [row.execution_id for row in await self._all(conditions)]

    async def correlated(
        self, name: str, ids: Sequence[str], *, include_closed: bool = False
    ) -> dict[str, list[str]]:
        """Ids of executions of a workflow by correlation id, newest first; every id asked for is a key."""
        conditions: list[Where] = [
            Condition("name", "=", (name,)),
            AnyOf(tuple(Condition("correlation_id", "=", (each,)) for each in dict.fromkeys(ids) if each)),
        ]
        if not include_closed:
            conditions.append(Condition("status", "in", ("RUNNING", "PAUSED")))
        found: dict[str, list[str]] = {each: [] for each in ids}
        for row in await self._all(conditions):
            found[row.correlation_id].append(row.execution_id)
        return found

    async def _all(self, conditions: list[Where]) -> list[ExecutionRow]:
        await self._engine.views_caught_up()
        return (await self._views.find_executions(conditions, Page(limit=-1))).rows

    async def _states(self, ids: set[str]) -> dict[str, ExecutionState]:
        """The states of executions, without those that are gone or cannot be read."""
        names = sorted(ids)
        found = await asyncio.gather(*map(self._engine.state, names), return_exceptions=True)
        for state in found:
            if isinstance(state, BaseException) and not isinstance(state, AsyncflowError):
                raise state
        return {
            name: state for name, state in zip(names, found, strict=True) if isinstance(state, ExecutionState)
        }
