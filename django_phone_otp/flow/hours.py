"""Hours and days where the site is, in its `TIME_ZONE`. Layer 4; pure.

Days are what they are called there, of 23 or 25 hours when the clocks change. Hours are counted
from the beginning of their day, so they fill it whatever the zone: one that is half an hour off,
or a change by half an hour, after which the last hour of the day is a short one. Slices are five
minutes of an hour.
"""

from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from django.utils import timezone

SLICE = timedelta(minutes=5)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


class Stretch(NamedTuple):
    """The time from `start` until before `end`, both in UTC."""

    start: datetime
    end: datetime


def zone() -> tzinfo:
    """Give the time zone of the site; the person's own may be active."""
    return timezone.get_default_timezone()


def date_of(at: datetime) -> date:
    """Give the date at a time."""
    return at.astimezone(zone()).date()


def day_of(at: datetime) -> Stretch:
    """Give the day that a time is in."""
    day = date_of(at)
    return Stretch(start_of(day), start_of(day + DAY))


def hour_of(at: datetime) -> Stretch:
    """Give the hour that a time is in."""
    day = day_of(at)
    start = day.start + (at - day.start) // HOUR * HOUR
    return Stretch(start, min(start + HOUR, day.end))


def slice_of(at: datetime) -> Stretch:
    """Give the slice that a time is in."""
    hour = hour_of(at)
    start = hour.start + (at - hour.start) // SLICE * SLICE
    return Stretch(start, min(start + SLICE, hour.end))


def start_of(day: date, hour: int = 0) -> datetime:
    """Give the moment when a date, or an hour of it, begins.

    Where the clocks skip it, that is when they do; where they go through it twice, the first time.
    """
    return datetime(day.year, day.month, day.day, hour, tzinfo=zone()).astimezone(UTC)
