"""The example site's month: what happens in it, that it can be stored, and what it refuses."""

import io
import random
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import TestCase, override_settings
from django.urls import reverse

from django_phone_otp import conf
from django_phone_otp.choices import DeliveryOutcome, Guard, Period, State
from django_phone_otp.flow.report import read_report
from django_phone_otp.models import (
    AccountLedger,
    BlockedPrefix,
    ConfirmAttempt,
    DeliveryAttempt,
    DeviceLedger,
    GuardObjection,
    PhoneChallenge,
    PhoneLedger,
    TrafficCount,
    UserPhone,
)
from django_phone_otp.phone import parse
from example_project import settings as example
from example_project.management.commands.fill_traffic import Command
from example_project.traffic import Story, tell_story
from example_project.traffic.flow import Guards
from example_project.traffic.people import BOT, make_people
from tests.rows import make_challenge, make_ledger

NOW = datetime(2026, 3, 20, 15, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ACCOUNTS = {"calls", "texts", "reverse", "minsk", "world", "reserve"}
STORED = (
    PhoneLedger,
    DeviceLedger,
    UserPhone,
    PhoneChallenge,
    DeliveryAttempt,
    ConfirmAttempt,
    GuardObjection,
)

pytestmark = [pytest.mark.django_db, pytest.mark.long]


@pytest.fixture(autouse=True)
def _site(settings):
    settings.DEBUG = True
    settings.PHONE_OTP = example.PHONE_OTP


@cache
def tell(seed: int = 1, days: int = 14, scale: float = 0.1) -> Story:
    return tell_story(
        conf.read(), NOW, days=days, seed=seed, scale=scale, begin=lambda _total: lambda _done: None
    )


def fill(**options: Any) -> str:
    """Run the command on a small month; give what it says."""
    out = io.StringIO()
    small = {"days": 7, "scale": 0.005, "stderr": io.StringIO(), **options}
    call_command(Command(), stdout=out, **small)
    return out.getvalue()


def within(rows, since, until):
    return [each for each in rows if since <= each.created_at < until]


# The story


def test_the_same_seed_makes_the_same_month():
    def look(story):
        return [
            (each.public_id, each.phone, each.created_at, each.state, each.account)
            for each in story.made.challenges
        ]

    again = tell_story(
        conf.read(), NOW, days=14, seed=1, scale=0.1, begin=lambda _total: lambda _done: None
    )
    assert look(again) == look(tell())
    assert look(tell(seed=2)) != look(tell())


def test_nothing_happens_before_the_month_or_after_now():
    story = tell()
    moments = [
        each.created_at
        for rows in (story.made.challenges, story.made.deliveries, story.made.confirmations)
        for each in rows
    ]
    assert min(moments) >= NOW - timedelta(days=15)
    assert max(moments) <= NOW


def test_requests_come_in_order():
    asked = [each.created_at for each in tell().made.challenges]
    assert asked == sorted(asked)


def test_every_phone_is_a_valid_number_of_its_region():
    for person in tell().made.people:
        number = parse(person.phone)
        assert (number.e164, number.region) == (person.phone, person.region)
        assert number.is_callable


def test_most_people_log_in_and_most_of_them_are_in_russia():
    challenges = [each for each in tell().made.challenges if each.region != "JM"]
    verified = sum(each.state == State.VERIFIED for each in challenges)
    assert 0.75 < verified / len(challenges) < 0.9
    regions = Counter(each.region for each in challenges)
    assert [region for region, _count in regions.most_common(3)] == ["RU", "BY", "KZ"]


def test_days_are_busier_than_nights():
    people = [each for each in tell().made.challenges if each.user_agent != BOT]
    russian = [each.created_at.astimezone(UTC) for each in people if each.region == "RU"]
    hours = Counter(each.hour for each in russian)
    assert hours[15] > 10 * hours[23]  # six in the evening and two in the night, where they live


def test_messages_cost_rubles_and_euros_and_where_it_is_not_told_nothing():
    currencies = {(each.account, each.currency) for each in tell().made.deliveries if each.cost}
    assert currencies == {
        ("calls", "RUB"),
        ("texts", "RUB"),
        ("reverse", "RUB"),
        ("minsk", "EUR"),
        ("world", "EUR"),
    }


def test_only_what_was_sent_costs_money():
    assert all(each.outcome == "sent" for each in tell().made.deliveries if each.cost)


def test_on_the_bad_day_calls_fail_and_texts_take_over():
    story = tell(scale=0.4)
    bad = story.bad_day

    def share_of_texts(since):
        rows = within(story.made.deliveries, since, since + (bad.until - bad.since))
        sent = [each.account for each in rows if each.outcome == DeliveryOutcome.SENT]
        in_russia = [each for each in sent if each in ("calls", "texts", "reverse")]
        return in_russia.count("texts") / len(in_russia)

    assert share_of_texts(bad.since - timedelta(days=1)) < 0.25
    assert share_of_texts(bad.since) > 0.75
    outcomes = Counter(
        each.outcome
        for each in within(story.made.deliveries, bad.since, bad.until)
        if each.account == "calls"
    )
    assert outcomes[DeliveryOutcome.UNCERTAIN] > outcomes[DeliveryOutcome.UNAVAILABLE] > 0


def test_the_breaker_spares_people_a_service_that_fails():
    story = tell(scale=0.4)
    tried = [
        each
        for each in within(story.made.deliveries, story.bad_day.since, story.bad_day.until)
        if each.account == "calls"
    ]
    asked = within(story.made.challenges, story.bad_day.since, story.bad_day.until)
    assert len(tried) < len(asked) / 3


def test_in_the_first_night_guards_in_shadow_see_the_pumping_and_let_it_through():
    story = tell()
    asked = [
        each for each in within(story.made.challenges, *story.shadow_night) if each.region == "JM"
    ]
    objections = within(story.made.objections, *story.shadow_night)
    assert len(asked) > 80
    assert not any(each.state == State.CANCELLED for each in asked)
    assert {each.guard for each in objections} >= {Guard.PREFIX_TRAFFIC, Guard.ADDRESS_TRAFFIC}
    assert not any(each.blocked for each in objections)


def test_in_the_second_night_the_guard_blocks_all_but_the_free_messages():
    story = tell()
    asked = [
        each for each in within(story.made.challenges, *story.blocked_night) if each.region == "JM"
    ]
    states = Counter(each.state for each in asked)
    free = conf.read().guard(Guard.PREFIX_TRAFFIC).free
    assert states[State.SENT] <= free + 2  # one more shows after each pause whether anybody logs in
    assert states[State.CANCELLED] == len(asked) - states[State.SENT] > 80
    blocked = {each.challenge.public_id for each in story.made.objections if each.blocked}
    assert blocked == {each.public_id for each in asked if each.state == State.CANCELLED}


@pytest.mark.parametrize(("logins_count", "objections_count"), [(0, 1), (1, 0)])
def test_a_login_pays_for_more_messages_to_its_neighbours(logins_count, objections_count):
    (person,) = make_people(1, random.Random(1))
    guards = Guards(conf.read())
    for _message in range(10):
        assert guards.examine(person, person.ip, NOW) == []
    for _login in range(logins_count):
        guards.count_login(person, person.ip, NOW)
    assert len(guards.examine(person, person.ip, NOW)) == objections_count


def test_nobody_logs_in_among_the_pumped_numbers():
    assert not any(
        each.verified_at for each in tell().made.challenges if each.phone.startswith("+1876555")
    )


def test_a_bot_that_guesses_gets_no_further_than_the_lock():
    story = tell()
    guessed = next(each for each in story.made.people if each.phone == story.guessed_phones[0])
    assert guessed.ledger.failures_in_row == 100
    assert guessed.ledger.disabled_at is not None
    wrong = [
        each
        for each in story.made.confirmations
        if each.challenge.phone == guessed.phone and each.refusal
    ]
    assert len(wrong) == 100
    assert max(Counter(each.challenge.public_id for each in wrong).values()) <= 5


def test_the_account_without_money_is_passed_over():
    story = tell(scale=0.4)
    late = within(story.made.deliveries, story.unpaid.since, NOW)
    assert {each.outcome for each in late if each.account == "world"} == {DeliveryOutcome.NO_FUNDS}
    assert any(each.account == "reserve" and each.outcome == "sent" for each in late)


def test_wrong_codes_resends_and_known_devices_are_among_it():
    made = tell().made
    deliveries = Counter(each.challenge.public_id for each in made.deliveries)
    assert max(deliveries.values()) > 1
    assert sum(each.refusal == "wrong_code" for each in made.confirmations) > 100
    assert sum(each.device is not None for each in made.challenges) > 100
    assert any(not each.attempts_left for each in made.challenges)


# The command


@override_settings(DEBUG=True, PHONE_OTP=example.PHONE_OTP)
class TestFilledSite(TestCase):
    """One month for all of these: most of its time is for counting it."""

    said: str
    errors = io.StringIO()

    @classmethod
    def setUpTestData(cls) -> None:
        with time_machine.travel(NOW, tick=False):
            cls.said = fill(scale=0.03, stderr=cls.errors)

    def test_every_row_is_as_the_models_want_it(self):
        for model in STORED:
            rows = list(model._default_manager.all())
            assert rows
            for row in rows:
                row.full_clean(validate_unique=False)

    def test_the_report_has_all_of_it_and_the_attack_among_the_worst(self):
        report = read_report(Period.MONTH, NOW)
        assert report.counted_at is not None
        assert report.total.requested_count == PhoneChallenge.objects.count()
        assert set(report.accounts) == ACCOUNTS
        assert report.prefixes[0].scope == "+1876555"
        assert report.prefixes[0].verified_count == 0
        guard = report.total.guards[Guard.PREFIX_TRAFFIC]
        assert guard.blocked_count > 30
        assert guard.shadow_count > 30

    def test_the_report_shows_the_bad_day(self):
        report = read_report(Period.MONTH, NOW, account="calls")
        worst_at, _worst = max(report.over_time, key=lambda step: step[1].failures_count)
        bad = tell(days=7, scale=0.03).bad_day
        assert worst_at.date() == bad.since.date()

    def test_the_admin_shows_it(self):
        self.client.force_login(get_user_model().objects.create_superuser("an operator"))
        some = PhoneChallenge.objects.order_by("public_id")[:5]
        addresses = [
            reverse("admin:phone_otp_dashboard_changelist"),
            reverse("admin:phone_otp_phonechallenge_changelist"),
            *(reverse("admin:phone_otp_phonechallenge_change", args=[each.pk]) for each in some),
        ]
        assert [self.client.get(each).status_code for each in addresses] == [200] * 7

    def test_accounts_have_balances_without_being_asked(self):
        ledgers = {each.alias: each for each in AccountLedger.objects.all()}
        assert ledgers["world"].problem == "no money in the account"
        assert str(ledgers["texts"].balance) == "212.4000"
        assert str(ledgers["texts"].inspected_at) == "2026-03-20 15:22:30+00:00"

    def test_its_words_say_where_to_look(self):
        dashboard = reverse("admin:phone_otp_dashboard_changelist")
        assert f"http://127.0.0.1:8000{dashboard}" in self.said
        assert '"calls" fails' in self.said

    def test_each_line_opens_what_it_tells_of(self):
        self.client.force_login(get_user_model().objects.create_superuser("an operator"))
        links = re.findall(r"http://127\.0\.0\.1:8000(\S+)", self.said)
        pages = [self.client.get(each) for each in links]
        assert [each.status_code for each in pages] == [200] * 6
        assert [each.context["choice"].query for each in pages[:2]] == [
            {"period": "30d"},
            {"period": "30d", "account": "calls"},
        ]
        month = tell(days=7, scale=0.03)
        times = [
            (month.bad_day.since, month.bad_day.until),
            month.shadow_night,
            month.blocked_night,
            (month.unpaid.since, month.unpaid.until),
        ]
        for page, (since, until) in zip(pages[2:], times, strict=True):
            asked = [each.created_at for each in page.context["cl"].result_list]
            assert asked
            assert since - MINUTE <= min(asked) <= max(asked) < until
        assert "manage.py createsuperuser" in self.said

    def test_they_are_plain_lines_where_nobody_looks_at_a_terminal(self):
        steps = ["Making requests", "Writing rows", "Counting the traffic"]
        assert self.said.splitlines()[:3] == steps
        assert self.errors.getvalue() == ""  # where bars are drawn

    def test_clear_leaves_nothing_but_what_others_made(self):
        other = make_challenge(timedelta(minutes=1), make_ledger(timedelta(days=1)))
        fill(clear=True, beside_others=True)
        assert [each.pk for each in PhoneChallenge.objects.all()] == [other.pk]
        assert [each.phone for each in PhoneLedger.objects.all()] == [other.phone]
        left = (DeviceLedger, get_user_model(), UserPhone, BlockedPrefix, TrafficCount)
        assert [model._default_manager.count() for model in left] == [0] * 5

    def test_a_second_run_takes_the_place_of_the_first(self):
        before = set(PhoneChallenge.objects.values_list("pk", flat=True))
        with time_machine.travel(NOW, tick=False):
            fill()
        after = set(PhoneChallenge.objects.values_list("pk", flat=True))
        assert after
        assert not after & before


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_is_drawn_on_a_terminal(clock):
    clock.move_to(NOW)
    terminal = Terminal()
    fill(stderr=terminal)
    bars = terminal.getvalue().split("\n")
    assert [bar.count("100%") for bar in bars] == [1, 1, 1, 0]  # requests, rows, hours


def test_a_database_that_people_use_is_left_alone():
    make_challenge(timedelta(minutes=1), make_ledger(timedelta(days=1)))
    with pytest.raises(CommandError, match="did not make"):
        fill()
    assert PhoneChallenge.objects.count() == 1


def test_a_site_that_is_not_for_development_is_left_alone(settings):
    settings.DEBUG = False
    with pytest.raises(CommandError, match="DEBUG is off"):
        fill()


def test_a_site_without_the_accounts_is_told_which(phone_otp):
    phone_otp(PROVIDERS={"calls": {"BACKEND": "locmem"}}, ROUTES={})
    with pytest.raises(CommandError, match="no accounts minsk, reserve, reverse, texts, world"):
        fill()


@pytest.mark.parametrize(("option", "value"), [("days", 6), ("days", 91), ("scale", 0)])
def test_what_makes_no_month_is_refused(option, value):
    with pytest.raises(CommandError, match=f"--{option} must be"):
        fill(**{option: value})
