"""An execution that was set aside, and why: one notion for all the ways in which one can be beyond reach.

It carries and never judges. Who is set aside in memory is `runtime/residents`; how one is let go on is
`runtime/quarantine`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

QuarantineKind = Literal["unreadable", "bug", "crash"]
"""unreadable: its history is damaged, of a newer release, or does not fold. bug: deciding it broke.
crash: the process died again and again while it was at it."""


class Quarantined(NamedTuple):
    """Why an execution is set aside, and since when, UTC milliseconds."""

    kind: QuarantineKind
    reason: str
    since_ms: int
