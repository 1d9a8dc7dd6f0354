"""Questions that may take long: asked on connections of their own, each with a time in which it is answered.

Nobody waits longer than that time, whoever else asks: a question that takes longer is broken off, and one
that waited so long for others is not begun. What has to be answered, such as the loading of an execution, is
asked elsewhere: `reader` says which is which.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TypeVar

from asyncflow.errors import LimitExceeded, Overloaded
from asyncflow.store.connection import SqlThread

T = TypeVar("T")

_STEPS = 100_000  # of SQLite's machine, some milliseconds; each look takes the interpreter's lock once


class QueryTooLong(LimitExceeded):
    """Ask for less: a time, a name or a status narrow it. Or raise `store.query_timeout_s`."""

    code = "query_too_long"

    def __init__(self, limit_s: float) -> None:
        """Name the limit."""
        super().__init__("store.query_timeout_s", allowed=round(limit_s))
        self.args = (f"the query was broken off after store.query_timeout_s = {limit_s:g} s; ask for less",)


class Queries:
    """Some connections, and the time that a question has; each goes to the one with the shortest line."""

    def __init__(self, threads: Sequence[SqlThread], *, limit_s: float = 0.0) -> None:
        """Ask these connections; `limit_s` counts from the moment of asking, 0 means any time."""
        self._waiting = dict.fromkeys(threads, 0)
        self._limit_s = limit_s

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What the function returns, called with a connection that nothing else uses meanwhile.

        Raises:
            QueryTooLong: it was broken off.
            Overloaded: others took all the time there was, and it was not begun.
            StoreError: SQLite failed, or the connection is closed.

        Cancellation: a question that nobody waits for any more is broken off.
        """
        thread = min(self._waiting, key=self._waiting.__getitem__)
        question = _Question(self._limit_s)
        self._waiting[thread] += 1
        try:
            return await thread.run(partial(question.ask, function))
        finally:
            question.is_gone = True
            self._waiting[thread] -= 1


class _Question:
    """One question: since when it is asked, and whether somebody waits for the answer."""

    def __init__(self, limit_s: float) -> None:
        self.is_gone = False
        self._limit_s = limit_s
        self._due_s = monotonic() + limit_s if limit_s else float("inf")

    def _is_over(self) -> bool:
        return self.is_gone or monotonic() > self._due_s

    def ask(self, function: Callable[[sqlite3.Connection], T], db: sqlite3.Connection) -> T:
        """In the thread of the connection."""
        if self._is_over():
            raise Overloaded(f"other queries took all of store.query_timeout_s = {self._limit_s:g} s")
        db.set_progress_handler(self._is_over, _STEPS)
        try:
            return function(db)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "") == "SQLITE_INTERRUPT":
                raise QueryTooLong(self._limit_s) from error
            raise
        finally:
            db.set_progress_handler(None, 0)
