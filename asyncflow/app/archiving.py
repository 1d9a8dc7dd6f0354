"""Ended executions copied from one database file into another: into an archive, and back out of it.

An archive is a database file like any other, so that whatever reads one reads it: lists, single executions
with their history, plain SQL. Nothing is removed here; see `app/execution_sweep`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.errors import Conflict, StoreError
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Moment, Recorded, StoredDefinition, Turn
from asyncflow.runtime import recovery
from asyncflow.runtime.clock import SystemClock
from asyncflow.runtime.rebuild import row_batches
from asyncflow.runtime.stored_definitions import named_definitions
from asyncflow.store.log_records import LogBound, LogRow
from asyncflow.store.records import Condition, Page, Segment
from asyncflow.store.sqlite import SqliteReader, SqliteStore

_TOGETHER = 50
_SEGMENT_EVENTS = 1_000
_LINES = 5_000
_ANY_LOG = LogBound(1 << 30, 1 << 40)  # what was taken once is taken again


class Copied(NamedTuple):
    """How many executions were copied, and how many were there already."""

    copied: int
    there: int


async def archive(source: str | Path, destination: str | Path, *, name: str = "", days: float = 0) -> Copied:
    """Copy ended executions of a file, also of one in use, into an archive, which is made if there is none.

    Only those of this workflow, unless `name` is empty, and that ended so many days ago, unless that is 0.
    What is in the archive already is left as it is, or brought up to date if it went on.

    Raises:
        StoreError: a file cannot be read or written, or an execution not folded; those before it are copied.
    """
    conditions = [Condition("open", "=", (0,)), Condition("ended_at_ms", ">", (0,))]
    if name:
        conditions.append(Condition("name", "=", (name,)))
    if days:
        ended_ms = SystemClock().now().wall_ms - round(days * 86_400_000)
        conditions.append(Condition("ended_at_ms", "<", (ended_ms,)))
    async with SqliteReader.open(source) as reader, SqliteStore.open(destination) as store:
        return await _copy_all(reader, store, conditions)


async def restore(source: str | Path, destination: str | Path, *, executions: Sequence[str] = ()) -> Copied:
    """Copy executions of an archive back into a file that no engine uses; all, unless some are named.

    Raises:
        StoreLocked: an engine uses the file.
        StoreError: as `archive`; also if an execution was deleted so lately that turns still say so.
    """
    conditions = [Condition("open", "=", (0,))]
    if executions:
        conditions.append(Condition("execution_id", "in", tuple(executions)))
    async with SqliteReader.open(source) as reader, SqliteStore.open(destination) as store:
        return await _copy_all(reader, store, conditions)


async def _copy_all(reader: SqliteReader, store: SqliteStore, conditions: list[Condition]) -> Copied:
    copied = there = offset = 0
    order = (("started_at_ms", False), ("execution_id", False))
    while rows := await reader.list_executions(conditions, Page(_TOGETHER, offset, order)):
        made = await copy_executions(reader, store, [row.execution_id for row in rows])
        copied, there, offset = copied + made, there + len(rows) - made, offset + len(rows)
    return Copied(copied, there)


async def copy_executions(source: SqliteReader, target: SqliteStore, streams: Sequence[str]) -> int:
    """Have the target hold all that the source holds of executions, and give how many it held not or less of.

    Raises:
        Conflict: the target holds more of one than the source.
        StoreError: one cannot be read, or is not to be written; or it does not fold from what was copied.

    Durability: on return all of it is durable in the target.
    """
    histories, known = await source.read_streams(streams), await target.read_streams(streams)
    for stream, history in histories.items():
        if len(known[stream]) > len(history):
            raise Conflict(f"execution {stream} has {len(known[stream])} events there, {len(history)} here")
    fresh = {s: history[len(known[s]) :] for s, history in histories.items() if len(history) > len(known[s])}
    await _copy_definitions(source, target, [each for s in fresh for each in histories[s]])
    for stream, recorded in fresh.items():
        await target.write_segments([*_segments(stream, recorded)])
    catalog = DefinitionCatalog()
    for stream, state in (await recovery.load_many(target, catalog, list(fresh))).items():
        if not isinstance(state, ExecutionState):
            raise StoreError(f"execution {stream} cannot be copied: {state}") from state
        await _copy_rows(source, target, state)
    return len(fresh)


async def _copy_definitions(source: SqliteReader, target: SqliteStore, events: Sequence[Recorded]) -> None:
    names = list(dict.fromkeys(named_definitions(events)))
    missing = set(names) - set(await target.read_definitions(names))
    bodies = await source.read_definitions(sorted(missing))
    if bodies:
        position = await target.recover()
        moment = Moment(position.elapsed_ms, position.wall_ms)
        stored = [StoredDefinition(name, body) for name, body in bodies.items()]
        await target.append(Turn(position.last_turn + 1, moment, [], stored))


def _segments(stream: str, recorded: Sequence[Recorded]) -> Iterator[Segment]:
    for start in range(0, len(recorded), _SEGMENT_EVENTS):
        part = list(recorded[start : start + _SEGMENT_EVENTS])
        yield Segment(stream, part[0].seq, part[-1].seq, part, open=False)


async def _copy_rows(source: SqliteReader, target: SqliteStore, state: ExecutionState) -> None:
    """What stands beside the history: the rows of the views, made anew, and the logs."""
    last = await target.projected_turn()
    stream = state.execution_id
    of_it = [Condition("execution_id", "=", (stream,))]
    if await target.execution_row(stream) is None:
        offset = 0
        while lines := (await source.find_lines(of_it, Page(_LINES, offset))).rows:
            await target.write_logs(lines, _ANY_LOG)
            offset += len(lines)
        counts: list[LogRow] = [*(await source.find_io(of_it, Page(-1))).rows]
        if counts:
            await target.write_logs(counts, _ANY_LOG)
    for batch in row_batches(state):
        await target.write_views(batch._replace(turn_number=last))
