"""Cron expressions in Spring's dialect, as Conductor's schedules have them: six fields, seconds first.

Pure calendar arithmetic on local times; it knows no zone and no clock. `app/schedule_times` turns
local times into moments. Packaged readers of cron know neither `LW`, `L-3` nor `FRIL`.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache

from asyncflow.errors import InvalidInput

LONGEST = 500
"""Characters of an expression, at most."""

_MACROS = {
    "@yearly": "0 0 0 1 1 *",
    "@annually": "0 0 0 1 1 *",
    "@monthly": "0 0 0 1 * *",
    "@weekly": "0 0 0 * * 0",
    "@daily": "0 0 0 * * *",
    "@midnight": "0 0 0 * * *",
    "@hourly": "0 0 * * * *",
}
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_WEEKDAYS = ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")
_STEP = re.compile(r"(?:(\*)|([0-9]{1,2})(?:-([0-9]{1,2}))?)(?:/([0-9]{1,4}))?", re.ASCII)
_FROM_LAST = re.compile(r"L(?:-([0-9]{1,2}))?", re.ASCII)
_NEAREST = re.compile(r"([0-9]{1,2})W", re.ASCII)
_LAST_WEEKDAY = re.compile(r"([0-7])L", re.ASCII)
_NTH_WEEKDAY = re.compile(r"([0-7])#([1-5])", re.ASCII)
_YEARS = 60  # looked ahead: 29 February on a given weekday comes within 40

Days = Callable[[int, int], list[int]]
"""The days of a month, by year and month."""


@dataclass(frozen=True, slots=True)
class Cron:
    """When something is due, in local time.

    Attributes:
        text: the expression as written.
        is_hourly: it is due in every hour of a day, so that it means a rhythm and no time of day.
    """

    text: str
    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    months: frozenset[int]
    of_month: tuple[Days, ...]
    of_week: tuple[Days, ...]

    @property
    def is_hourly(self) -> bool:
        """Whether no hour is left out."""
        return len(self.hours) == 24

    def after(self, local: datetime) -> datetime | None:
        """The first local time after this one; None if there is none for sixty years.

        Cost: some microseconds; a millisecond where years are passed over.
        """
        begin = local.replace(microsecond=0) + timedelta(seconds=1)
        for day in self._days(begin.date()):
            earliest = begin.time() if day == begin.date() else time.min
            found = self._time(earliest)
            if found is not None:
                return datetime.combine(day, found)
        return None

    def _days(self, first: date) -> Iterator[date]:
        for month in range(first.month - 1, first.month - 1 + 12 * _YEARS):
            year, number = first.year + month // 12, month % 12 + 1
            if year > 9998:
                return
            if number in self.months:
                for day in self._of(year, number):
                    found = date(year, number, day)
                    if found >= first:
                        yield found

    def _of(self, year: int, month: int) -> list[int]:
        """The days of a month on which it is due: both day fields have to agree, unlike in Unix."""
        by_month = {day for rule in self.of_month for day in rule(year, month)}
        by_week = {day for rule in self.of_week for day in rule(year, month)}
        return sorted(by_month & by_week)

    def _time(self, earliest: time) -> time | None:
        for hour in self.hours:
            for minute in self.minutes if hour >= earliest.hour else ():
                if (hour, minute) < (earliest.hour, earliest.minute):
                    continue
                for second in self.seconds:
                    found = time(hour, minute, second)
                    if found >= earliest:
                        return found
        return None


@lru_cache(maxsize=1024)
def parse_cron(text: str) -> Cron:
    """The expression read.

    Raises:
        InvalidInput: it is none of this dialect; the message names the field.
    """
    fields = _MACROS.get(text.strip().lower(), text).upper().split() if len(text) <= LONGEST else []
    if len(fields) != 6:
        raise InvalidInput(
            f"6 fields are expected (second minute hour day month weekday), not {text[:80]!r}",
            field="cronExpression",
        )
    second, minute, hour, day, month, weekday = fields
    return Cron(
        text,
        _numbers(second, "second", 0, 59),
        _numbers(minute, "minute", 0, 59),
        _numbers(hour, "hour", 0, 23),
        frozenset(_numbers(_named(month, _MONTHS, 1), "month", 1, 12)),
        tuple(_of_month(part) for part in _parts(day, "day")),
        tuple(_of_week(part) for part in _parts(_named(weekday, _WEEKDAYS, 0), "weekday")),
    )


def _parts(field: str, name: str) -> list[str]:
    parts = ("*" if field == "?" else field).split(",")
    if not all(parts):
        raise _bad(field, name)
    return parts


def _named(field: str, names: Sequence[str], first: int) -> str:
    for number, name in enumerate(names, first):
        field = field.replace(name, str(number))
    return field


def _numbers(field: str, name: str, lowest: int, highest: int) -> tuple[int, ...]:
    """Every number that a field of `*`, `n`, `a-b`, `a/step` and lists of these means, in order."""
    found: set[int] = set()
    for part in field.split(","):
        match = _STEP.fullmatch(part)
        if match is None:
            raise _bad(part, name)
        star, low, high, step = match.groups()
        first = lowest if star else int(low)
        last = int(high) if high else highest if star or step else first
        if name == "weekday" and first == 7 and high:
            first = 0  # a range that begins on Sunday
        if not (lowest <= first <= last <= highest) or step == "0":
            raise _bad(part, name)
        found.update(range(first, last + 1, int(step or 1)))
    return tuple(sorted(found))


def _of_month(part: str) -> Days:
    """A part of the day field: numbers, `L`, `L-3`, `15W` or `LW`."""
    if part == "LW":
        return lambda year, month: [_nearest_weekday(year, month, _length(year, month))]
    last = _FROM_LAST.fullmatch(part)
    if last is not None:
        before = int(last[1] or 0)
        return lambda year, month: _if_day(_length(year, month) - before, year, month)
    near = _NEAREST.fullmatch(part)
    if near is not None:
        (day,) = _numbers(near[1], "day", 1, 31)
        return lambda year, month: [_nearest_weekday(year, month, each) for each in _if_day(day, year, month)]
    days = _numbers(part, "day", 1, 31)
    return lambda year, month: [day for day in days if day <= _length(year, month)]


def _of_week(part: str) -> Days:
    """A part of the weekday field: numbers (0 and 7 are Sunday), `5L` for the last, `5#2` for the second."""
    last = _LAST_WEEKDAY.fullmatch(part)
    if last is not None:
        wanted = int(last[1]) % 7
        return lambda year, month: _weekdays(year, month, {wanted})[-1:]
    nth = _NTH_WEEKDAY.fullmatch(part)
    if nth is not None:
        wanted, index = int(nth[1]) % 7, int(nth[2])
        return lambda year, month: _weekdays(year, month, {wanted})[index - 1 : index]
    numbers = {number % 7 for number in _numbers(part, "weekday", 0, 7)}
    return lambda year, month: _weekdays(year, month, numbers)


def _weekdays(year: int, month: int, wanted: set[int]) -> list[int]:
    """The days of a month that fall on these weekdays, 0 being Sunday."""
    first = (date(year, month, 1).weekday() + 1) % 7
    return [day for day in range(1, _length(year, month) + 1) if (first + day - 1) % 7 in wanted]


def _nearest_weekday(year: int, month: int, day: int) -> int:
    """The working day nearest to a day, in the same month."""
    weekday = date(year, month, day).weekday()
    if weekday == 5:  # Saturday
        return day - 1 if day > 1 else day + 2
    if weekday == 6:
        return day + 1 if day < _length(year, month) else day - 2
    return day


def _if_day(day: int, year: int, month: int) -> list[int]:
    return [day] if 1 <= day <= _length(year, month) else []


def _length(year: int, month: int) -> int:
    return monthrange(year, month)[1]


def _bad(part: str, name: str) -> InvalidInput:
    return InvalidInput(f"{part[:40]!r} is no {name}", field="cronExpression")
