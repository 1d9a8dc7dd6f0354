"""What a job waits for, in words that a person or a page can use.

Structured like every `why`; nothing is decided and nothing is changed. Where the facts come from is
`desk` and its parts.
"""

from __future__ import annotations

from asyncflow.runtime.jobs.desk import Desk
from asyncflow.runtime.jobs.table import Row, Stage

_WORDS = {
    Stage.QUEUED: "waits_to_be_handed_in",
    Stage.SENDING: "being_handed_in",
    Stage.UNSURE: "may_be_there",
    Stage.WATCHED: "waits_for_poll",
    Stage.ASKED: "being_polled",
    Stage.STUCK: "needs_decision",
    Stage.OVER: "end_being_recorded",
    Stage.GONE: "over",
}


def tell(desk: Desk, row: Row, now_ms: int) -> dict[str, object]:
    """What the job waits for: its stage, the next step and its time, and what holds the resource."""
    told: dict[str, object] = {"state": _WORDS[row.stage], "resource": desk.name}
    if row.instance:
        told["instance"] = row.instance
    if row.handle:
        told["handle"] = row.handle
    if row.is_cancelled:
        told["cancelling"] = True
        told["cancel_tries"] = desk.cancelling.tries(row)
    refused = desk.cancelling.refused.get(row)
    if refused:
        told["cancel_refused"] = refused
    if row.stage is Stage.WATCHED:
        told["next_poll_ms"] = max(0, row.due_ms - now_ms)
    _tell_inquiry(told, desk, row, now_ms)
    _tell_trouble(told, desk, row, now_ms)
    return told


def _tell_inquiry(told: dict[str, object], desk: Desk, row: Row, now_ms: int) -> None:
    inquiry = desk.resolving.inquiries.get(row)
    if inquiry is not None:
        told["tries"] = inquiry.tries
        told["next_try_ms"] = max(0, inquiry.due_ms - now_ms)
        if inquiry.reason:
            told["reason"] = inquiry.reason


def _tell_trouble(told: dict[str, object], desk: Desk, row: Row, now_ms: int) -> None:
    connection = desk.connection
    if connection.held_by:
        told["held_by"] = connection.held_by
        told["held_ms"] = max(0, connection.held_until_ms - now_ms)
        told["held_reason"] = connection.reason
    elif desk.blocked:
        told["held_by"] = "resource"
        told["held_reason"] = desk.blocked
    silent_ms = desk.polling.hearing.silent_since(row)
    if silent_ms is not None:
        told["unheard_ms"] = now_ms - silent_ms
    progress = desk.polling.hearing.progress(row)
    if progress is not None:
        told["progress"] = progress
