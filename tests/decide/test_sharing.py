"""Shares of pollers: what is dealt is what a patient dealer would give, one by one, fewest first."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from asyncflow.decide.sharing import Hand, share_now

HANDS = st.lists(
    st.builds(
        Hand,
        load=st.integers(0, 5),
        served_ms=st.integers(0, 3),
        free=st.integers(0, 5),
        is_held=st.booleans(),
    ),
    max_size=8,
)


def dealt(hands: list[Hand], ready: int) -> list[bool]:
    """Who gets what is ready, in order: whether the poll of each was held."""
    table = [
        [hand.load, hand.served_ms, not hand.is_held, place, hand.free] for place, hand in enumerate(hands)
    ]
    found: list[bool] = []
    for _ in range(ready):
        able = [row for row in table if row[4] > 0]
        if not able:
            break
        row = min(able)
        row[0] += 1
        row[1] = 99
        row[4] -= 1
        found.append(not row[2])
    return found


@given(HANDS, st.integers(0, 40))
def test_those_who_are_held_get_what_a_dealer_gives_them(hands: list[Hand], ready: int) -> None:
    given_out = dealt(hands, ready)
    share = share_now(hands, ready)

    if not all(given_out):
        assert share == sum(given_out), "what is owed to others is not given"
    else:
        assert share >= len(given_out)
    assert share <= sum(hand.free for hand in hands if hand.is_held)


@given(HANDS, st.integers(0, 40))
def test_tasks_still_to_come_go_to_the_held_until_another_is_next(hands: list[Hand], ready: int) -> None:
    if all(dealt(hands, ready)):
        share = share_now(hands, ready)
        assert all(dealt(hands, share))
        further = dealt(hands, share + 1)
        assert len(further) == share or not further[-1]


@given(st.integers(2, 9), st.integers(0, 30), st.integers(1, 9))
def test_one_of_equals_gets_at_most_its_part(present: int, ready: int, free: int) -> None:
    hands = [Hand(0, 0, free, place == 0) for place in range(present)]

    assert share_now(hands, ready) <= max(1, math.ceil(ready / present))


def test_alone_everything_asked_for_is_given() -> None:
    assert share_now([Hand(3, 5, 7, is_held=True)], 2) == 7


def test_nothing_is_given_where_nobody_is_held() -> None:
    assert share_now([Hand(0, 0, 5, is_held=False)], 3) == 0
