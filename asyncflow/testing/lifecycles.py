"""The life cycles as diagrams: `docs/life-cycles.md` written from the tables that `decide/evolve` enforces.

`python -m asyncflow.testing.lifecycles docs/life-cycles.md` writes the page; a test compares it. It
knows no arrow of its own: what may happen is in `model/statuses` alone.
"""

from __future__ import annotations

import sys
from pathlib import Path

from asyncflow.model.statuses import (
    EXECUTION_ENDED,
    EXECUTION_REOPENINGS,
    EXECUTION_TRANSITIONS,
    JOB_ENDED,
    JOB_TRANSITIONS,
    RUNNING,
    TASK_BEGINNINGS,
    TASK_ENDED,
    TASK_RESETS,
    TASK_TRANSITIONS,
)

Table = dict[str, frozenset[str]]

_HEAD = """\
# Life cycles

The arrows below are generated from the tables in `asyncflow/model/statuses.py`. Nothing else can
happen: an event that would take another way is refused with `IllegalTransition`, which is a bug and
stops that execution. The words are Conductor's, so they are what its clients see.
"""

_EXECUTION = """\
## Executions

`PAUSED` keeps what runs running and starts nothing new. An end is final within its epoch; the
second diagram has the ways into a new one: restart, retry, rerun, and the revival of a child. A
`FAILED` or `TIMED_OUT` execution may still be terminated, which changes its status and reason.
"""

_TASK = """\
## Tasks

One record is one attempt. A retry is a new record, so no arrow leads from `FAILED` back. `SCHEDULED`
again means that a worker gave the task back, to be called later. `SKIPPED` records begin and end as
such. A TERMINATE, a timeout or the end of the execution cancels whatever is open.
"""

_RESET = """\
Records open again in place only in an execution that was reopened:
"""

_JOB = """\
## Jobs

What an attempt handed to a resource, from the recorded intent to the recorded end. A job outlives its task:
one whose task or execution has ended, or is past its timeout, is cancelled, and `CANCELLING` is shown while
that lasts; `undecided` is shown as `NEEDS_DECISION`. On the wire its task is `IN_PROGRESS` in all of these.
How it ended (`succeeded`, `failed`, `rejected`, `cancelled`, `lost`, `absent`, `moved`) says what its task
becomes: `lost` is `FAILED`, and after `moved` another attempt follows that uses no retry.
"""


def page() -> str:
    """The whole page as Markdown, ending with a line break."""
    parts = [
        _HEAD,
        _EXECUTION,
        _diagram(EXECUTION_TRANSITIONS, {RUNNING}, EXECUTION_ENDED),
        "Into a new epoch:\n",
        _diagram(EXECUTION_REOPENINGS, set(), frozenset()),
        _TASK,
        _diagram(TASK_TRANSITIONS, TASK_BEGINNINGS, TASK_ENDED),
        _RESET,
        _diagram(TASK_RESETS, set(), frozenset()),
        _JOB,
        _diagram({k: v for k, v in JOB_TRANSITIONS.items() if v}, {"intent"}, {JOB_ENDED}),
    ]
    return "\n".join(parts)


def _diagram(table: Table, begins: frozenset[str] | set[str], ends: frozenset[str] | set[str]) -> str:
    """A Mermaid state diagram, in the order of the table, so that it changes only as the table does."""
    lines = [f"    [*] --> {status}" for status in sorted(begins)]
    lines += [f"    {old} --> {new}" for old, after in table.items() for new in sorted(after)]
    lines += [f"    {status} --> [*]" for status in sorted(ends)]
    return "\n".join(["```mermaid", "stateDiagram-v2", *lines, "```", ""])


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(page(), encoding="utf-8")
