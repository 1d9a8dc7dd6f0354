"""What should be under way: recomputed from state, never stored.

An effect names what to do, not with what: its details are read from the state when it is
started. `decide/wanted` says which are wanted; `runtime/` starts and cancels them.
"""

from __future__ import annotations

from typing import NamedTuple


class Admit(NamedTuple):
    """A task that runs here waits to be admitted, not before `due_ms` on the elapsed clock.

    Number 0 is the execution itself, which waits for a slot among those of its limit. In another
    `holds_round` it needs something else, and has to ask anew.
    """

    number: int
    due_ms: int
    holds_round: int = 0


class Hold(NamedTuple):
    """The execution has the slot it was given, until it ends; `number` is 0, or the key of a `HoldState`."""

    number: int


class RunAttempt(NamedTuple):
    """An admitted attempt is to be performed. A new attempt of a record has another `start`.

    `start` tells attempts of one record apart over resets too; it is no count.
    """

    number: int
    start: int


class Offer(NamedTuple):
    """A task waits for a worker elsewhere, not before `due_ms`; of this code `version`, unless empty.

    `holds_round` as in `Admit`.
    """

    number: int
    due_ms: int
    version: str = ""
    holds_round: int = 0


class Lease(NamedTuple):
    """A worker elsewhere has the task, and holds what it was granted. `start` as in `RunAttempt`."""

    number: int
    start: int


class RunScript(NamedTuple):
    """A script of the definition is to be evaluated; its report carries `iteration` back.

    `iteration` tells the questions of one record apart, over resets too; it is no count.
    """

    number: int
    iteration: int


class Timer(NamedTuple):
    """The state wants to be told when `due_ms` has come on the clock named.

    Where `since_ms` is not 0 it counts only while an engine runs: downtime behind `since_ms` puts it
    off; see `decide/downtimes`.
    """

    number: int
    kind: str
    due_ms: int
    clock: str = "elapsed"
    since_ms: int = 0


class Proceed(NamedTuple):
    """Deferred follow-ups or undelivered messages wait: the execution wants another turn."""


Effect = Admit | Hold | RunAttempt | Offer | Lease | RunScript | Timer | Proceed
