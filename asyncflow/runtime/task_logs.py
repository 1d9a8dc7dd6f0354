"""Lines of task logs as the engine meets them: what authors log, and the notes of records opened again.

It makes rows of them and waits for nothing; `runtime/log_writer` stores them.
"""

from __future__ import annotations

from collections.abc import Callable

from pydantic_core import to_json

from asyncflow.ids import task_id
from asyncflow.model.events import AttemptStarted, TaskReset
from asyncflow.model.resource_events import RESOURCE_STREAMS
from asyncflow.model.turn import Turn
from asyncflow.runtime.attempt_records import LogLine
from asyncflow.runtime.log_writer import LogWriter
from asyncflow.runtime.resource_lines import begun_line, resource_line
from asyncflow.store.log_records import TaskLine


class TaskLogs:
    """Who takes lines for task logs."""

    def __init__(self, writer: LogWriter, now_ms: Callable[[], int]) -> None:
        """Hand lines to this writer, with the wall clock's time."""
        self._writer, self._now_ms = writer, now_ms

    def keep(self, execution_id: str, number: int, line: LogLine) -> None:
        """A line that an attempt logged; its fields follow the message as JSON."""
        fields = f" {to_json(line.fields).decode()}" if line.fields else ""
        self._put(execution_id, number, line.message + fields, self._now_ms())

    def committed(self, turn: Turn) -> None:
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

    def _put(self, execution_id: str, number: int, text: str, at_ms: int) -> None:
        self._writer.put(TaskLine(task_id(execution_id, number), at_ms, text, "INFO", execution_id))
