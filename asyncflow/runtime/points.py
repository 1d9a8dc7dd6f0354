"""Named points between the steps of the engine where a test may kill the process or hold it up.

In production they do nothing: one comparison each. `tests/crash` installs a hook and checks that
every point listed here is reached; nothing else may.
"""

from __future__ import annotations

from collections.abc import Callable

AFTER_DECIDE = "after_decide"
BEFORE_COMMIT = "before_commit"
AFTER_COMMIT = "after_commit"
AFTER_RELEASE = "after_release"
BEFORE_SEGMENTS = "before_segments"
BEFORE_TRIM = "before_trim"
AFTER_TRIM = "after_trim"
BEFORE_SEND = "before_send"
AFTER_SEND = "after_send"
AFTER_POLL = "after_poll"
BEFORE_CANCEL = "before_cancel"
AFTER_CANCEL = "after_cancel"
TAKEN_UP = "taken_up"
BEFORE_VIEWS = "before_views"
AFTER_VIEWS = "after_views"
BEFORE_INSTANCE = "before_instance"
AFTER_INSTANCE = "after_instance"

POINTS = (
    AFTER_DECIDE,
    BEFORE_COMMIT,
    AFTER_COMMIT,
    AFTER_RELEASE,
    BEFORE_SEGMENTS,
    BEFORE_TRIM,
    AFTER_TRIM,
)
"""Every point: decided but not handed to the journal, about to be committed, committed but nobody
told, and all told; then around the steps of a compaction."""

JOB_POINTS = (BEFORE_SEND, AFTER_SEND, AFTER_POLL, BEFORE_CANCEL, AFTER_CANCEL)
"""Around the calls to a service: about to be made, and answered with nothing of it recorded. They are
reached only where an execution has jobs."""

START_POINTS = (TAKEN_UP,)
"""All that was unfinished is read, and nothing of it has begun."""

VIEW_POINTS = (BEFORE_VIEWS, AFTER_VIEWS)
"""Around the writing of views."""

INSTANCE_POINTS = (BEFORE_INSTANCE, AFTER_INSTANCE)
"""Around the calls about instances of resources: about to be made, and answered with nothing recorded."""

EVERY_POINT = (*POINTS, *JOB_POINTS, *START_POINTS, *VIEW_POINTS, *INSTANCE_POINTS)

_hook: Callable[[str], None] | None = None


def install(hook: Callable[[str], None] | None) -> None:
    """Have this called at every point, or nothing any more; for the whole process, so for tests only."""
    global _hook  # noqa: PLW0603 - a test of a process concerns the whole process
    _hook = hook


def reach(point: str) -> None:
    """Say that the engine is at this point."""
    if _hook is not None:
        _hook(point)
