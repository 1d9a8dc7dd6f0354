"""What a process may do with itself when an engine is all it is there for.

The command line calls it; a program that embeds an engine is left as its author made it, and may
call it too.
"""

from __future__ import annotations

import gc
import sys

_YOUNG, _MIDDLE, _OLD = 50_000, 50, 100
_SWITCH_S = 0.0001


def tune_process() -> None:
    """Collect garbage seldom, and let the writer's thread have its turn soon.

    The records of executions live long and hold few cycles: with `bench/w1.py` at 1,000 workflows
    at once a step takes a fifth to a third less. And a loop that is always busy keeps the
    interpreter for a whole switch interval whenever the writer comes back from the disk: with the
    default of 5 ms single commits were seen to wait for seconds.
    """
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    sys.setswitchinterval(_SWITCH_S)
