"""What a process may do with itself when an engine is all it is there for.

The command line calls it; a program that embeds an engine is left as its author made it, and may
call it too.
"""

from __future__ import annotations

import gc
import sys

_YOUNG, _MIDDLE, _OLD = 50_000, 50, 100
_SWITCH_S = 0.0001
_MOST_FILES = 1 << 16


def tune_process() -> None:
    """Collect garbage seldom, and let the writer's thread have its turn soon.

    The records of executions live long and hold few cycles: with `bench/w1.py` at 1,000 workflows
    at once a step takes a fifth to a third less. And a loop that is always busy keeps the
    interpreter for a whole switch interval whenever the writer comes back from the disk: with the
    default of 5 ms single commits were seen to wait for seconds.
    """
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    sys.setswitchinterval(_SWITCH_S)


def raise_open_files() -> int:
    """Raise the bound on open files as far as this process may, and say what it is.

    Many systems give a process 1,024 and would let it have more; every held connection is one.
    """
    try:
        import resource  # noqa: PLC0415 - not everywhere
    except ImportError:
        return sys.maxsize
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
        return wanted
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft
