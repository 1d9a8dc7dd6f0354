"""Recorded facts about workers elsewhere: which of them is not heard of any more.

They lie in the streams of messages, which have no state, and change nothing; listeners are told of them. A
worker counts as lost by the rules of `runtime/worker_watch`.
"""

from __future__ import annotations

from typing import NamedTuple


class WorkerLost(NamedTuple):
    """A worker that has tasks is not heard of, or did not speak of one in time; it may still be at work.

    `task_ids` are the first of the `tasks` concerned; `last_seen_ms` is on the wall clock, 0 for never.
    """

    worker: str
    reason: str
    tasks: int
    task_ids: list[str]
    last_seen_ms: int
