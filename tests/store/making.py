"""Turns, segments and rows as the tests of the store need them; short events of real kinds."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from asyncflow.model.events import Event, ExecutionPaused
from asyncflow.model.turn import Moment, Recorded, StoredDefinition, StreamEvents, Turn
from asyncflow.store.records import ExecutionRow, Segment, TaskRow, ViewBatch
from asyncflow.store.sqlite import SqliteReader

SECOND_MS = 1000


def event(text: str = "") -> Event:
    return ExecutionPaused(text)


def entry(stream: str, first_seq: int, *texts: str) -> StreamEvents:
    return StreamEvents(stream, first_seq, [event(text) for text in texts])


def turn(number: int, *entries: StreamEvents, definitions: Sequence[StoredDefinition] = ()) -> Turn:
    """Turn `number`, a second after the one before; one event of stream "s" unless told."""
    moment = Moment(number * SECOND_MS, number * SECOND_MS + 7)
    return Turn(
        number, moment, list(entries or (entry("s", number, f"of turn {number}"),)), list(definitions)
    )


def recorded(first: int, last: int) -> list[Recorded]:
    """What stream "s" holds after turns `first`..`last` of `turn`."""
    return [Recorded(n, n * SECOND_MS, event(f"of turn {n}")) for n in range(first, last + 1)]


def segment(first: int, last: int, *, is_open: bool = True) -> Segment:
    return Segment("s", first, last, recorded(first, last), is_open)


async def turns(store: SqliteReader, after: int = 0, *, unsegmented: bool = False) -> list[Turn]:
    return [turn async for batch in store.read_turns(after, unsegmented=unsegmented) for turn in batch]


def execution(execution_id: str = "e1", **changes: str | int) -> ExecutionRow:
    row = ExecutionRow(
        execution_id=execution_id, name="nightly", version=1, status="RUNNING", open=1,
        definition_hash="h", correlation_id="", parent_id="", parent_task_id="", priority=0,
        started_at_ms=1, updated_at_ms=1, ended_at_ms=0, reason="", input_bytes=2, output_bytes=2,
        failed_references="[]", epoch=0, last_seq=1, input='{"a":"é"}', output="{}",
    )  # fmt: skip
    return row._replace(**changes)  # type: ignore[arg-type]  # columns by name


def task(task_id: str = "t1", execution_id: str = "e1", **changes: str | int) -> TaskRow:
    row = TaskRow(
        task_id=task_id, execution_id=execution_id, number=1, seq=1, reference="r", name="n",
        type="SIMPLE", status="SCHEDULED", state="READY", retry_count=0, iteration=0,
        scheduled_at_ms=1, started_at_ms=0, updated_at_ms=1, ended_at_ms=0, worker_id="",
        reason="", input_bytes=2, output_bytes=2, superseded=0,
    )  # fmt: skip
    return row._replace(**changes)  # type: ignore[arg-type]  # columns by name


def views(number: int, executions: Sequence[ExecutionRow] = (), tasks: Sequence[TaskRow] = ()) -> ViewBatch:
    return ViewBatch(number, list(executions), list(tasks), [], [])


def sql(path: Path, statement: str, *values: object) -> list[tuple[object, ...]]:
    """Rows of one statement, committed, on a connection of its own."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement, values).fetchall()
