"""Rows put into a table, many by one statement: the interpreter's lock is given away once and not per row.

It begins no transaction and knows no table; `views` and `logbook` say which rows go where. Read those next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from itertools import chain

from asyncflow.errors import InvalidInput


class Insert:
    """Puts rows into a table; with `key`, in place of those with the same key.

    The statement for so many rows is one of a few: powers of two, so that SQLite's driver keeps them all
    prepared. That takes 3.5 µs a row of tasks and 2 of the audit; one JSON text that SQLite takes apart took
    10 and 4.
    """

    _MOST = 128  # rows of 30 columns stay far below the 32,766 values that SQLite binds

    def __init__(self, table: str, columns: Sequence[str], *, key: Sequence[str] = ()) -> None:
        self._table = table
        row = f"({', '.join('?' * len(columns))})"
        conflict = ""
        if key:
            updates = ", ".join(f"{column} = excluded.{column}" for column in columns if column not in key)
            conflict = f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {updates}"
        sizes = (1 << power for power in range(self._MOST.bit_length()))
        self._statements = {
            size: f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * size)}{conflict}"
            for size in sizes
        }

    def put(self, db: sqlite3.Connection, rows: Sequence[Iterable[str | int]]) -> None:
        """Put the rows in; of two with one key the later counts.

        Raises:
            InvalidInput: a text has no form in UTF-8.
        """
        done = 0
        while done < len(rows):
            size = min(self._MOST, 1 << (len(rows) - done).bit_length() - 1)
            values = [*chain.from_iterable(rows[done : done + size])]
            try:
                db.execute(self._statements[size], values)
            except UnicodeEncodeError as error:
                raise InvalidInput(f"lone surrogate at position {error.start}", field=self._table) from error
            done += size
