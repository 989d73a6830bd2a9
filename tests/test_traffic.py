"""Traffic: what is counted of challenges, to which hour it belongs, and what is never lost."""

import random
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.core.cache import cache
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from django_phone_otp.choices import (
    Channel,
    Custody,
    DeliveryOutcome,
    Guard,
    Purpose,
    Refusal,
    Source,
    Span,
    State,
)
from django_phone_otp.flow import (
    census,
    confirm_code,
    counts,
    request_code,
    traffic,
    try_account,
)
from django_phone_otp.flow.hours import hour_of
from django_phone_otp.flow.limits import network_of
from django_phone_otp.flow.tallies import Adder, GuardTally, Tally, add_up
from django_phone_otp.flow.traffic import (
    Counted,
    count_again,
    count_if_due,
    count_traffic,
    find_countable_since,
    is_due,
)
from django_phone_otp.models import (
    ConfirmAttempt,
    DeliveryAttempt,
    GuardObjection,
    PhoneChallenge,
    PhoneLedger,
    TrafficCount,
    TrafficSource,
)
from django_phone_otp.providers.local import FixedCode, outbox
from tests.conftest import NOW, PHONE

pytestmark = pytest.mark.django_db

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
LATER = NOW + timedelta(days=2)  # all is settled


@pytest.fixture(autouse=True)
def _in_utc(settings) -> None:
    settings.TIME_ZONE = "UTC"


def ask(
    at: datetime = NOW,
    *,
    outcome: str | None = DeliveryOutcome.SENT,
    answers: tuple[str, ...] = (),
    login_after: int | None = None,
    phone: str = PHONE,
    **columns: Any,
) -> PhoneChallenge:
    """Store a challenge asked for at a time, as a request, its delivery and answers leave it."""
    ledger, _made = PhoneLedger.objects.get_or_create(phone=phone)
    verified_at = None if login_after is None else at + timedelta(seconds=login_after)
    stored: dict[str, Any] = {
        "phone": phone,
        "ledger": ledger,
        "region": "RU",
        "state": State.VERIFIED if verified_at else State.SENT,
        "attempts_left": 5,
        "code_length": 6,
        "account": "texts",
        "provider": "locmem",
        "channel": Channel.SMS,
        "custody": Custody.LOCAL,
        "created_at": at,
        "sent_at": at,
        "expires_at": at + 5 * MINUTE,
        "verified_at": verified_at,
        **columns,
    }
    challenge = PhoneChallenge.objects.create(**stored)
    if outcome:
        deliver(challenge, outcome)
    for refusal in (*answers, *([""] if verified_at else [])):
        ConfirmAttempt.objects.create(challenge=challenge, refusal=refusal, created_at=at)
    return challenge


def deliver(challenge: PhoneChallenge, outcome: str, **columns: Any) -> None:
    stored: dict[str, Any] = {
        "account": challenge.account,
        "provider": challenge.provider,
        "channel": challenge.channel,
        "outcome": outcome,
        "duration_ms": 100,
        "created_at": challenge.created_at,
        **columns,
    }
    DeliveryAttempt.objects.create(challenge=challenge, **stored)


def counted(span: Span = Span.HOUR) -> dict[tuple[Any, ...], Tally]:
    """Give what is stored, by start, account, channel and region; without what is nothing."""
    found = {}
    for row in TrafficCount.objects.filter(span=span).order_by("starts_at", "account"):
        adder = Adder()
        funnel = (row.requested_count, row.sent_count, row.answered_count, row.verified_count)
        adder.add(*funnel, row.details)
        if adder.tally() != Tally():
            found[row.starts_at, row.account, row.channel, row.region] = adder.tally()
    return found


def total(span: Span = Span.HOUR) -> Tally:
    return add_up(counted(span).values())


def funnel(tally: Tally | None = None) -> tuple[int, int, int, int]:
    tally = tally or total()
    return (
        tally.requested_count,
        tally.sent_count,
        tally.answered_count,
        tally.verified_count,
    )


def hours() -> list[datetime]:
    return sorted({at for at, *_key in counted()})


def sources(span: Span = Span.HOUR) -> list[tuple[Any, ...]]:
    rows = TrafficSource.objects.filter(span=span).order_by("kind", "pk")
    return list(rows.values_list("kind", "scope", "sent_count", "verified_count"))


class TestFunnel:
    """Requested, sent, answered, verified: of each step a part comes to the next."""

    @pytest.mark.parametrize(
        ("columns", "steps"),
        [
            ({"outcome": None, "state": State.CANCELLED}, (1, 0, 0, 0)),
            ({"outcome": DeliveryOutcome.UNAVAILABLE}, (1, 0, 0, 0)),
            ({"outcome": DeliveryOutcome.WITHHELD}, (1, 0, 0, 0)),
            ({"outcome": DeliveryOutcome.WITHHELD, "answers": (Refusal.WRONG_CODE,)}, (1, 0, 0, 0)),
            ({"outcome": DeliveryOutcome.SENT}, (1, 1, 0, 0)),
            ({"outcome": DeliveryOutcome.UNCERTAIN, "sent_at": None}, (1, 1, 0, 0)),
            ({"answers": (Refusal.WRONG_CODE, Refusal.WRONG_CODE)}, (1, 1, 1, 0)),
            ({"answers": (Refusal.WRONG_CODE,), "login_after": 10}, (1, 1, 1, 1)),
            ({"login_after": 10}, (1, 1, 1, 1)),
            ({"purpose": Purpose.LINK, "login_after": 10}, (1, 1, 1, 1)),
        ],
    )
    def test_how_far_a_challenge_came(self, columns, steps):
        ask(**{"state": State.SENDING, **columns} if "sent_at" in columns else columns)
        count_traffic(LATER)
        assert funnel() == steps

    def test_it_counts_once_whatever_resends_and_accounts(self):
        challenge = ask(outcome=DeliveryOutcome.UNAVAILABLE, account="calls", login_after=90)
        deliver(challenge, DeliveryOutcome.SENT, account="texts")
        deliver(challenge, DeliveryOutcome.SENT, account="texts")
        deliver(challenge, DeliveryOutcome.UNCERTAIN, account="calls")
        count_traffic(LATER)
        assert funnel() == (1, 1, 1, 1)
        assert total().outcomes == {"sent": 2, "unavailable": 1, "uncertain": 1}

    def test_it_counts_at_the_account_of_its_last_delivery_and_tries_where_they_were(self):
        challenge = ask(account="texts", login_after=5)
        deliver(
            challenge,
            DeliveryOutcome.UNREACHABLE,
            account="calls",
            channel=Channel.FLASH_CALL,
        )
        count_traffic(LATER)
        found = counted()
        assert funnel(found[NOW, "texts", "sms", "RU"]) == (1, 1, 1, 1)
        assert funnel(found[NOW, "calls", "flash_call", "RU"]) == (0, 0, 0, 0)
        assert found[NOW, "calls", "flash_call", "RU"].outcomes == {"unreachable": 1}

    def test_accounts_channels_and_regions_are_told_apart(self):
        ask(account="a")
        ask(account="a", region="KZ")
        ask(account="a", channel=Channel.TELEGRAM)
        ask(account="b")
        ask(account="", outcome=None, state=State.CANCELLED)
        count_traffic(LATER)
        assert sorted(key[1:] for key in counted()) == [
            ("", "sms", "RU"),
            ("a", "sms", "KZ"),
            ("a", "sms", "RU"),
            ("a", "telegram", "RU"),
            ("b", "sms", "RU"),
        ]
        assert funnel()[0] == 5

    def test_accounts_that_differ_in_case_alone_are_one(self):
        challenge = ask(account="Texts")
        deliver(challenge, DeliveryOutcome.SENT, account="texts")
        count_traffic(LATER)
        assert {key[1] for key in counted()} == {"Texts"}
        assert total().outcomes == {"sent": 2}

    def test_test_phones_do_not_count(self):
        challenge = ask(outcome=DeliveryOutcome.TEST, provider=FixedCode.key, login_after=1)
        GuardObjection.objects.create(challenge=challenge, guard=Guard.REGION, blocked=False)
        count_traffic(LATER)
        assert counted() == {}
        assert sources() == []

    def test_of_a_trial_the_money_counts(self):
        challenge = ask(purpose=Purpose.TRIAL, outcome=None, answers=(Refusal.WRONG_CODE,))
        deliver(challenge, DeliveryOutcome.SENT, cost=Decimal("1.5"), currency="RUB")
        GuardObjection.objects.create(challenge=challenge, guard=Guard.REGION, blocked=False)
        count_traffic(LATER)
        tally = total()
        assert (funnel(), tally.refusals, tally.guards) == ((0, 0, 0, 0), {}, {})
        assert (tally.outcomes, tally.costs) == ({"sent": 1}, {"RUB": Decimal("1.5")})
        assert sources() == []

    def test_what_the_flow_leaves_behind_is_counted(self, clock, phone_otp):
        phone_otp(TEST_PHONES={"+79244501009": {"code": "012345", "until": "2026-12-31"}})
        request_code("+79244501009")
        request_code("+79244501004")
        try_account("memory", "+79244501005")
        asked = request_code(PHONE)
        assert asked.challenge
        wrong = "000000" if outbox[-1].code != "000000" else "111111"
        confirm_code(asked.challenge.public_id, wrong)
        clock.shift(7)
        assert confirm_code(asked.challenge.public_id, outbox[-1].code).challenge
        count_traffic(NOW + MINUTE)
        (key, tally), *others = counted().items()
        assert not others
        assert key == (NOW, "memory", "sms", "RU")
        assert funnel() == (2, 2, 1, 1)
        assert (tally.outcomes, tally.refusals) == ({"sent": 3}, {"wrong_code": 1})
        assert 6 < (tally.login_seconds.percentile(1) or 0) <= 8


class TestDetails:
    """What is counted beside the funnel."""

    def test_refusals_of_codes(self):
        ask(answers=(Refusal.WRONG_CODE, Refusal.WRONG_CODE, Refusal.EXPIRED), login_after=9)
        count_traffic(LATER)
        assert total().refusals == {"wrong_code": 2, "expired": 1}

    def test_guards_heeded_and_in_shadow(self):
        challenge = ask()
        for guard, blocked in (
            (Guard.REGION, True),
            (Guard.REGION, False),
            (Guard.REGION, False),
            (Guard.BLOCKED_PREFIX, True),
        ):
            GuardObjection.objects.create(challenge=challenge, guard=guard, blocked=blocked)
        count_traffic(LATER)
        assert total().guards == {
            "blocked_prefix": GuardTally(blocked_count=1),
            "region": GuardTally(blocked_count=1, shadow_count=2),
        }

    def test_money_is_exact_by_currency(self):
        challenge = ask(outcome=None)
        for _ in range(1_000):
            deliver(challenge, DeliveryOutcome.SENT, cost=Decimal("0.00001"), currency="EUR")
        for cost in ("0.1", "0.2", "999999.99999"):
            deliver(challenge, DeliveryOutcome.SENT, cost=Decimal(cost), currency="RUB")
        deliver(challenge, DeliveryOutcome.UNCERTAIN, cost=Decimal(0), currency="")
        deliver(challenge, DeliveryOutcome.SENT)
        count_traffic(LATER)
        (row,) = TrafficCount.objects.filter(span=Span.HOUR, account="texts")
        assert row.details["costs"] == {"EUR": "0.01000", "RUB": "1000000.29999", "": "0.00000"}

    @pytest.mark.parametrize(
        ("milliseconds", "bucket"), [(0, "10"), (10, "10"), (11, "25"), (60_000, "60000")]
    )
    def test_the_time_of_an_answer_goes_to_the_bound_that_it_does_not_exceed(
        self, milliseconds, bucket
    ):
        deliver(ask(outcome=None), DeliveryOutcome.SENT, duration_ms=milliseconds)
        count_traffic(LATER)
        assert total().details["answer_ms"] == {bucket: 1}

    @pytest.mark.parametrize(
        ("outcome", "milliseconds"),
        [
            (DeliveryOutcome.WITHHELD, 0),
            (DeliveryOutcome.OVER_BUDGET, 0),
            (DeliveryOutcome.PHONE_OVER_BUDGET, 0),
            (DeliveryOutcome.UNCERTAIN, 0),  # as the sweep notes it
            (DeliveryOutcome.UNAVAILABLE, 0),  # no worker took it
            (DeliveryOutcome.MISCONFIGURED, 0),
        ],
    )
    def test_who_was_not_asked_took_no_time(self, outcome, milliseconds):
        deliver(ask(outcome=None), outcome, duration_ms=milliseconds)
        count_traffic(LATER)
        assert total().answer_ms.count == 0
        assert total().outcomes == {outcome: 1}

    @pytest.mark.parametrize(
        ("outcome", "milliseconds", "bucket"),
        [
            (DeliveryOutcome.UNCERTAIN, 70_000, "above"),
            (DeliveryOutcome.UNAVAILABLE, 1, "10"),
            (DeliveryOutcome.MISCONFIGURED, 1, "10"),
            (DeliveryOutcome.REJECTED, 0, "10"),
        ],
    )
    def test_the_time_until_an_error_is_an_answer_too(self, outcome, milliseconds, bucket):
        deliver(ask(outcome=None), outcome, duration_ms=milliseconds)
        count_traffic(LATER)
        assert total().details["answer_ms"] == {bucket: 1}

    @pytest.mark.parametrize(
        ("seconds", "bucket"), [(-1, "2"), (2, "2"), (3, "3"), (41, "50"), (1_201, "above")]
    )
    def test_the_time_to_a_login_goes_to_the_bound_that_it_does_not_exceed(self, seconds, bucket):
        ask(login_after=seconds)
        count_traffic(LATER)
        assert total().details["login_seconds"] == {bucket: 1}

    def test_a_login_upon_a_message_of_unknown_time_took_no_known_time(self):
        ask(outcome=DeliveryOutcome.UNCERTAIN, sent_at=None, login_after=5)
        count_traffic(LATER)
        assert (funnel(), total().login_seconds.count) == ((1, 1, 1, 1), 0)

    def test_histograms_count_what_the_funnel_counts(self):
        for seconds in (1, 30, 30, 200, None, None):
            ask(login_after=seconds)
        count_traffic(LATER)
        assert total().login_seconds.count == total().verified_count == 4
        assert total().answer_ms.count == total().deliveries_count == 6


class TestHours:
    """Everything belongs to the hour of the request."""

    @pytest.mark.parametrize(
        ("at", "start"),
        [
            (NOW, NOW),
            (NOW - datetime.resolution, NOW - HOUR),
            (NOW + HOUR - datetime.resolution, NOW),
            (NOW + HOUR, NOW + HOUR),
        ],
    )
    def test_an_hour_begins_with_its_first_moment_and_ends_before_the_next(self, at, start):
        ask(at)
        count_traffic(LATER)
        assert hours() == [start]

    def test_a_login_in_the_next_hour_counts_where_it_was_asked_for(self):
        challenge = ask(NOW + 58 * MINUTE, login_after=4 * 60)
        ConfirmAttempt.objects.update(created_at=NOW + 62 * MINUTE)
        DeliveryAttempt.objects.update(created_at=NOW + 61 * MINUTE)
        assert challenge.verified_at == NOW + 62 * MINUTE
        count_traffic(LATER)
        assert (hours(), funnel()) == ([NOW], (1, 1, 1, 1))

    @pytest.mark.parametrize(
        ("zone", "at", "starts"),
        [
            ("Asia/Kolkata", NOW, NOW - HOUR / 2),
            ("Asia/Kathmandu", NOW, NOW - HOUR * 3 / 4),
            ("Europe/Berlin", NOW, NOW),
            # Twice the same hour there: two hours to us.
            ("Europe/Berlin", datetime(2026, 10, 25, 0, 30, tzinfo=UTC), None),
            ("Europe/Berlin", datetime(2026, 10, 25, 1, 30, tzinfo=UTC), None),
            # The last hour of a day that is half an hour longer.
            ("Australia/Lord_Howe", datetime(2026, 4, 5, 13, 15, tzinfo=UTC), None),
        ],
    )
    def test_hours_are_those_where_the_site_is(self, settings, zone, at, starts):
        settings.TIME_ZONE = zone
        ask(at)
        count_traffic(at + timedelta(days=1))
        assert hours() == [starts or at.replace(minute=0)]

    @pytest.mark.parametrize(
        ("zone", "day"),
        [
            ("Asia/Kolkata", "03-29"),
            ("Europe/Berlin", "03-29"),
            ("Europe/Berlin", "10-25"),
            ("America/Havana", "03-08"),  # at midnight, as the next
            ("America/Havana", "11-01"),
            ("Australia/Lord_Howe", "04-05"),  # by half an hour, as the next
            ("Australia/Lord_Howe", "10-04"),
        ],
    )
    def test_nothing_is_lost_or_counted_twice_when_clocks_change(self, settings, zone, day):
        settings.TIME_ZONE = zone
        start = datetime.fromisoformat(f"2026-{day}T00:00:00+00:00") - 12 * HOUR
        for number in range(96):
            ask(start + number * 30 * MINUTE)
        count_traffic(start + timedelta(days=5))
        assert funnel() == funnel(total(Span.DAY)) == (96, 96, 0, 0)
        starts = hours()
        assert max(b - a for a, b in pairwise(starts)) == HOUR

    def test_idle_times_are_jumped_over(self):
        ask(NOW - timedelta(days=20))
        ask(NOW)
        with CaptureQueriesContext(connection) as queries:
            assert count_traffic(NOW + MINUTE).hours_count == 2
        assert hours() == [NOW - timedelta(days=20), NOW]
        assert len(queries) < 75


class TestGoingOn:
    """An hour is counted anew until nothing can change in it any more."""

    def test_a_late_login_is_seen_by_the_next_count(self):
        challenge = ask(NOW)
        count_traffic(NOW + MINUTE)
        assert funnel() == (1, 1, 0, 0)
        ConfirmAttempt.objects.create(challenge=challenge, refusal="")
        challenge.state, challenge.verified_at = State.VERIFIED, NOW + 2 * MINUTE
        challenge.save()
        count_traffic(NOW + 3 * MINUTE)
        assert funnel() == (1, 1, 1, 1)

    def test_the_same_count_again_changes_nothing(self):
        for number in range(5):
            ask(NOW + number * 30 * MINUTE, login_after=number, account=f"a{number}")
        count_traffic(NOW + 3 * HOUR)
        before = counted()
        count_traffic(NOW + 3 * HOUR)
        count_traffic(NOW + 3 * HOUR + MINUTE)
        assert counted() == before

    @pytest.mark.parametrize(
        ("counted_at", "seen"),
        [(NOW + 4 * HOUR - datetime.resolution, 2), (NOW + 4 * HOUR, 1), (NOW + 9 * HOUR, 1)],
    )
    def test_three_hours_after_its_end_an_hour_is_settled(self, counted_at, seen):
        ask(NOW)
        count_traffic(counted_at)
        ask(NOW)
        count_traffic(LATER)
        assert total().requested_count == seen

    def test_what_was_erased_meanwhile_counts_no_more(self):
        ask(NOW)
        count_traffic(NOW + MINUTE)
        PhoneChallenge.objects.all().delete()
        count_traffic(NOW + 2 * MINUTE)
        assert counted() == {}

    def test_what_was_erased_after_it_was_settled_goes_on_counting(self):
        ask(NOW)
        count_traffic(LATER)
        PhoneChallenge.objects.all().delete()
        count_traffic(LATER + HOUR)
        assert funnel() == funnel(total(Span.DAY)) == (1, 1, 0, 0)

    def test_the_present_hour_is_counted_though_nothing_happens(self):
        assert count_traffic(NOW) == Counted(hours_count=1, counted_until=NOW, is_complete=True)
        hours = TrafficCount.objects.filter(span=Span.HOUR)
        assert list(hours.values_list("starts_at", "counted_at")) == [(NOW, NOW)]

    def test_a_clock_that_was_ahead_leaves_challenges_for_later(self):
        ask(NOW + 2 * HOUR)
        count_traffic(NOW)
        assert counted() == {}
        count_traffic(NOW + 3 * HOUR)
        assert funnel() == (1, 1, 0, 0)

    def test_a_deadline_ends_it_after_an_hour_and_the_next_goes_on(self):
        for number in range(3):
            ask(NOW + number * HOUR)
        now = NOW + timedelta(days=1)
        untils = []
        for _ in range(5):
            step = count_traffic(now, deadline_seconds=0)
            untils.append((step.hours_count, step.counted_until, step.is_complete))
        assert untils == [
            (1, NOW + HOUR, False),
            (1, NOW + 2 * HOUR, False),
            (1, NOW + 3 * HOUR, False),
            (0, NOW + 3 * HOUR, False),  # a day is added up
            (1, now, True),
        ]
        assert funnel() == (3, 3, 0, 0)

    def test_counts_that_are_stopped_again_and_again_get_to_all_hours(self):
        for number in range(4):
            ask(NOW + number * HOUR)
        now = NOW + 3 * HOUR + MINUTE
        for number in range(4):
            step = count_traffic(now + timedelta(seconds=number), deadline_seconds=0)
            until = NOW + (number + 1) * HOUR if number < 3 else now + timedelta(seconds=3)
            assert step.counted_until == until
        assert funnel() == (4, 4, 0, 0)
        ask(NOW + 3 * HOUR)  # that of the slices which goes on
        count_traffic(now + MINUTE, deadline_seconds=0)
        assert funnel() == (5, 5, 0, 0)

    def test_a_change_of_the_zone_counts_nothing_twice(self, settings):
        for number in range(48):
            ask(NOW + number * 15 * MINUTE)
        count_traffic(NOW + 8 * HOUR)
        for zone in ("Asia/Kolkata", "Asia/Kathmandu", "Europe/Berlin"):
            settings.TIME_ZONE = zone
            count_traffic(NOW + 9 * HOUR)
        count_traffic(LATER)
        assert funnel() == funnel(total(Span.DAY)) == (48, 48, 0, 0)

    def test_a_change_of_the_zone_counts_no_part_of_a_settled_hour_twice(self, settings):
        settings.TIME_ZONE = "Asia/Kolkata"
        for minutes in (10, 40, 50):
            ask(NOW + minutes * MINUTE)
        now = NOW + 3 * HOUR + 31 * MINUTE
        count_traffic(now)  # what is before half past twelve is settled
        settings.TIME_ZONE = "UTC"
        TrafficCount.objects.filter(span=Span.SLICE).update(counted_at=NOW)  # so they are due
        count_traffic(now + MINUTE)
        assert funnel() == (3, 3, 0, 0)
        count_traffic(LATER)
        assert funnel() == funnel(total(Span.DAY)) == (3, 3, 0, 0)


class TestDays:
    """Days are added up from their hours once these are settled."""

    def test_a_day_is_the_sum_of_its_hours(self):
        for number in range(30):
            at = NOW + number * 17 * MINUTE
            ask(at, account=f"a{number % 3}", login_after=number, answers=(Refusal.WRONG_CODE,))
        count_traffic(LATER)
        assert {key[0] for key in counted(Span.DAY)} == {NOW - 12 * HOUR}
        assert total(Span.DAY) == total(Span.HOUR)
        assert funnel() == (30, 30, 30, 30)

    @pytest.mark.parametrize(
        ("now", "days_count"), [(-datetime.resolution, 0), (timedelta(0), 1), (HOUR, 1)]
    )
    def test_a_day_is_added_up_three_hours_after_its_end(self, now, days_count):
        ask(NOW)
        count_traffic(NOW + 15 * HOUR + now)
        assert len(counted(Span.DAY)) == days_count

    @pytest.mark.parametrize(
        ("zone", "starts_at"),
        [
            ("Europe/Moscow", datetime(2026, 2, 28, 21, 0, tzinfo=UTC)),
            ("Asia/Kolkata", datetime(2026, 2, 28, 18, 30, tzinfo=UTC)),
            ("America/New_York", datetime(2026, 3, 1, 5, 0, tzinfo=UTC)),
        ],
    )
    def test_a_day_begins_where_the_site_is(self, settings, zone, starts_at):
        settings.TIME_ZONE = zone
        ask(NOW)
        count_traffic(LATER)
        assert [at for at, *_key in counted(Span.DAY)] == [starts_at]

    def test_the_marker_knows_the_sum(self):
        ask(NOW, account="a", login_after=3)
        ask(NOW, account="b")
        count_traffic(LATER)
        for span in (Span.HOUR, Span.DAY):
            (marker,) = TrafficCount.objects.filter(span=span, channel="").exclude(
                starts_at__gt=NOW
            )
            assert marker.details["funnel"] == [2, 2, 1, 1]
            assert marker.details["total"] == total().details
            assert marker.requested_count == 0


class TestSources:
    """Where messages went that logged nobody in: the worst of each hour."""

    def test_neighbouring_numbers_are_one_prefix(self):
        ask(phone="+79244501003")
        ask(phone="+79244509999", login_after=5)
        ask(phone="+79244519999", login_after=5)
        count_traffic(NOW + MINUTE)
        assert sources() == [("prefix", "+7924450", 2, 1)]

    def test_ipv6_addresses_of_a_customer_are_one_network(self):
        ask(ip="2001:db8::1")
        ask(ip="2001:db8::ffff:2")
        ask(ip="2001:db8:0:1::2", login_after=5)
        ask(ip="192.0.2.7")
        ask(ip=None)
        count_traffic(NOW + MINUTE)
        assert [row for row in sources() if row[0] == "address"] == [
            ("address", "2001:db8::/64", 2, 0),
            ("address", "192.0.2.7", 1, 0),
        ]

    def test_a_network_counts_those_of_its_addresses_too_that_logged_in(self):
        ask(ip="2001:db8::1")
        ask(ip="2001:db8::2", login_after=5)
        count_traffic(NOW + MINUTE)
        assert ("address", "2001:db8::/64", 2, 1) in sources()

    @pytest.mark.parametrize(
        "ip",
        [
            *("192.0.2.7", "0.0.0.0", "255.255.255.255"),
            *("2001:db8:1:2:3:4:5:6", "2001:db8::1", "2001:0:0:1:2:3:4:5", "2001:db8:0:1::"),
            *("::1", "::", "::ffff:192.0.2.7", "::192.0.2.7", "fe80::1", "ffff:ffff::ffff"),
        ],
    )
    def test_the_database_knows_the_network_of_an_address(self, ip):
        ask(ip=ip)
        (found,) = PhoneChallenge.objects.values_list(census.Network("ip"), flat=True)
        assert found == network_of(ip)

    def test_no_more_networks_are_read_than_are_kept(self):
        numbers = range(0x10, 0x4C)
        for number in numbers:
            for host in range(1, 2 + number // 0x30):
                ask(ip=f"2001:db8:0:{number:x}::{host}")
        with CaptureQueriesContext(connection) as queries:
            found = census.find_sources(hour_of(NOW))
        worst = sorted(numbers, key=lambda number: (-(number // 0x30), number))[:50]
        assert [each.name for each in found if each.kind is Source.ADDRESS] == [
            f"2001:db8:0:{number:x}::/64" for number in worst
        ]
        assert len(queries) == 3  # what was asked for, its prefixes, its networks
        assert queries[-1]["sql"].endswith(" LIMIT 50")

    def test_what_was_not_sent_does_not_count(self):
        ask(outcome=DeliveryOutcome.WITHHELD, ip="192.0.2.7")
        ask(outcome=None, state=State.CANCELLED, ip="192.0.2.7")
        count_traffic(NOW + MINUTE)
        assert sources() == []

    def test_only_the_worst_are_kept(self):
        for number in range(60):
            for _ in range(1 + number // 30):
                ask(phone=f"+792445{number:02}0003", ip=f"192.0.2.{number}")
        count_traffic(LATER)
        for span in (Span.HOUR, Span.DAY):
            found = [row for row in sources(span) if row[0] == "prefix"]
            assert [row[1:3] for row in found] == [
                (f"+792445{number:02}", 1 + number // 30) for number in (*range(30, 60), *range(20))
            ]
            assert len([row for row in sources(span) if row[0] == "address"]) == 50

    def test_what_is_bad_all_day_and_never_the_worst_is_among_those_of_the_day(self, monkeypatch):
        monkeypatch.setattr(counts, "KEPT_SOURCES_COUNT", 1)
        monkeypatch.setattr(census, "KEPT_SOURCES_COUNT", 1)
        for hour in range(3):
            ask(NOW + hour * HOUR, phone=f"+7999888000{hour}", ip="192.0.2.66")
            for _ in range(2):
                ask(NOW + hour * HOUR, phone=f"+792445{hour}0003", ip=f"198.51.100.{hour}")
        count_traffic(LATER)
        assert sources(Span.DAY) == [
            ("address", "192.0.2.66", 3, 0),
            ("prefix", "+7999888", 3, 0),
        ]

    def test_what_has_gone_since_its_hour_counts_in_its_day(self):
        ask(NOW, ip="192.0.2.7")
        ask(NOW + HOUR, ip="192.0.2.7")
        count_traffic(NOW + 6 * HOUR)
        PhoneChallenge.objects.filter(created_at=NOW).delete()
        count_traffic(LATER)
        assert ("prefix", "+7924450", 2, 0) in sources(Span.DAY)

    def test_a_day_adds_up_its_hours(self):
        ask(NOW, ip="192.0.2.7")
        ask(NOW + HOUR, ip="192.0.2.7")
        ask(NOW + HOUR, ip="192.0.2.7", login_after=5)
        count_traffic(LATER)
        assert sources(Span.DAY) == [
            ("address", "192.0.2.7", 3, 1),
            ("prefix", "+7924450", 3, 1),
        ]


class TestTwoCounts:
    """Two counts at one moment do no harm: the marker is where they meet."""

    def test_what_a_later_count_has_written_stays(self):
        ask(NOW, login_after=3)
        count_traffic(NOW + 2 * MINUTE)
        before = counted()
        step = count_traffic(NOW + MINUTE)
        assert (step.gave_way, step.is_complete, step.hours_count) == (True, False, 0)
        assert counted() == before

    def test_it_does_so_though_they_have_no_account_in_common(self):
        challenge = ask(NOW, account="late", outcome=None)
        count_traffic(NOW + 2 * MINUTE)
        challenge.account = "early"
        challenge.save()
        assert count_traffic(NOW + MINUTE).gave_way
        assert {key[1] for key in counted()} == {"late"}

    def test_a_slice_whose_hour_gives_way_is_counted_by_the_next(self):
        ask(NOW)
        count_traffic(NOW + 31 * MINUTE)
        ask(NOW, account="late")
        TrafficCount.objects.filter(span=Span.HOUR).update(counted_at=NOW + 63 * MINUTE)
        assert count_traffic(NOW + 62 * MINUTE).gave_way
        assert (funnel(), funnel(total(Span.SLICE))) == ((1, 1, 0, 0), (1, 1, 0, 0))
        assert count_traffic(NOW + 64 * MINUTE).is_complete
        assert (funnel(), funnel(total(Span.SLICE))) == ((2, 2, 0, 0), (2, 2, 0, 0))

    @pytest.mark.parametrize("table", ["phone_otp_trafficcount", "phone_otp_trafficsource"])
    def test_a_deadlock_gives_way_and_leaves_what_was_there(self, table, caplog):
        ask(NOW)
        count_traffic(NOW + MINUTE)
        before, sources_before = counted(), sources()
        ask(NOW)

        def deadlock(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
            if sql.startswith("INSERT") and table in sql:
                raise OperationalError("deadlock")
            return execute(sql, *rest)

        with connection.execute_wrapper(deadlock):
            assert count_traffic(NOW + 2 * MINUTE).gave_way
        assert (counted(), sources()) == (before, sources_before)
        assert caplog.messages == ["traffic_count_gave_way error=OperationalError"]


class TestAgain:
    """What a host counted whose clock was ahead is put right."""

    def count_ahead(self) -> None:
        """Count at noon, by a clock that is a day ahead, and again when the day is over."""
        ask(NOW)
        count_traffic(NOW + 30 * MINUTE + timedelta(days=1))
        ask(NOW + 45 * MINUTE)
        ask(NOW + 5 * HOUR, ip="192.0.2.7")
        count_traffic(LATER)

    def test_hours_and_days_are_counted_anew(self):
        self.count_ahead()
        assert (funnel(), funnel(total(Span.DAY))) == ((2, 2, 0, 0), (1, 1, 0, 0))
        assert count_again(NOW.date(), LATER).is_complete
        assert funnel() == funnel(total(Span.DAY)) == (3, 3, 0, 0)
        assert ("prefix", "+7924450", 3, 0) in sources(Span.DAY)

    def test_what_was_counted_a_moment_ago_by_that_clock_is_put_right(self):
        ask(NOW)
        count_traffic(NOW + 30 * MINUTE + timedelta(days=1))
        assert len(counted(Span.DAY)) == 1
        ask(NOW + 31 * MINUTE)
        assert count_again(NOW.date(), NOW + 32 * MINUTE).is_complete
        assert funnel() == (2, 2, 0, 0)
        assert counted(Span.DAY) == {}
        assert not TrafficCount.objects.filter(starts_at__gt=NOW + HOUR).exists()

    def test_days_before_stay_as_they_are(self):
        gone = ask(NOW - timedelta(days=1))
        count_traffic(NOW)
        gone.delete()
        self.count_ahead()
        count_again(NOW.date(), LATER)
        assert funnel(total(Span.DAY)) == (4, 4, 0, 0)

    def test_a_count_that_was_stopped_is_gone_on_with(self, monkeypatch):
        self.count_ahead()
        monkeypatch.setattr(traffic, "count_traffic", lambda now: Counted())
        count_again(NOW.date(), LATER)
        assert count_traffic(LATER).is_complete
        assert funnel() == funnel(total(Span.DAY)) == (3, 3, 0, 0)

    def test_all_can_be_counted_again_while_nothing_has_gone(self):
        ask(NOW)
        count_traffic(LATER)
        assert find_countable_since(LATER) is None

    @pytest.mark.parametrize("span", [Span.HOUR, Span.DAY])
    def test_what_has_gone_cannot_be_counted_again(self, span):
        ask(NOW - timedelta(days=3))
        ask(NOW)
        count_traffic(LATER)
        PhoneChallenge.objects.filter(created_at__lt=NOW).delete()
        TrafficCount.objects.exclude(span=span).delete()
        assert find_countable_since(LATER) == NOW.date() + timedelta(days=1)


class TestDue:
    """Counting takes a twentieth of the time at most."""

    def test_the_first_is_due(self):
        assert is_due(NOW)

    @pytest.mark.parametrize(
        ("age", "due"),
        [(timedelta(seconds=39), False), (timedelta(seconds=40), True), (HOUR, True)],
    )
    def test_the_next_is_due_after_twenty_times_what_the_last_took(self, age, due):
        cache.set(traffic.STATE_KEY, (NOW.timestamp(), 2.0))
        assert is_due(NOW + age) is due
        assert (count_if_due(NOW + age) is not None) is due

    def test_a_count_notes_when_it_was_and_how_long_it_took(self):
        assert count_if_due(NOW) == Counted(hours_count=1, counted_until=NOW, is_complete=True)
        at, duration_seconds = cache.get(traffic.STATE_KEY)
        assert at == NOW.timestamp()
        assert 0 < duration_seconds < 60

    def test_without_the_cache_it_is_left_to_the_timer(self, settings, caplog):
        settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
        assert count_if_due(NOW) is None
        assert count_traffic(NOW).is_complete
        assert [each.split()[:2] for each in caplog.messages] == [
            ["cache_unavailable", "traffic=due"],
            ["cache_unavailable", "traffic=state"],
        ]


class Reads:
    """Which slices of challenges are counted, by the statement that each count begins with."""

    def __init__(self) -> None:
        self.starts: list[datetime] = []
        self.earliest = LATER

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if re.match(r"SELECT (?!1 ).*phone_otp_(phonechallenge|\w+attempt|\w+objection)", sql):
            times = [at for at in map(_read_time, params) if at]
            if not sql.endswith("LIMIT 1"):  # the index is asked for the next challenge, if any
                self.earliest = min([self.earliest, *times])
            if "MIN(" in sql:
                self.starts.append(min(times))
        return execute(sql, params, many, context)


def _read_time(value: object) -> datetime | None:
    """Read a moment as any of the databases is given it."""
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


@pytest.fixture
def reads() -> Iterator[Reads]:
    reads = Reads()
    with connection.execute_wrapper(reads):
        yield reads


class TestSlices:
    """A challenge is read a few times while it is young, however many there are before it."""

    def test_a_slice_is_counted_when_it_is_twice_as_old_answered_and_settled(self, reads):
        ask(NOW)
        ages = []
        for minutes in range(5, 256, 5):
            reads.starts.clear()
            count_traffic(NOW + minutes * MINUTE)
            if NOW in reads.starts:
                ages.append(minutes)
        assert ages == [5, 10, 20, 40, 75, 150, 240]

    @pytest.mark.parametrize(("minutes", "is_counted"), [(74, False), (75, True), (120, True)])
    def test_a_quarter_of_an_hour_after_its_hour_a_slice_is_counted(
        self, reads, minutes, is_counted
    ):
        ask(NOW + 22 * MINUTE)
        count_traffic(NOW + 73 * MINUTE)
        reads.starts.clear()
        count_traffic(NOW + minutes * MINUTE)
        assert (NOW + 20 * MINUTE in reads.starts) is is_counted

    def test_what_was_counted_after_that_waits_until_it_is_twice_as_old(self, reads):
        ask(NOW + 22 * MINUTE)
        count_traffic(NOW + 75 * MINUTE)
        reads.starts.clear()
        count_traffic(NOW + 120 * MINUTE)
        assert NOW + 20 * MINUTE not in reads.starts

    def test_while_it_goes_on_it_is_counted_each_time(self, reads):
        ask(NOW)
        for minutes in (1, 2, 3, 4, 5):
            count_traffic(NOW + minutes * MINUTE)
        assert reads.starts.count(NOW) == 5

    def test_what_arrives_when_it_is_over_is_counted(self):
        count_traffic(NOW + 5 * MINUTE)
        ask(NOW + 5 * MINUTE - datetime.resolution)
        count_traffic(NOW + 7 * MINUTE)
        assert funnel() == (1, 1, 0, 0)

    def test_nothing_older_is_read_than_what_can_change(self, reads):
        for day in range(20):
            for number in range(6):
                ask(NOW - timedelta(days=day) + number * HOUR / 2)
        now = NOW + 3 * HOUR
        count_traffic(now)
        reads.starts.clear()
        reads.earliest = LATER
        for number in range(5):
            ask(now)
            count_traffic(now + number * MINUTE)
        assert set(reads.starts) == {now}
        # Deliveries are looked for by their own time as well, as far around as clocks may differ.
        assert reads.earliest >= NOW - 4 * HOUR

    def test_the_number_of_statements_does_not_grow_with_what_was_before(
        self, django_assert_num_queries
    ):
        ask(NOW)
        count_traffic(NOW + MINUTE)
        with CaptureQueriesContext(connection) as first:
            count_traffic(NOW + 2 * MINUTE)
        for number in range(1, 40):
            ask(NOW - timedelta(hours=5 * number))
        TrafficCount.objects.all().delete()
        count_traffic(NOW + MINUTE)
        with django_assert_num_queries(len(first)):
            count_traffic(NOW + 2 * MINUTE)

    def test_an_hour_is_the_sum_of_its_slices_and_they_go_when_it_settles(self):
        for minutes in (0, 4, 5, 59):
            ask(NOW + minutes * MINUTE, account=f"a{minutes % 2}", login_after=9, ip="192.0.2.7")
        ask(NOW + 30 * MINUTE, ip="192.0.2.7")
        count_traffic(NOW + HOUR)
        starts = sorted({at for at, *_key in counted(Span.SLICE)})
        assert starts == [NOW + minutes * MINUTE for minutes in (0, 5, 30, 55)]
        assert total(Span.SLICE) == total(Span.HOUR)
        assert sources(Span.HOUR) == [("address", "192.0.2.7", 1, 0), ("prefix", "+7924450", 1, 0)]
        count_traffic(NOW + 4 * HOUR)
        assert (counted(Span.SLICE), sources(Span.SLICE)) == ({}, [])
        assert funnel() == (5, 5, 4, 4)

    def test_an_hour_that_nobody_counted_while_it_was_open_is_counted_whole(self, reads):
        for minutes in (0, 20, 40):
            ask(NOW + minutes * MINUTE)
        count_traffic(NOW + 4 * HOUR)
        assert reads.starts == [NOW, NOW + 4 * HOUR]
        assert funnel() == (3, 3, 0, 0)

    def test_a_deadline_ends_it_in_the_middle_of_an_hour_and_the_next_goes_on(self):
        for number in range(3):
            ask(NOW + number * 10 * MINUTE)
        count_traffic(NOW + HOUR)
        untils = []
        for _ in range(3):
            step = count_traffic(LATER, deadline_seconds=0)
            untils.append((step.hours_count, step.counted_until))
        assert untils == [(0, None), (0, None), (1, NOW + HOUR)]
        assert funnel() == (3, 3, 0, 0)

    @pytest.mark.parametrize("seed", range(2))
    def test_counted_on_the_way_it_comes_to_the_same_as_counted_at_last(self, seed):
        chance = random.Random(seed)
        challenges = [ask(NOW + chance.randrange(7_200) * timedelta(seconds=1)) for _ in range(40)]
        for minutes in range(0, 420, 17):
            now = NOW + minutes * MINUTE
            count_traffic(now)
            for each in chance.sample(challenges, 9):
                if each.created_at < now < NOW + 3 * HOUR:
                    ConfirmAttempt.objects.create(challenge=each, refusal=Refusal.WRONG_CODE)
                    deliver(each, chance.choice(list(DeliveryOutcome)), account="calls")
        on_the_way = counted()
        count_again(NOW.date(), NOW + 7 * HOUR)
        assert on_the_way == counted()


class TestCost:
    """The number of statements does not depend on how much happened."""

    @pytest.mark.parametrize("count", [1, 30])
    def test_an_hour_takes_so_many(self, count, django_assert_num_queries):
        for number in range(count):
            login_after = number % 2 or None
            ask(account=f"a{number % 7}", ip=f"192.0.2.{number}", login_after=login_after)
        count_traffic(NOW + MINUTE)
        with django_assert_num_queries(30):
            count_traffic(NOW + MINUTE)

    def test_an_idle_hour_takes_so_many(self, django_assert_num_queries):
        with django_assert_num_queries(22):
            count_traffic(NOW)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_counting_each_challenge_by_hand_gives(seed):
    chance = random.Random(seed)
    expected: dict[tuple[Any, ...], list[int]] = {}
    for _ in range(60):
        at = NOW + timedelta(seconds=chance.randrange(5 * 3600))
        account, region = chance.choice(["a", "b", ""]), chance.choice(["RU", "KZ"])
        outcome = chance.choice([None, *list(DeliveryOutcome)])
        sent = outcome in (DeliveryOutcome.SENT, DeliveryOutcome.UNCERTAIN)
        answers = (Refusal.WRONG_CODE,) * chance.randrange(3)
        login_after = chance.choice([None, 5]) if sent else None
        ask(
            at,
            account=account,
            region=region,
            outcome=outcome,
            answers=answers,
            login_after=login_after,
        )
        answered = sent and bool(answers or login_after)
        row = expected.setdefault((at.replace(minute=0, second=0), account, region), [0] * 4)
        for number, step in enumerate((True, sent, answered, login_after is not None)):
            row[number] += step
    count_traffic(LATER)
    found = {
        (at, account, region): list(funnel(tally))
        for (at, account, _channel, region), tally in counted().items()
    }
    assert found == expected
