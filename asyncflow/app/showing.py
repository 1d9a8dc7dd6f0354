"""Executions and their tasks as JSON text in Conductor's shapes, made in slices.

A small execution is shown as it stands at one moment; of a large one each slice is, and no slice
shows what is not durable. Shapes are in `decide/render`; lists of many executions in `app/search`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass

from pydantic_core import to_json

from asyncflow.decide.render import ordered_tasks, render_execution, render_task
from asyncflow.decide.snapshots import definition_text
from asyncflow.errors import NotFound, StoreError
from asyncflow.model.graph import Graph
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonObject
from asyncflow.runtime.clock import breathe
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.reading import wide_forks_shown

STREAMED = 5_000
"""Executions of more task records are streamed."""

_AT_ONCE = 1_000  # records rendered without giving up the loop: some 20 ms
_SLICE = 250
_SMALL = 200  # nodes of a definition that is rendered on the loop


@dataclass(frozen=True, slots=True)
class Shown:
    """JSON text: whole, or in pieces where it is large."""

    text: bytes = b""
    pieces: AsyncIterator[bytes] | None = None


class Showing:
    """What users see of the executions of one engine; all of it is durable when it is given."""

    def __init__(self, engine: Engine) -> None:
        """Show the executions of this engine."""
        self._engine = engine

    async def execution(self, stream: str, *, include_tasks: bool = True) -> Shown:
        """A Workflow with the definition it is bound to.

        Raises:
            NotFound: nothing is recorded under this id.
            StoreError: its history cannot be read, or the engine stopped.

        Cost: without tasks independent of their number.
        """
        state = await self._engine.state(stream)
        return await self._execution(state, include_tasks=include_tasks)

    async def detached(self, state: ExecutionState) -> Shown:
        """The same of an execution that is not the engine's own."""
        return await self._execution(state, include_tasks=True)

    async def _execution(self, state: ExecutionState, *, include_tasks: bool) -> Shown:
        definition = await _definition(state.graph)
        shown = render_execution(state, include_tasks=False)
        del shown["tasks"]
        head = to_json(shown, inf_nan_mode="null")[:-1] + b',"workflowDefinition":' + definition
        return await self._with_tasks(state, head, ordered_tasks(state) if include_tasks else [])

    async def with_tasks(self, state: ExecutionState, body: JsonObject) -> Shown:
        """An object about an execution, with its tasks added."""
        await _definition(state.graph)
        head = to_json(body, inf_nan_mode="null")[:-1]
        return await self._with_tasks(state, head, ordered_tasks(state))

    async def settled(self, state: ExecutionState) -> None:
        """Wait until all that a state shows now is durable. Raises StoreError."""
        await self._engine.turns.settled(state.execution_id)

    async def executions(self, streams: Sequence[str], *, include_tasks: bool = True) -> AsyncIterator[Shown]:
        """Several executions, one after another, without those that cannot be read. Raises StoreError."""
        for stream in streams:
            try:
                yield await self.execution(stream, include_tasks=include_tasks)
            except (NotFound, StoreError):
                self._engine.turns.check_running()

    async def briefs(self, streams: Sequence[str]) -> list[JsonObject]:
        """Executions without tasks and definitions; otherwise as `executions`."""
        found: list[JsonObject] = []
        for stream in streams:
            try:
                found.append(await self._engine.read(stream, include_tasks=False))
            except (NotFound, StoreError):
                self._engine.turns.check_running()
        return found

    async def status(self, stream: str, *, output: bool = False, variables: bool = False) -> JsonObject:
        """The status of an execution with what else is asked for. Raises as `execution`."""
        state = await self._engine.state(stream)
        found: JsonObject = {"workflowId": stream, "status": state.status}
        if state.correlation_id is not None:
            found["correlationId"] = state.correlation_id
        if output:
            found["output"] = state.output
        if variables:
            found["variables"] = dict(state.variables)
        await self._engine.turns.settled(stream)
        return found

    async def tasks(
        self, stream: str, *, start: int = 0, count: int = 15, statuses: Collection[str] = ()
    ) -> JsonObject:
        """A page of the tasks of an execution, in their order, and how many there are.

        Raises as `execution`.
        """
        state = await self._engine.state(stream)
        await _definition(state.graph)
        found = [each for each in ordered_tasks(state) if not statuses or each.status in statuses]
        results: list[JsonObject] = []
        for first in range(start, min(start + count, len(found)), _SLICE):
            page = found[first : min(first + _SLICE, start + count)]
            results += [render_task(state, each) for each in page]
            await breathe()
        await self._engine.turns.settled(stream)
        return {"totalHits": len(found), "results": results}

    async def _with_tasks(self, state: ExecutionState, head: bytes, records: Sequence[TaskState]) -> Shown:
        """An object whose text lacks its last brace, with these tasks."""
        if len(records) > STREAMED:
            return Shown(pieces=self._pieces(state, head, records))
        return Shown(b"".join([each async for each in self._pieces(state, head, records)]))

    async def _pieces(
        self, state: ExecutionState, head: bytes, records: Sequence[TaskState]
    ) -> AsyncIterator[bytes]:
        """The text, task by task; those that fit are rendered at once, before anything can change."""
        async with wide_forks_shown(records):
            async for piece in self._rendered(state, head, records):
                yield piece

    async def _rendered(
        self, state: ExecutionState, head: bytes, records: Sequence[TaskState]
    ) -> AsyncIterator[bytes]:
        atonce = [render_task(state, each) for each in records] if len(records) <= _AT_ONCE else None
        before = head + b',"tasks":['
        for first in range(0, len(records), _SLICE):
            last = min(first + _SLICE, len(records))
            shown = (
                [render_task(state, each) for each in records[first:last]]
                if atonce is None
                else atonce[first:last]
            )
            text = before + to_json(shown, inf_nan_mode="null")[1:-1]
            await self._engine.turns.settled(state.execution_id)
            yield text
            before = b","
            await breathe()
        await self._engine.turns.settled(state.execution_id)
        yield (b"" if records else before) + b"]}"


async def _definition(graph: Graph) -> bytes:
    """The text of a definition; that of a large one, with what its tasks show, is made in a thread, once."""
    if graph.text is None and len(graph.nodes) > _SMALL:
        return await asyncio.to_thread(definition_text, graph)
    return definition_text(graph)
