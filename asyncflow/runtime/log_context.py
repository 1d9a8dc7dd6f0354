"""What the lines of a log are about: the attempt that the present asyncio task performs.

It only holds the word; who performs an attempt says so here, and `app/logging_setup` writes it into each
line. Threads that bodies run in see it too, as their executor copies the context.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import NamedTuple


class Subject(NamedTuple):
    """An execution, and the task and attempt of it that are at work; `worker` is where it is done."""

    execution: str
    task: str
    attempt: int
    worker: str


subject: ContextVar[Subject | None] = ContextVar("asyncflow_subject", default=None)
"""What the code that runs now works for; None where it is no attempt."""
