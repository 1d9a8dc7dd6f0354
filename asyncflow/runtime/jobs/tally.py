"""What the jobs of one resource came to, counted: for metrics, and for nothing else.

Counts are since the start of the process. They are read by `app/engine_metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from asyncflow.runtime.distribution import SECONDS, Distribution


@dataclass(slots=True)
class JobTally:
    """Attributes are numbers of calls, of jobs asked for, or of jobs that something happened to.

    `poll_lag` is how late polls were, in seconds; `rows` and `bytes` what services told of data.
    """

    submits: int = 0
    finds: int = 0
    poll_calls: int = 0
    polls: int = 0
    cancels: int = 0
    faults: int = 0
    outcome_open: int = 0
    duplicates: int = 0
    lost: int = 0
    throttled: int = 0
    stuck: int = 0
    poll_lag: Distribution = field(default_factory=lambda: Distribution(SECONDS))
