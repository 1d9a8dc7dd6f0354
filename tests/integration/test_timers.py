"""Laws: the wheel gives each timer once, in due order, and holds nothing of those taken back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncflow.runtime.timers import TimerKey, Wheel

_NAMES = st.integers(0, 5).map(lambda number: TimerKey("s", number, "t"))
_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("set"), _NAMES, st.integers(0, 400)),
        st.tuples(st.just("cancel"), _NAMES, st.just(0)),
        st.tuples(st.just("due"), st.just(TimerKey("", 0, "")), st.integers(0, 400)),
    )
)


@given(_STEPS)
def test_wheel_agrees_with_a_plain_table(steps: list[tuple[str, TimerKey, int]]) -> None:
    wheel = Wheel()
    table: dict[TimerKey, int] = {}
    for what, key, at_ms in steps:
        if what == "set":
            wheel.set(key, at_ms)
            table[key] = at_ms
        elif what == "cancel":
            wheel.cancel(key)
            table.pop(key, None)
        else:
            ripe = {key: due for key, due in table.items() if due <= at_ms}
            found = wheel.due(at_ms)
            assert [ripe[key] for key in found] == sorted(ripe.values())
            assert {*found} == {*ripe}
            for each in found:
                del table[each]

        assert len(wheel) == len(table)
        first, shown = min(table.values(), default=None), wheel.next_due()
        if first is None or shown is None:
            assert first is shown
            continue
        assert first - 32 < shown <= first
        if shown < first:  # a timer that was taken back: who looks then learns the next one
            assert wheel.due(shown) == []
        assert wheel.next_due() == first


def test_timers_taken_back_leave_nothing_behind_an_early_one() -> None:
    wheel = Wheel()
    wheel.set(TimerKey("early", 0, "t"), 1)
    for number in range(20_000):
        key = TimerKey("s", number, "t")
        wheel.set(key, 1_000_000 + number * 100)
        wheel.cancel(key)
        wheel.next_due()

    assert len(wheel._buckets) == 1
    assert len(wheel._ticks) < 100
    assert wheel.due(10_000_000) == [TimerKey("early", 0, "t")]
