"""Hours and days where the site is, whatever its clocks do."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_phone_otp.flow.hours import HOUR, SLICE, date_of, day_of, hour_of, slice_of, start_of

ZONES = (
    *("UTC", "Europe/Berlin", "America/Havana", "Africa/Cairo", "Asia/Kolkata"),
    *("Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"),
)
TIMES = st.datetimes(datetime(2011, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (hypothesis adds the zone)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("UTC", date(2026, 3, 29), 24),
        ("Europe/Berlin", date(2026, 3, 29), 23),
        ("Europe/Berlin", date(2026, 10, 25), 25),
        ("America/Havana", date(2026, 3, 8), 23),
        ("America/Havana", date(2026, 11, 1), 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Australia/Lord_Howe", date(2026, 10, 4), 23.5),
    ],
)
def test_a_day_is_as_long_as_its_clocks_make_it(settings, zone, day, hours):
    settings.TIME_ZONE = zone
    start, end = day_of(start_of(day))
    assert end - start == timedelta(hours=hours)
    assert (date_of(start), date_of(end - datetime.resolution)) == (day, day)
    assert date_of(start - datetime.resolution) == day - timedelta(days=1)


def test_a_day_begins_when_the_clocks_skip_midnight(settings):
    settings.TIME_ZONE = "America/Havana"
    assert start_of(date(2026, 3, 8)) == datetime(2026, 3, 8, 5, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "at", "start", "end"),
    [
        ("Asia/Kolkata", "2026-03-01T12:00", "2026-03-01T11:30", "2026-03-01T12:30"),
        # Half an hour is left of the day.
        ("Australia/Lord_Howe", "2026-04-05T13:15", "2026-04-05T13:00", "2026-04-05T13:30"),
        ("Australia/Lord_Howe", "2026-04-05T13:30", "2026-04-05T13:30", "2026-04-05T14:30"),
    ],
)
def test_hours_are_counted_from_the_beginning_of_their_day(settings, zone, at, start, end):
    settings.TIME_ZONE = zone
    moments = [datetime.fromisoformat(f"{each}:00+00:00") for each in (at, start, end)]
    assert hour_of(moments[0]) == tuple(moments[1:])


@pytest.mark.parametrize("zone", ZONES)
def test_slices_fill_hours_and_hours_days_and_days_fill_time(settings, zone):
    settings.TIME_ZONE = zone

    @given(TIMES)
    def fill(at: datetime) -> None:
        slice_, hour, day = slice_of(at), hour_of(at), day_of(at)
        assert hour.start <= slice_.start <= at < slice_.end <= hour.end
        assert day.start <= hour.start <= at < hour.end <= day.end
        assert slice_.end - slice_.start == SLICE
        assert slice_of(slice_.end).start == slice_.end
        assert hour.end - hour.start == HOUR or hour.end == day.end
        assert hour_of(hour.end).start == hour.end
        assert day_of(day.end).start == day.end
        assert date_of(day.start) == date_of(at)

    fill()
