"""Recorded facts about data volumes: which task's bytes or rows were not as they usually are.

They lie in the streams of messages, which have no state, and change nothing; listeners are told of them.
What is usual is found out in `app/volumes`.
"""

from __future__ import annotations

from typing import NamedTuple


class IoUnusual(NamedTuple):
    """What a task read or wrote is outside its usual range: `usual` divided or multiplied by `factor`.

    `direction` is in or out, `measure` bytes or rows, `usual` the median of the runs before.
    """

    execution_id: str
    number: int
    direction: str
    measure: str
    value: int
    usual: int
    factor: float
