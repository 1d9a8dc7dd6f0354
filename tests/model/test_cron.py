"""Cron expressions of Spring's dialect: what they mean in local time, and what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflow.errors import InvalidInput
from asyncflow.model.cron import LONGEST, parse_cron

NEW_YEAR = datetime.fromisoformat("2030-01-01")  # a Tuesday


def times(expression: str, count: int = 3, begin: datetime = NEW_YEAR) -> list[str]:
    cron, found = parse_cron(expression), []
    for _ in range(count):
        due = cron.after(begin)
        if due is None:
            break
        found.append(f"{due:%Y-%m-%d %H:%M:%S}")
        begin = due
    return found


def days(expression: str, count: int = 3) -> list[str]:
    return [each[:10] for each in times(expression, count)]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 12 * * ?", ["2030-01-01 12:00:00", "2030-01-02 12:00:00", "2030-01-03 12:00:00"]),
        ("*/20 * * * * *", ["2030-01-01 00:00:20", "2030-01-01 00:00:40", "2030-01-01 00:01:00"]),
        ("15 5/25 8-9 * * *", ["2030-01-01 08:05:15", "2030-01-01 08:30:15", "2030-01-01 08:55:15"]),
        ("0 0 6,19 * * *", ["2030-01-01 06:00:00", "2030-01-01 19:00:00", "2030-01-02 06:00:00"]),
        ("0 0 0 1 1 *", ["2031-01-01 00:00:00", "2032-01-01 00:00:00", "2033-01-01 00:00:00"]),
        ("59 59 23 31 12 ?", ["2030-12-31 23:59:59", "2031-12-31 23:59:59", "2032-12-31 23:59:59"]),
        ("0 10-30/10 0 1 * ?", ["2030-01-01 00:10:00", "2030-01-01 00:20:00", "2030-01-01 00:30:00"]),
    ],
)
def test_numbers_ranges_steps_and_lists_mean_what_spring_says(expression: str, expected: list[str]) -> None:
    assert times(expression) == expected


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 0 0 L * ?", ["2030-01-31", "2030-02-28", "2030-03-31"]),
        ("0 0 0 L-3 * ?", ["2030-01-28", "2030-02-25", "2030-03-28"]),
        ("0 0 0 LW * ?", ["2030-01-31", "2030-02-28", "2030-03-29"]),
        ("0 0 0 1W * ?", ["2030-02-01", "2030-03-01", "2030-04-01"]),
        ("0 0 0 15W 6 ?", ["2030-06-14", "2031-06-16", "2032-06-15"]),
        ("0 0 0 31W * ?", ["2030-01-31", "2030-03-29", "2030-05-31"]),
        ("0 0 0 1,L * ?", ["2030-01-31", "2030-02-01", "2030-02-28"]),
        ("0 0 0 ? * 5L", ["2030-01-25", "2030-02-22", "2030-03-29"]),
        ("0 0 0 ? * FRIL", ["2030-01-25", "2030-02-22", "2030-03-29"]),
        ("0 0 0 ? * MON#2", ["2030-01-14", "2030-02-11", "2030-03-11"]),
        ("0 0 0 ? * 5#5", ["2030-03-29", "2030-05-31", "2030-08-30"]),
        ("0 0 0 ? * 0", ["2030-01-06", "2030-01-13", "2030-01-20"]),
        ("0 0 0 ? * 7", ["2030-01-06", "2030-01-13", "2030-01-20"]),
        ("0 0 0 ? * SUN-TUE", ["2030-01-06", "2030-01-07", "2030-01-08"]),
        ("0 0 0 ? * 7-2", ["2030-01-06", "2030-01-07", "2030-01-08"]),
        ("0 0 0 ? * mon-fri", ["2030-01-02", "2030-01-03", "2030-01-04"]),
        ("0 0 0 ? FEB,DEC MON", ["2030-02-04", "2030-02-11", "2030-02-18"]),
        ("0 0 0 29 2 ?", ["2032-02-29", "2036-02-29", "2040-02-29"]),
    ],
)
def test_days_mean_what_spring_says(expression: str, expected: list[str]) -> None:
    assert days(expression) == expected


def test_both_day_fields_have_to_agree() -> None:
    """Friday the 13th, where a Unix cron would take every Friday and every 13th."""
    assert days("0 0 0 13 * FRI") == ["2030-09-13", "2030-12-13", "2031-06-13"]


@pytest.mark.parametrize(
    ("macro", "expected"),
    [
        ("@yearly", "2031-01-01 00:00:00"),
        ("@annually", "2031-01-01 00:00:00"),
        ("@monthly", "2030-02-01 00:00:00"),
        ("@weekly", "2030-01-06 00:00:00"),
        ("@daily", "2030-01-02 00:00:00"),
        ("@midnight", "2030-01-02 00:00:00"),
        ("@hourly", "2030-01-01 01:00:00"),
        (" @Daily ", "2030-01-02 00:00:00"),
    ],
)
def test_macros_stand_for_expressions(macro: str, expected: str) -> None:
    assert times(macro, 1) == [expected]


def test_a_day_that_never_comes_gives_nothing() -> None:
    assert parse_cron("0 0 0 31 2 ?").after(NEW_YEAR) is None
    assert parse_cron("0 0 0 L-30 2 ?").after(NEW_YEAR) is None


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "0 0 12 * *",
        "* * * * *",
        "0 0 12 * * ? 2031",
        "@reboot",
        "60 * * * * *",
        "* 60 * * * *",
        "0 0 24 * * *",
        "0 0 0 0 * ?",
        "0 0 0 32 * ?",
        "0 0 0 ? 13 *",
        "0 0 0 ? 0 *",
        "0 0 0 ? * 8",
        "0 0 22-2 * * *",
        "0 0 0 ? * FRI-MON",
        "0 */0 * * * *",
        "0 0 0 0W * ?",
        "0 0 0 32W * ?",
        "0 0 0 ? * L",
        "0 0 0 ? * 5#6",
        "0 0 0 ? * 5#0",
        "0 0 ? * * *",
        "0 0 0 1,,2 * ?",
        "0 0 0 \u0661 * ?",
        "-1 0 0 * * *",
        "0 0 0 * * * ; rm",
        "0 " * LONGEST,
    ],
)
def test_anything_else_is_refused_by_name(expression: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_cron(expression)

    assert refusal.value.field == "cronExpression"


FIELDS = [(0, 59), (0, 59), (0, 23), (1, 28), (1, 12)]


@given(
    st.tuples(*[st.integers(low, high) | st.none() for low, high in FIELDS]),
    st.datetimes(NEW_YEAR - timedelta(days=15_000), NEW_YEAR + timedelta(days=11_000)),
)
def test_the_next_time_is_the_first_that_matches(fields: tuple[int | None, ...], begin: datetime) -> None:
    """Law: what is given matches every field, lies after the beginning, and nothing in between matches."""
    expression = " ".join("*" if field is None else str(field) for field in fields) + " ?"
    found = parse_cron(expression).after(begin)

    assert found is not None
    assert found > begin
    assert _matches(found, fields)
    for step in range(1, 200):
        earlier = found - timedelta(seconds=step)
        assert earlier <= begin or not _matches(earlier, fields)


def _matches(moment: datetime, fields: tuple[int | None, ...]) -> bool:
    parts = (moment.second, moment.minute, moment.hour, moment.day, moment.month)
    return all(field is None or field == part for field, part in zip(fields, parts, strict=True))
