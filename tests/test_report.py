"""Reports: what periods come to, from hours and days alone."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_phone_otp.choices import Period, Source, Span
from django_phone_otp.flow.counts import Scope, Sums, insert
from django_phone_otp.flow.hours import day_of, hour_of
from django_phone_otp.flow.report import Report, SourceTally, read_report
from django_phone_otp.flow.tallies import Tally, add_up
from django_phone_otp.flow.traffic import _add_up_days, count_traffic
from django_phone_otp.models import TrafficCount
from tests.conftest import NOW as NOON
from tests.test_traffic import ask

pytestmark = pytest.mark.django_db

NOW = NOON + timedelta(minutes=10)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PERIODS = list(Period)
STEPS = {Period.DAY: 24, Period.WEEK: 27, Period.MONTH: 30, Period.QUARTER: 90}


@pytest.fixture(autouse=True)
def _in_utc(settings) -> None:
    settings.TIME_ZONE = "UTC"


def count(
    at: datetime,
    requested: int = 1,
    *,
    account: str = "texts",
    channel: str = "sms",
    region: str = "RU",
    scopes: tuple[Scope, ...] = (),
    **details: Any,
) -> None:
    """Store an hour as counting leaves it."""
    sums = Sums()
    sums.at(account, channel, region).add(requested, requested, 0, 0, details)
    insert(Span.HOUR, hour_of(at), at, sums, scopes)


def add_up_days(now: datetime = NOW) -> None:
    assert list(_add_up_days(now))


def read(period: Period = Period.DAY, now: datetime = NOW, **filters: str) -> Report:
    return read_report(period, now, **filters)


def requested(tallies: Any) -> Any:
    if isinstance(tallies, dict):
        return {name: tally.requested_count for name, tally in tallies.items()}
    return tallies.requested_count


def fill(hours_count: int, seed: int = 1) -> None:
    """Store hours of several accounts, channels and regions, the last of them the present one."""
    chance = random.Random(seed)
    for number in range(hours_count):
        stretch, sums = hour_of(NOW - number * HOUR), Sums()
        for account, channel in (("a", "sms"), ("b", "sms"), ("c", "flash_call"), ("", "sms")):
            for region in ("RU", "KZ"):
                sent = chance.randrange(9)
                details = {"outcomes": {"sent": sent}, "costs": {"RUB": f"{sent}.10000"}}
                details["answer_ms"] = {"100": sent}
                sums.at(account, channel, region).add(sent + 1, sent, sent, sent // 2, details)
        insert(Span.HOUR, stretch, NOW, sums, ())


class TestPeriods:
    """What is in a period, and what is in the one before."""

    @pytest.mark.parametrize("period", PERIODS)
    def test_nothing_was_counted(self, period):
        report = read(period)
        assert (report.total, report.previous, report.counted_at) == (Tally(), Tally(), None)
        assert len(report.over_time) == STEPS[period]
        assert report.by_hour_of_day == [Tally()] * 24
        assert (report.by_account, report.prefixes, report.addresses) == ({}, [], [])
        assert (report.accounts, report.channels, report.regions) == ([], [], [])

    @pytest.mark.parametrize(
        ("period", "since"),
        [
            (Period.DAY, NOON - 23 * HOUR),
            (Period.WEEK, datetime(2026, 2, 23, tzinfo=UTC)),
            (Period.MONTH, datetime(2026, 1, 31, tzinfo=UTC)),
            (Period.QUARTER, datetime(2025, 12, 2, tzinfo=UTC)),
        ],
    )
    def test_it_begins_with_an_hour_or_a_day_and_ends_now(self, period, since):
        count(since)
        count(since - HOUR, 10)
        count(NOW, 100)
        report = read(period)
        assert (report.since, report.until) == (since, NOW)
        assert requested(report.total) == 101
        assert [each.requested_count for _at, each in report.over_time][:: STEPS[period] - 1] == [
            1,
            100,
        ]

    @pytest.mark.parametrize("are_days", [False, True])
    @pytest.mark.parametrize(
        ("period", "first", "last"),
        [
            (Period.DAY, NOON - 47 * HOUR, NOON - 25 * HOUR),
            (Period.WEEK, datetime(2026, 2, 16, tzinfo=UTC), NOON - 7 * DAY - HOUR),
            (Period.MONTH, datetime(2026, 1, 1, tzinfo=UTC), NOON - 30 * DAY - HOUR),
            (Period.QUARTER, datetime(2025, 9, 3, tzinfo=UTC), NOON - 90 * DAY - HOUR),
        ],
    )
    def test_the_period_before_ends_as_early_in_its_day(self, period, first, last, are_days):
        count(first - HOUR, 1_000)
        count(first)
        count(last, 10)
        count(last + HOUR, 100)
        if are_days:
            add_up_days()
        report = read(period)
        assert requested(report.previous) == requested(read(period, account="texts").previous) == 11
        assert requested(report.total) == 0

    @pytest.mark.parametrize("period", PERIODS)
    @pytest.mark.parametrize("filters", [{}, {"account": "a"}, {"region": "KZ"}])
    def test_days_say_what_their_hours_say(self, period, filters):
        fill(24 * 16)
        by_hours = read(period, **filters)
        add_up_days()
        assert read(period, **filters) == by_hours

    def test_days_added_up_without_their_hours_say_the_same(self):
        fill(24 * 16)
        add_up_days()
        before = read(Period.QUARTER)
        rows = TrafficCount.objects.filter(span=Span.HOUR, starts_at__lt=day_of(NOW).start)
        rows.delete()
        after = read(Period.QUARTER)
        assert (after.total, after.by_account) == (before.total, before.by_account)
        assert after.over_time == before.over_time

    @pytest.mark.parametrize("zone", ["Asia/Kolkata", "Europe/Berlin", "America/New_York"])
    def test_days_and_hours_are_those_where_the_site_is(self, settings, zone):
        settings.TIME_ZONE = zone
        fill(24 * 3)
        add_up_days(NOW)
        report = read(Period.MONTH)
        assert report.over_time[-1][0] == day_of(NOW).start
        assert requested(add_up(tally for _at, tally in report.over_time)) == requested(
            report.total
        )

    def test_hours_of_the_day_are_those_where_the_site_is(self, settings):
        settings.TIME_ZONE = "Asia/Yekaterinburg"
        count(NOON)
        for period in PERIODS:
            by_hour = read(period).by_hour_of_day
            assert [hour for hour, tally in enumerate(by_hour) if tally.requested_count] == [17]

    @pytest.mark.parametrize(
        ("now", "steps_count"),
        [
            (datetime(2026, 3, 29, 21, 59, tzinfo=UTC), 28),
            (datetime(2026, 10, 25, 22, 59, tzinfo=UTC), 28),
            (datetime(2026, 3, 29, 21, 59, tzinfo=UTC) - 6 * HOUR, 27),
        ],
    )
    def test_a_week_has_steps_of_six_hours_though_the_clocks_change(
        self, settings, now, steps_count
    ):
        settings.TIME_ZONE = "Europe/Berlin"
        steps = [at for at, _tally in read(Period.WEEK, now).over_time]
        assert len(steps) == steps_count
        assert {at.astimezone(day_of(now).start.tzinfo).minute for at in steps} == {0}
        assert steps == sorted(set(steps))

    def test_it_says_when_it_was_counted(self):
        count(NOON - 3 * HOUR)
        count(NOON)
        assert read().counted_at == NOON


class TestParts:
    """By account, channel, region and time it is the same challenges."""

    @pytest.mark.parametrize("period", PERIODS)
    @pytest.mark.parametrize(
        "filters", [{}, {"account": "a"}, {"channel": "sms"}, {"account": "b", "region": "KZ"}]
    )
    def test_parts_add_up_to_the_total(self, period, filters):
        fill(40)
        report = read(period, **filters)
        assert requested(report.total) > 0
        for parts in (report.by_account, report.by_channel, report.by_region):
            assert add_up(parts.values()) == report.total
        over_time = add_up(tally for _at, tally in report.over_time)
        by_hour = add_up(report.by_hour_of_day)
        for whole in (over_time, by_hour):
            assert requested(whole) == requested(report.total)
            assert whole.verified_count == report.total.verified_count
            if not filters:
                assert whole == report.total

    def test_filters_are_parts_of_the_whole(self):
        fill(40)
        whole = read(Period.WEEK)
        for name, parts in (
            ("account", whole.by_account),
            ("channel", whole.by_channel),
            ("region", whole.by_region),
        ):
            for word, part in parts.items():
                if word:
                    assert read(Period.WEEK, NOW, **{name: word}).total == part

    def test_the_largest_comes_first(self):
        count(NOON, 3, account="b")
        count(NOON - HOUR, 7, account="a")
        count(NOON - 2 * HOUR, 3, account="c")
        assert requested(read().by_account) == {"a": 7, "b": 3, "c": 3}
        assert list(read().by_account) == ["a", "b", "c"]

    def test_what_can_be_chosen_does_not_depend_on_what_is(self):
        fill(2)
        report = read(account="a")
        assert (report.accounts, report.channels) == (["a", "b", "c"], ["flash_call", "sms"])
        assert report.regions == ["KZ", "RU"]
        assert list(report.by_account) == ["a"]

    def test_money_is_exact(self):
        for number in range(10):
            count(NOON - number * HOUR, costs={"EUR": "0.10000"})
        assert read().total.costs == {"EUR": Decimal("1.00000")}

    def test_what_was_counted_of_challenges_is_read(self):
        ask(NOON, ip="192.0.2.7")
        ask(NOON, login_after=5, ip="192.0.2.7")
        count_traffic(NOW)
        report = read()
        assert (report.total.sent_count, report.total.conversion) == (2, 0.5)
        assert report.addresses == [SourceTally(scope="192.0.2.7", sent_count=2, verified_count=1)]
        assert report.counted_at == NOW


class TestSources:
    """The worst prefixes and addresses of the period."""

    @pytest.mark.parametrize("period", PERIODS)
    def test_hours_and_days_add_up_the_worst_first(self, period):
        for number in range(3):
            scopes = (
                Scope(Source.PREFIX, "+7924450", 5, 1),
                Scope(Source.PREFIX, "+7924451", 9 - number * 4, 0),
                Scope(Source.ADDRESS, "192.0.2.7", 3, 2),
            )
            count(NOON - number * 8 * HOUR, scopes=scopes)
        add_up_days()
        report = read(period)
        assert report.prefixes == [
            SourceTally(scope="+7924451", sent_count=15, verified_count=0),
            SourceTally(scope="+7924450", sent_count=15, verified_count=3),
        ]
        assert report.addresses == [SourceTally(scope="192.0.2.7", sent_count=9, verified_count=6)]
        assert report.prefixes[1].unverified_count == 12

    def test_older_ones_are_left_out(self):
        count(NOON - 30 * HOUR, scopes=(Scope(Source.PREFIX, "+7924450", 5, 1),))
        assert read(Period.DAY).prefixes == []

    def test_twenty_are_enough(self):
        scopes = tuple(Scope(Source.PREFIX, f"+79244{number}", 2, 1) for number in range(25))
        count(NOON, scopes=scopes)
        assert len(read().prefixes) == 20


class TestCost:
    """Four queries, whatever there is."""

    @pytest.mark.parametrize("hours_count", [0, 2, 80])
    @pytest.mark.parametrize("filters", [{}, {"account": "a"}])
    @pytest.mark.parametrize(("period", "queries"), [*zip(PERIODS, [2, 4, 4, 4], strict=True)])
    def test_it_takes_so_many(self, hours_count, filters, period, queries):
        fill(hours_count)
        if hours_count > 60:
            add_up_days()
        with CaptureQueriesContext(connection) as captured:
            read(period, **filters)
        assert len(captured) == queries

    @pytest.mark.parametrize("period", PERIODS)
    def test_no_challenge_is_looked_at(self, period):
        ask(NOON)
        count_traffic(NOW)
        with CaptureQueriesContext(connection) as captured:
            read(period)
        tables = [each["sql"] for each in captured if "phone_otp_traffic" not in each["sql"]]
        assert tables == []
