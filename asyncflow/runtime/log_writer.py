"""Rows of the side tables on their way into the store, many callers in one commit.

Whoever comes while a write runs shares the next one. Nobody waits for a line that an attempt logged, and
it waits for others a tenth of a second; who needs to know that a row is durable waits for `add`. Promises
are in `store/log_records`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence

from asyncflow.errors import AsyncflowError, InvalidInput, ShuttingDown
from asyncflow.runtime.secrets_in_use import Redactor
from asyncflow.store.log_records import LogBound, LogRow, Logs, ResourceLine, TaskLine

log = logging.getLogger("asyncflow.logs")

_SOON_S = 0.1  # rows that nobody waits for are gathered so long: each batch is a commit of its own
_MANY = 500  # rows, or until there are so many: some 2 ms for which a turn may have to wait
_LINES = (TaskLine, ResourceLine)
_WAITING = 5_000  # rows in a batch, beyond which those that nobody waits for are dropped


class _Batch:
    """Rows that are written together, and the moment at which they are durable, or are not."""

    def __init__(self) -> None:
        self.rows: list[LogRow] = []
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def end(self, error: AsyncflowError | None) -> None:
        if error is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(error)
            self.done.exception()  # nobody may be waiting for it


class LogWriter:
    """What is to be written beside the journal.

    Attributes:
        dropped: rows that nobody waited for and that were not written: too many, or no room.
        redactor: takes secrets out of lines.
    """

    def __init__(
        self, logs: Logs, *, bound: LogBound | None = None, redactor: Redactor | None = None
    ) -> None:
        """Nothing is to be written; `bound` is that of each task's log."""
        self.dropped = 0
        self.redactor = redactor or Redactor({})
        self._logs, self._bound = logs, bound or LogBound()
        self._open: _Batch | None = None
        self._writing: _Batch | None = None
        self._wake = asyncio.Event()
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def has_room(self) -> bool:
        """Whether many more rows may be put; false after the end."""
        return not self._closed and len(self._batch().rows) < _WAITING // 2

    def put(self, *rows: LogRow) -> None:
        """Have rows written soon; dropped if too many wait, or after the end."""
        batch = self._batch()
        if self._closed or len(batch.rows) + len(rows) > _WAITING:
            self.dropped += len(rows)
            return
        batch.rows += [_clean(self._redacted(row)) for row in rows]
        if len(batch.rows) >= _MANY:
            self._wake.set()
        elif self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(_SOON_S, self._wake.set)

    async def add(self, *rows: LogRow) -> None:
        """Write rows; they are durable at return.

        Raises:
            StoreError: they were not written, or nobody knows.
            InvalidInput: a number is no integer of 64 bits.
            ShuttingDown: the engine has stopped.
        """
        if self._closed:
            raise ShuttingDown("the engine is stopping; nothing new is taken")
        checked = [_clean(self._redacted(row)) for row in rows]
        batch = self._batch()
        batch.rows += checked
        self._wake.set()
        if checked:
            await asyncio.shield(batch.done)

    def _redacted(self, row: LogRow) -> LogRow:
        if isinstance(row, _LINES):
            return row._replace(line=self.redactor.text(row.line))
        return row

    def _batch(self) -> _Batch:
        if self._open is None:
            self._open = _Batch()
        return self._open

    async def flushed(self) -> None:
        """Wait until all rows that were put or added so far are written, or given up."""
        batches = [batch for batch in (self._writing, self._open) if batch is not None and batch.rows]
        self._wake.set()
        for batch in batches:
            with contextlib.suppress(AsyncflowError):
                await asyncio.shield(batch.done)

    async def run(self) -> None:
        """Write what comes, for ever; cancelled by the engine's end."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._alarm is not None:
                self._alarm.cancel()
                self._alarm = None
            if self._open is not None and self._open.rows:
                self._writing, self._open = self._open, None
                await self._write(self._writing)

    async def _write(self, batch: _Batch) -> None:
        failure: AsyncflowError | None = ShuttingDown("the engine stopped while rows were written")
        try:
            await self._logs.write_logs(batch.rows, self._bound)
            failure = None
        except AsyncflowError as error:
            failure = error
            self.dropped += len(batch.rows)
            log.warning("logs not written", extra={"rows": len(batch.rows), "reason": str(error)})
        finally:
            self._writing = None
            batch.end(failure)

    async def close(self) -> None:
        """Take nothing new, and write what waits."""
        self._closed = True
        await self.flushed()


def _clean(row: LogRow) -> LogRow:
    """The row with texts that have a UTF-8 form, so that one caller's row cannot keep out the others'."""
    is_plain = True
    for value in row:
        if isinstance(value, str):
            is_plain = is_plain and value.isascii()
        elif not -(1 << 63) <= value < 1 << 63:
            raise InvalidInput(f"an integer of 64 bits is expected, got {value}", field="row")
    if is_plain:
        return row
    texts: Sequence[object] = [
        value.encode("utf-8", "replace").decode() if isinstance(value, str) else value for value in row
    ]
    return type(row)(*texts)  # type: ignore[arg-type]  # each of its own type, as before
