"""The literals of a WAIT task: how long, and until when.

Pure functions of their text (and of the time zone database); the clock is the caller's. The rules are
Conductor's; `decide/operators` uses them at run time, `model/validation_tasks.py` at registration.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

from asyncflow.errors import InvalidInput

MAX_DURATION_SECONDS = 100 * 366 * 86_400
"""The longest duration taken: a hundred years, so that every due time can still be shown as a date."""

_DURATION = re.compile(
    r"\s*(?:([0-9]+)\s*(?:days|day|d))?"
    r"\s*(?:([0-9]+)\s*(?:hours|hour|hrs|hr|h))?"
    r"\s*(?:([0-9]+)\s*(?:minutes|minute|mins|min|m))?"
    r"\s*(?:([0-9]+)\s*(?:seconds|second|secs|sec|s))?\s*",
    re.IGNORECASE | re.ASCII,
)
_SECONDS = (86_400, 3_600, 60, 1)
_MOMENT = re.compile(
    r"\s*([0-9]{4})-([0-9]{2})-([0-9]{2})(?:\s+([0-9]{2}):([0-9]{2})(?:\s+(\S+))?)?\s*", re.ASCII
)
_OFFSET = re.compile(r"(?:GMT|UTC|UT)?([+-])([0-9]{1,2})(?::?([0-9]{2}))?", re.ASCII)
_LONGEST = 64  # characters of a literal; longer ones are no literals, and none is worth a slow match

# Java resolves the customary abbreviations to regions, so that summer time is observed.
_REGIONS = {
    "Z": "UTC", "UT": "UTC",
    "EST": "America/New_York", "EDT": "America/New_York",
    "CST": "America/Chicago", "CDT": "America/Chicago",
    "MST": "America/Denver", "MDT": "America/Denver",
    "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles",
    "AKST": "America/Anchorage", "AKDT": "America/Anchorage", "HST": "Pacific/Honolulu",
    "BST": "Europe/London", "WEST": "Europe/Lisbon", "CEST": "Europe/Paris", "EEST": "Europe/Athens",
    "IST": "Asia/Kolkata", "JST": "Asia/Tokyo", "KST": "Asia/Seoul",
    "AEST": "Australia/Sydney", "AEDT": "Australia/Sydney",
    "NZST": "Pacific/Auckland", "NZDT": "Pacific/Auckland",
}  # fmt: skip
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_duration(text: str) -> float:
    """Seconds of a duration such as `5s`, `2 hours 30 minutes` or `1d2h3m4s`; blank text is 0.

    Raises:
        InvalidInput: the text is of another form (also a number without its unit), or too long a time.
    """
    found = _DURATION.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise InvalidInput(f"not like '2 hours 30 minutes': {text[:_LONGEST]!r}", field="duration")
    seconds = sum(int(count or 0) * unit for count, unit in zip(found.groups(), _SECONDS, strict=True))
    if seconds > MAX_DURATION_SECONDS:
        raise InvalidInput(f"longer than {MAX_DURATION_SECONDS} s: {text!r}", field="duration")
    return float(seconds)


def parse_until(text: str, *, zone: tzinfo | str) -> int:
    """The moment of `yyyy-MM-dd`, `yyyy-MM-dd HH:mm` or `yyyy-MM-dd HH:mm <zone>`, in UTC milliseconds.

    A local time that summer time skips is moved on by what is skipped; of one that comes twice the
    earlier is meant.

    Args:
        zone: where the local time is meant when the text names no zone.

    Raises:
        InvalidInput: the text is of another form, no such date, or the zone is unknown.
    """
    found = _MOMENT.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise InvalidInput(f"Unable to parse date {text[:_LONGEST]!r}: use yyyy-MM-dd HH:mm z", field="until")
    year, month, day, hour, minute = (int(part or 0) for part in found.groups()[:5])
    where = zone_of(found[6] or zone)
    try:
        moment = datetime(year, month, day, hour, minute, tzinfo=where)
        return (moment - _EPOCH) // timedelta(milliseconds=1)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(f"Unable to parse date {text!r}: {error}", field="until") from None


@lru_cache(maxsize=256)
def zone_of(name: tzinfo | str) -> tzinfo:
    """The time zone of that name, abbreviation or offset (`Europe/Paris`, `PST`, `GMT+02:00`).

    Raises:
        InvalidInput: there is none.
    """
    if isinstance(name, tzinfo):
        return name
    offset = _OFFSET.fullmatch(name)
    try:
        if offset is None:
            return ZoneInfo(_REGIONS.get(name, name))
        minutes = int(offset[2]) * 60 + int(offset[3] or 0)
        if minutes > 18 * 60 or int(offset[3] or 0) > 59:
            raise ValueError("an offset is at most 18 hours")
        return timezone((1 if offset[1] == "+" else -1) * timedelta(minutes=minutes))
    except (ValueError, KeyError, OSError) as error:
        raise InvalidInput(f"no such time zone: {name!r}", field="until") from error
