"""Lines of task logs as the engine meets them: what authors log, and the notes of records opened again.

It makes rows of them and waits for nothing; `runtime/log_writer` stores them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pydantic_core import to_json

from asyncflow.ids import task_id
from asyncflow.model.events import AttemptStarted, JobEnded, TaskReset
from asyncflow.model.resource_events import RESOURCE_STREAMS
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Turn
from asyncflow.runtime.attempt_records import AttemptRecord, IoRecorded, LogLine
from asyncflow.runtime.log_writer import LogWriter
from asyncflow.runtime.open_turn import OpenTurn
from asyncflow.runtime.resource_lines import begun_line, resource_line
from asyncflow.store.log_records import MOST_TOLD, TaskIo, TaskLine


class TaskLogs:
    """Who takes lines for task logs."""

    def __init__(
        self, writer: LogWriter, now_ms: Callable[[], int], states: Mapping[str, ExecutionState]
    ) -> None:
        """Hand lines to this writer, with the wall clock's time; `states` are the executions in memory."""
        self._writer, self._now_ms, self._states = writer, now_ms, states

    def keep(self, execution_id: str, number: int, line: LogLine) -> None:
        """A line that an attempt logged; its fields follow the message as JSON."""
        fields = f" {to_json(line.fields).decode()}" if line.fields else ""
        self._put(execution_id, number, line.message + fields, self._now_ms())

    def committed(self, _open: OpenTurn, turn: Turn) -> None:
        """A turn is durable: notes of resets belong to logs of tasks, lives to those of resources."""
        at_ms = turn.moment.wall_ms
        for stream, _, events in turn.entries:
            if stream.startswith(RESOURCE_STREAMS):
                self._writer.put(*(resource_line(stream, event, at_ms) for event in events))
                continue
            for event in events:
                if type(event) is TaskReset and event.note:
                    self._put(stream, event.number, event.note, at_ms)
                elif type(event) is AttemptStarted and event.resource:
                    self._writer.put(begun_line(stream, event, at_ms))
                elif type(event) is JobEnded and event.counts:
                    self._job_told(stream, event.serial, event.counts)

    def record(self, execution_id: str, number: int, record: AttemptRecord) -> None:
        """Data that an attempt told of; other records are not kept here."""
        if isinstance(record, IoRecorded):
            self._put_io(execution_id, number, record.direction, record.rows, record.bytes)

    def _job_told(self, stream: str, serial: int, counts: Mapping[str, object]) -> None:
        state = self._states.get(stream)
        number = 0 if state is None else state.past_of.get(serial, 0)
        for direction in ("in", "out") if number else ():
            rows, size = counts.get(f"rows_{direction}", 0), counts.get(f"bytes_{direction}", 0)
            if isinstance(rows, int) and isinstance(size, int) and (rows or size):
                self._put_io(stream, number, direction, rows, size)

    def _put_io(self, execution_id: str, number: int, direction: str, rows: int, size: int) -> None:
        task = task_id(execution_id, number)
        self._writer.put(TaskIo(task, direction, min(rows, MOST_TOLD), min(size, MOST_TOLD), execution_id))

    def _put(self, execution_id: str, number: int, text: str, at_ms: int) -> None:
        self._writer.put(TaskLine(task_id(execution_id, number), at_ms, text, "INFO", execution_id))
