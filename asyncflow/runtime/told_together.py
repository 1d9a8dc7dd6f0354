"""Grants and ends of attempts that stand one after the other and are decided in one step.

Only what nobody waits for, of one execution, and told in the order in which it came. It decides nothing:
see `runtime/deciding`, and `decide/decider` for what such a step does.
"""

from __future__ import annotations

from collections import deque

from asyncflow.model.inputs import AttemptAdmitted, AttemptEnded, AttemptsTold, Input
from asyncflow.runtime.inbox import Waiting

MOST_TOGETHER = 50
"""Beginnings and ends of attempts that are decided in one step."""


def is_plain(given: Input) -> bool:
    """Whether it is a grant or the end of an attempt, and all there is to do with it is to decide it."""
    return type(given) is AttemptEnded or (type(given) is AttemptAdmitted and not given.ticket)


def is_alike(first: Waiting, other: Waiting) -> bool:
    """Whether the two can be decided in one step."""
    plain = other.stream == first.stream and is_plain(other.given)
    return plain and other.answer is None and not other.is_pinned


def together(first: Waiting, items: deque[Waiting], most: int) -> tuple[Waiting, int]:
    """What is told of an attempt, with what follows of the same execution, and how many reports it is."""
    found, size = [first.given], first.size
    while items and len(found) < most and is_alike(first, items[0]):
        following = items.popleft()
        found.append(following.given)
        size += following.size
    return Waiting(first.stream, AttemptsTold(found), None, size), len(found)
