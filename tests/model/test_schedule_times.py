"""When schedules are due in zones whose clocks change: gaps and overlaps fire once, rhythms go on."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflow.app.schedule_times import ZonedCron, next_due, next_ms
from asyncflow.model.cron import parse_cron
from asyncflow.model.durations import zone_of

BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"
SPRING, AUTUMN = (
    {BERLIN: "2030-03-30", NEW_YORK: "2030-03-09"},
    {BERLIN: "2030-10-26", NEW_YORK: "2030-11-02"},
)


def zoned(expression: str, zone: str) -> ZonedCron:
    return ZonedCron(parse_cron(expression), zone_of(zone), zone)


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def moments(expression: str, zone: str, *, after: str, count: int) -> list[str]:
    found, last = [], ms(after)
    for _ in range(count):
        due = next_ms(zoned(expression, zone), last)
        assert due is not None
        assert due > last
        found.append(f"{datetime.fromtimestamp(due / 1000, UTC):%m-%d %H:%M}")
        last = due
    return found


@pytest.mark.parametrize(
    ("zone", "expression", "expected"),
    [
        (BERLIN, "0 30 2 * * ?", ["03-30 01:30", "03-31 01:00", "04-01 00:30"]),
        (NEW_YORK, "0 30 2 * * ?", ["03-09 07:30", "03-10 07:00", "03-11 06:30"]),
        (BERLIN, "0 0,30 2 * * ?", ["03-30 01:00", "03-30 01:30", "03-31 01:00", "04-01 00:00"]),
        (BERLIN, "0 0 2,3 * * ?", ["03-30 01:00", "03-30 02:00", "03-31 01:00", "04-01 00:00"]),
    ],
)  # fmt: skip
def test_a_skipped_time_is_due_once_when_the_gap_ends(
    zone: str, expression: str, expected: list[str]
) -> None:
    found = moments(expression, zone, after=SPRING[zone], count=len(expected))

    assert found == expected


@pytest.mark.parametrize(
    ("zone", "expression", "expected"),
    [
        (BERLIN, "0 30 2 * * ?", ["10-26 00:30", "10-27 00:30", "10-28 01:30"]),
        (NEW_YORK, "0 30 1 * * ?", ["11-02 05:30", "11-03 05:30", "11-04 06:30"]),
        (BERLIN, "0 0/30 2 * * ?", ["10-26 00:30", "10-27 00:00", "10-27 00:30", "10-28 01:00"]),
        (BERLIN, "0 30 2,3 * * ?", ["10-26 00:30", "10-26 01:30", "10-27 00:30", "10-27 02:30"]),
    ],
)  # fmt: skip
def test_a_time_that_comes_twice_is_due_once(zone: str, expression: str, expected: list[str]) -> None:
    found = moments(expression, zone, after=AUTUMN[zone], count=len(expected))

    assert found == expected


@pytest.mark.parametrize(("zone", "before"), [(BERLIN, "2030-10-26T23:30"), (NEW_YORK, "2030-11-03T04:30")])
def test_an_hourly_rhythm_goes_on_through_a_repeated_hour(zone: str, before: str) -> None:
    minutes = moments("0 0/30 * * * ?", zone, after=before, count=8)
    seconds = next_ms(zoned("* * * * * *", zone), ms(before) + 5_400_000)

    assert [each[-2:] for each in minutes] == ["00", "30"] * 4
    assert len({each[6:8] for each in minutes}) == 4
    assert seconds == ms(before) + 5_401_000


@pytest.mark.parametrize(("zone", "before"), [(BERLIN, "2030-03-30T23:30"), (NEW_YORK, "2030-03-10T05:30")])
def test_an_hourly_rhythm_goes_on_through_a_skipped_hour(zone: str, before: str) -> None:
    found = moments("0 0/30 * * * ?", zone, after=before, count=8)

    assert [each[-2:] for each in found] == ["00", "30"] * 4
    assert len({each[6:8] for each in found}) == 4


def test_an_hourly_rhythm_on_one_day_of_the_year_is_found_through_all_changes() -> None:
    assert moments("0 30 * 27 10 ?", BERLIN, after="2029-10-29", count=4) == [
        "10-26 22:30", "10-26 23:30", "10-27 00:30", "10-27 01:30",
    ]  # fmt: skip


def test_changes_of_half_an_hour_and_of_a_whole_day_are_followed() -> None:
    assert moments("0 15 2 * * ?", "Australia/Lord_Howe", after="2030-10-05T12:00", count=2) == [
        "10-05 15:30", "10-06 15:15",
    ]  # fmt: skip
    assert moments("0 0 12 * * ?", "Pacific/Apia", after="2011-12-29", count=3) == [
        "12-29 22:00", "12-30 10:00", "12-30 22:00",
    ]  # fmt: skip


def test_of_several_expressions_the_first_counts() -> None:
    morning, evening = zoned("0 0 6 * * ?", "UTC"), zoned("0 0 20 * * ?", NEW_YORK)
    first = next_due([evening, morning], ms("2030-01-01T02:00"))
    then = next_due([evening, morning], ms("2030-01-01T06:00"))

    assert first is not None
    assert first == (ms("2030-01-01T06:00"), morning)
    assert then == (ms("2030-01-02T01:00"), evening)
    assert next_due([zoned("0 0 0 31 2 ?", BERLIN)], 0) is None
    assert next_due([morning], 10**18) is None


@given(
    st.sampled_from(["0 30 2 * * ?", "0 30 1 * * ?", "0 0/20 * * * ?", "15 0 0,3,12 ? * *", "0 0 3 L * ?"]),
    st.sampled_from([BERLIN, NEW_YORK, "Australia/Lord_Howe", "Asia/Kolkata", "+05:45", "Pacific/Apia"]),
    st.integers(ms("2000-01-01"), ms("2040-01-01")),
)
def test_what_is_due_is_due_next_from_every_moment_before(expression: str, zone: str, begin: int) -> None:
    """Law: the next moment is the same from anywhere between the one before it and itself."""
    cron = zoned(expression, zone)
    first = next_ms(cron, begin)
    assert first is not None
    second = next_ms(cron, first)

    assert second is not None
    assert begin < first < second
    assert next_ms(cron, first - 1) == first
    assert next_ms(cron, (first + second) // 2) == second
    assert next_ms(cron, second - 1) == second
