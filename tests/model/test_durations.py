from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflow.errors import InvalidInput
from asyncflow.model.durations import MAX_DURATION_SECONDS, parse_duration, parse_until


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0),
        ("  ", 0),
        ("5s", 5),
        ("1 s", 1),
        ("30 seconds", 30),
        ("1 second", 1),
        ("90SECS", 90),
        ("2 hours 30 minutes", 9_000),
        ("1d2h3m4s", 93_784),
        ("1 day 1hr 1 min 1 sec", 90_061),
        ("2days 2hrs 2mins", 180_120),
        ("0s", 0),
        (f"{MAX_DURATION_SECONDS}s", MAX_DURATION_SECONDS),
    ],
)
def test_duration_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "10",
        "1.5s",
        "5ms",
        "4s 3m",
        "-5s",
        "5 s s",
        "s",
        "1w",
        "٣s",
        f"{MAX_DURATION_SECONDS + 1}s",
        "9" * 70 + "s",
    ],
)
def test_duration_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2024-01-01", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-02-29 13:05", datetime(2024, 2, 29, 13, 5, tzinfo=UTC)),
        ("2024-07-01 12:00 PST", datetime(2024, 7, 1, 19, 0, tzinfo=UTC)),
        ("2024-01-01 12:00 PST", datetime(2024, 1, 1, 20, 0, tzinfo=UTC)),
        ("2024-07-01 12:00 Europe/Paris", datetime(2024, 7, 1, 10, 0, tzinfo=UTC)),
        ("2024-07-01 12:00 GMT+02:00", datetime(2024, 7, 1, 10, 0, tzinfo=UTC)),
        ("2024-07-01 12:00 -0330", datetime(2024, 7, 1, 15, 30, tzinfo=UTC)),
        ("2024-07-01 12:00 UTC", datetime(2024, 7, 1, 12, 0, tzinfo=UTC)),
        ("2024-07-01 12:00 Z", datetime(2024, 7, 1, 12, 0, tzinfo=UTC)),
        ("1969-12-31 23:59", datetime(1969, 12, 31, 23, 59, tzinfo=UTC)),
    ],
)
def test_moment_is_read(text: str, moment: datetime) -> None:
    assert parse_until(text, zone="UTC") == int(moment.timestamp()) * 1000


@pytest.mark.parametrize("zone", ["Asia/Tokyo", ZoneInfo("Asia/Tokyo")])
def test_moment_without_zone_is_meant_in_the_given_one(zone: str | ZoneInfo) -> None:
    assert parse_until("1970-01-01 09:00", zone=zone) == 0


def test_time_that_summer_time_skips_moves_on_and_of_two_the_earlier_is_meant() -> None:
    skipped = parse_until("2024-03-31 02:30 Europe/Paris", zone="UTC")
    doubled = parse_until("2024-10-27 02:30 Europe/Paris", zone="UTC")

    assert skipped == parse_until("2024-03-31 03:30 Europe/Paris", zone="UTC")
    assert doubled == parse_until("2024-10-27 00:30 UTC", zone="UTC")


@pytest.mark.parametrize(
    "text",
    [
        "", "now", "2024-1-1", "2024-02-30", "2024-13-01", "2024-01-01 24:00",
        "2024-01-01T12:00", "0000-01-01",
        "2024-01-01 12:00:00", "2024-01-01 12:00 Nowhere", "2024-01-01 12:00 Europe", "2024-01-01 12:00 ../x",
        "2024-01-01 12:00 /etc/passwd", "2024-01-01 12:00 GMT+19:00", "2024-01-01 12:00 +01:60",
        "1704067200000",
    ],
)  # fmt: skip
def test_moment_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="until"):
        parse_until(text, zone="UTC")


@given(st.text() | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}( \S{1,20})?", fullmatch=True))
def test_no_text_raises_anything_but_a_refusal(text: str) -> None:
    for parse in (parse_duration, lambda each: parse_until(each, zone="UTC")):
        try:
            value = parse(text)
        except InvalidInput:
            continue
        assert isinstance(value, int | float)
