"""The garbage collector around a start: not while states are folded, and not over those that live on.

It changes nothing that outlives the engine. How often a process of ours collects is set in
`app/process`; who starts and ends is `runtime/engine`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_MANY = 1_000  # executions


@contextmanager
def without_collections() -> Iterator[None]:
    """Nothing is garbage while a start folds: collecting meanwhile costs two thirds of it, in long stops."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def freeze(executions: int) -> None:
    """Let no collection look through what lives for long, where there is much; see `unfrozen_afterwards`."""
    if executions >= _MANY:
        gc.freeze()


@contextmanager
def unfrozen_afterwards() -> Iterator[None]:
    """What was frozen for this engine is garbage like any other after its end."""
    try:
        yield
    finally:
        gc.unfreeze()
