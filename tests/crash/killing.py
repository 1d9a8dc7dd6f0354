"""Processes that are to die: where, how they are made, and whether they did.

A process is forked from this one, which has imported everything, so that a kill costs tens of milliseconds.
What runs in it is no business of this module; the named points are those of `runtime/points`.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from asyncflow.runtime import points

GRACE_S = 30.0  # a process that does not come to its point by then is killed where it is
AT_RANDOM = "at_random"


class Death(NamedTuple):
    """Where a process dies: so many seconds after it came to a moment so often.

    Without a moment it is killed from outside, so many seconds after it began.
    """

    moment: str = ""
    count: int = 1  # type: ignore[assignment]  # nobody counts in a death as in a tuple
    delay_s: float = 0.0

    @property
    def name(self) -> str:
        """What is noted of it."""
        return f"soon_{self.moment}" if self.moment and self.delay_s else self.moment or AT_RANDOM


def die_at(death: Death) -> None:
    """Have this process killed there; from outside where no moment is named."""
    left = [death.count]

    def hook(reached: str) -> None:
        if reached == death.moment:
            left[0] -= 1
            if not left[0]:
                _die(death.delay_s)

    if death.moment:
        points.install(hook)


def _die(delay_s: float) -> None:
    if not delay_s:
        os.kill(os.getpid(), signal.SIGKILL)
    timer = threading.Timer(delay_s, os.kill, (os.getpid(), signal.SIGKILL))
    timer.daemon = True
    timer.start()


def in_child(work: Callable[[], None], errors: Path | None = None) -> int:
    """Run this in a process of its own and give its id; what it complains of goes to the file, if any."""
    process = os.fork()
    if process:
        return process
    if errors is not None:
        os.dup2(os.open(errors, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), 2)
    try:
        work()
    except BaseException as error:
        sys.stderr.write(f"{error!r}\n")
        raise
    finally:
        sys.stderr.flush()
        os._exit(0 if sys.exc_info()[0] is None else 1)


def kill(process: int, death: Death) -> bool:
    """Wait for the end of a process that is to die so, and say whether it did; False if it ended by itself.

    Raises:
        RuntimeError: it broke.
    """
    watch = os.pidfd_open(process)
    try:
        is_late = not select.select([watch], [], [], GRACE_S if death.moment else death.delay_s)[0]
    finally:
        os.close(watch)
    if is_late:
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return True
    if status:
        raise RuntimeError(f"a process broke with {status}")
    return False


def ended_well(process: int) -> bool:
    """Wait for the end of a process that is to live; whether it ended with 0."""
    return not os.waitpid(process, 0)[1]
