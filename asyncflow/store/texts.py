"""The full-text index of executions, kept up from the view `execution` by one pass after another.

Triggers of the schema note whose texts changed; a pass indexes the oldest of them, so much at a time
that no turn waits long behind it. What may stand in an expression is `model/free_text`'s business.
"""

# Measured with `bench/w1`, medians of ten alternating rounds beside the version without an index: without
# texts no difference (60.6 µs of CPU a step, 63.0 before); with a new input of 20 words for each execution
# 67.6 µs against 61.7, some 30 µs an execution and 9 % of the steps per second, in passes behind the turns.

from __future__ import annotations

import sqlite3

from asyncflow.store.connection import transaction

MATCHING = """
SELECT execution_id FROM text_document
WHERE number IN (SELECT rowid FROM execution_text WHERE execution_text MATCH ?)"""
"""The ids of executions whose texts match one bound expression."""

TABLES = ("execution_text", "text_document", "text_pending")
"""What the index consists of."""

FORGET = (
    """
DELETE FROM execution_text WHERE rowid IN
  (SELECT number FROM text_document WHERE execution_id IN (SELECT value FROM json_each(?)))""",
    "DELETE FROM text_document WHERE execution_id IN (SELECT value FROM json_each(?))",
    "DELETE FROM text_pending WHERE execution_id IN (SELECT value FROM json_each(?))",
)
"""What takes executions, a bound JSON array of ids, out of the index, in this order."""

_PASS = 200  # executions: some 2 ms in which no turn is committed
_PASS_BYTES = 1 << 20  # of text: some 50 ms in which no turn is committed
_CHARACTERS = 100_000  # of one input or output
_OLDEST = f"""
SELECT number, min(input_bytes, {_CHARACTERS}) + min(output_bytes, {_CHARACTERS})
FROM text_pending JOIN execution USING (execution_id) ORDER BY number LIMIT {_PASS}"""
_UNINDEX = """
DELETE FROM execution_text WHERE rowid IN
  (SELECT text_document.number FROM text_pending JOIN text_document USING (execution_id)
   WHERE text_pending.number <= ?)"""
_NUMBER = """
INSERT INTO text_document (execution_id) SELECT execution_id FROM text_pending
WHERE number <= ? ORDER BY number ON CONFLICT DO NOTHING"""
_DONE = "DELETE FROM text_pending WHERE number <= ?"
_ESCAPES = ("\\\\", '\\"', "\\n", "\\r", "\\t", "\\b", "\\f", "\\u00")


def _plain(column: str) -> str:
    """JSON without its escapes, which would stick to the words behind them; most has none."""
    text = plain = f"substr({column}, 1, {_CHARACTERS})"
    for escape in _ESCAPES:
        plain = f"replace({plain}, '{escape}', ' ')"
    return f"CASE WHEN instr({column}, '\\') THEN {plain} ELSE {text} END"


_INDEX = f"""
INSERT INTO execution_text (rowid, correlation_id, reason, input, output)
SELECT text_document.number, correlation_id, reason, {_plain("input")}, {_plain("output")}
FROM text_pending JOIN execution USING (execution_id) JOIN text_document USING (execution_id)
WHERE text_pending.number <= ?"""


def index_some(db: sqlite3.Connection) -> int:
    """Index the texts that changed first, about `_PASS_BYTES` of them.

    Returns:
        The number in `text_pending` up to which all is indexed now, 0 if nothing was pending.
    """
    pending = db.execute(_OLDEST).fetchall()
    if not pending:
        return 0
    size, last = 0, 0
    for number, text_bytes in pending:
        if last and size + text_bytes > _PASS_BYTES:
            break
        size, last = size + text_bytes, number
    with transaction(db):
        for sql in (_UNINDEX, _NUMBER, _INDEX, _DONE):
            db.execute(sql, (last,))
    return int(last)


def newest_pending(db: sqlite3.Connection) -> int:
    """The number of the text that changed last and is not indexed; 0 if all are."""
    return int(db.execute("SELECT coalesce(max(number), 0) FROM text_pending").fetchone()[0])
