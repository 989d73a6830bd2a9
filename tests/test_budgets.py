"""Budgets of accounts: how many messages go through one, in a day and to one phone."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from django_phone_otp import conf, signals
from django_phone_otp.choices import Channel, Custody, DeliveryOutcome
from django_phone_otp.flow import limits, request_code, try_account
from django_phone_otp.flow.accounts import Account, load_account
from django_phone_otp.flow.budgets import take_from_budgets
from django_phone_otp.models import (
    AccountLedger,
    DeliveryAttempt,
    PhoneChallenge,
    PhoneLedger,
    ProviderAccount,
    UserPhone,
)
from tests import fakes
from tests.conftest import PHONE
from tests.fakes import accounts, providers, store_account

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

OTHER = "+79244501004"
TODAY, TOMORROW = date(2026, 3, 1), date(2026, 3, 2)
DAY_SECONDS = 86_400
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def _no_other_limits(phone_otp):
    phone_otp(RESEND_WAITS=[0], LIMITS={"send_phone": "1000/d"})


def ask(phone: str = PHONE) -> str:
    """Ask for a code, and name the account that sent it, or the refusal."""
    asked = request_code(phone)
    return asked.challenge.account if asked.challenge else str(asked.refusal)


def ledger(alias: str = "a") -> AccountLedger:
    return AccountLedger.objects.get(alias=alias)


def notes() -> list[tuple[str, str]]:
    return list(DeliveryAttempt.objects.order_by("pk").values_list("account", "outcome"))


# The account's ledger


def take(limit: int = 2, today: date = TODAY, alias: str = "a", count: int = 1) -> bool:
    return AccountLedger.objects.take_message(alias, limit=limit, today=today, count=count)


def test_messages_are_taken_until_there_is_none():
    assert [take() for _ in range(3)] == [True, True, False]
    assert (ledger().day, ledger().sent_count) == (TODAY, 2)


def test_a_message_that_is_not_there_is_not_counted():
    for _ in range(5):
        take(limit=1)
    assert ledger().sent_count == 1


def test_another_day_begins_anew():
    for _ in range(3):
        take()
    assert [take(today=TOMORROW) for _ in range(3)] == [True, True, False]
    assert (ledger().day, ledger().sent_count) == (TOMORROW, 2)


def test_accounts_are_counted_apart():
    assert [take(1), take(1, alias="b"), take(1, alias="b")] == [True, True, False]
    assert AccountLedger.objects.count() == 2


def test_a_limit_that_was_lowered_holds_at_once():
    for _ in range(3):
        take(limit=5)
    assert [take(limit=3), take(limit=2), take(limit=4)] == [False, False, True]


def test_nothing_is_taken_by_what_is_withheld():
    assert [take(1, count=0), take(1), take(1, count=0)] == [True, True, False]
    assert ledger().sent_count == 1


def test_what_is_withheld_on_a_new_day_leaves_all_of_it():
    take(limit=1)
    assert take(limit=1, today=TOMORROW, count=0)
    assert (ledger().day, ledger().sent_count) == (TOMORROW, 0)
    assert take(limit=1, today=TOMORROW)


def test_an_account_that_only_keeps_something_has_sent_nothing():
    AccountLedger.objects.keep("a", {"profile": "p"}, {})
    assert [take(), take(), take()] == [True, True, False]
    assert ledger().kept_options({}) == {"profile": "p"}


@pytest.mark.parametrize("count", [0, 1])
def test_taking_a_message_is_one_conditional_update(count):
    take(limit=1, count=0)
    with CaptureQueriesContext(connection) as queries:
        assert take(limit=1, count=count)
    (query,) = queries.captured_queries
    assert query["sql"].startswith("UPDATE")
    assert "sent_count" in query["sql"].partition(" WHERE ")[2]


# The day of an account


def test_a_full_account_is_passed_over(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 2}, b={}))
    assert [ask() for _ in range(3)] == ["a", "a", "b"]
    assert notes()[2:] == [("a", "over_budget"), ("b", "sent")]
    assert len(fakes.asked) == 3


def test_a_full_account_is_noted_with_its_limit(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 1}, b={}))
    ask(), ask()
    attempt = DeliveryAttempt.objects.get(outcome="over_budget")
    assert attempt.detail == "1 messages through this account today"
    assert (attempt.provider, attempt.channel, attempt.duration_ms) == ("fake", "sms", 0)


def test_the_limit_of_a_row_counts(phone_otp):
    phone_otp(PROVIDERS=None)
    store_account("a", daily_limit=1)
    store_account("b")
    assert [ask(), ask()] == ["a", "b"]


def test_the_day_is_all_phones_together(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 1}, b={}))
    assert [ask(PHONE), ask(OTHER)] == ["a", "b"]


def test_delivery_fails_where_the_only_account_is_full(post, phone_otp):
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 1}), RESEND_WAITS=[30])
    ask(OTHER)
    response = post("request", phone=PHONE)
    challenge = PhoneChallenge.objects.get(phone=PHONE)
    assert response.status_code == 503
    assert response.json() == {
        "detail": "The code could not be delivered. Try again later.",
        "code": "delivery_failed",
        "challenge": challenge.public_id,
        "resend_in": 30,
    }
    assert (challenge.state, challenge.account) == ("failed", "a")


def test_operators_are_told_of_a_full_account(phone_otp, caplog):
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 1}, b={}))
    ask(), ask()
    mine = [each for each in caplog.records if each.name == "django_phone_otp.flow.budgets"]
    assert [(each.levelname, each.getMessage()) for each in mine] == [
        ("ERROR", "budget_used_up account=a limit=1")
    ]


def test_operators_are_told_of_a_full_account_once_a_day(phone_otp, caplog, clock):
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 1}, b={"DAILY_LIMIT": 2}))
    for _ in range(5):
        ask()
    assert caplog.text.count("budget_used_up account=a limit=1") == 1
    assert caplog.text.count("budget_used_up account=b limit=2") == 1
    clock.shift(timedelta(days=1))
    ask(), ask()
    assert caplog.text.count("budget_used_up account=a limit=1") == 2


def test_without_the_cache_they_are_told_each_time(settings, caplog):
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    take(limit=1)
    for _ in range(2):
        take_from_budgets(account(daily_limit=1), waiting(), conf.read())
    assert caplog.text.count("budget_used_up") == 2


def test_listeners_are_told_of_a_full_account(phone_otp, django_capture_on_commit_callbacks):
    heard = []

    def hear(delivery, **_arguments):
        heard.append((delivery.account, delivery.outcome))

    signals.delivery_failed.connect(hear)
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 1}, b={}))
    with django_capture_on_commit_callbacks(execute=True):
        ask(), ask()
    assert heard == [("a", "over_budget")]


def test_the_day_ends_at_midnight_of_the_site(phone_otp, settings, clock):
    settings.TIME_ZONE = "Asia/Irkutsk"  # 20:00 there
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 1}, b={}))
    seen = [ask()]
    for passed in (timedelta(hours=3, minutes=59), timedelta(minutes=1)):
        clock.shift(passed)
        seen.append(ask())
    assert seen == ["a", "b", "a"]


def test_each_message_counts_a_resend_too(post, phone_otp):
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 2}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    codes = [post("resend", challenge=challenge).status_code for _ in range(2)]
    assert codes == [200, 503]


def test_a_message_that_failed_is_not_given_back(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 1, "error": "ProviderUnavailable"}, b={}))
    ask(), ask()
    assert notes() == [("a", "unavailable"), ("b", "sent"), ("a", "over_budget"), ("b", "sent")]
    assert ledger().sent_count == 1


def test_an_account_behind_the_one_that_sent_is_not_counted(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 5}, b={"DAILY_LIMIT": 5}))
    ask()
    assert list(AccountLedger.objects.values_list("alias", "sent_count")) == [("a", 1)]


def test_an_account_without_limits_costs_the_database_nothing(phone_otp):
    phone_otp(PROVIDERS=providers(a={}))
    ask()
    assert not AccountLedger.objects.exists()
    assert PhoneLedger.objects.get().account_sends == {}


# What an account may send to one phone


@pytest.fixture
def _twice(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"PHONE_DAILY_LIMIT": 2}, b={}))


@pytest.mark.usefixtures("_twice")
def test_an_account_that_has_sent_enough_to_a_phone_is_passed_over():
    assert [ask() for _ in range(3)] == ["a", "a", "b"]
    assert notes()[2:] == [("a", "phone_over_budget"), ("b", "sent")]
    attempt = DeliveryAttempt.objects.get(outcome="phone_over_budget")
    assert attempt.detail == "2 messages to this phone in 24 hours"


@pytest.mark.usefixtures("_twice")
def test_phones_are_counted_apart():
    assert [ask(PHONE), ask(PHONE), ask(OTHER)] == ["a", "a", "a"]


@pytest.mark.usefixtures("_twice")
def test_the_window_of_a_phone_slides(clock):
    # With a midnight in it four would be possible within an hour.
    seen = []
    for hours in (0, 11, 2, 10, 1):
        clock.shift(hours * HOUR)
        seen.append(ask())
    assert seen == ["a", "a", "b", "b", "a"]


def test_the_limit_of_a_providers_class_counts(phone_otp):
    phone_otp(PROVIDERS=providers(a={"kind": "FakeLimited"}, b={}))
    assert [ask() for _ in range(3)] == ["a", "a", "b"]


def test_the_limit_of_a_row_for_a_phone_counts(phone_otp):
    phone_otp(PROVIDERS=None)
    store_account("a", phone_daily_limit=1)
    store_account("b")
    assert [ask(), ask()] == ["a", "b"]


def test_a_phone_that_has_had_enough_is_told_when_to_come_back(post, phone_otp, clock):
    phone_otp(PROVIDERS=accounts(a={"PHONE_DAILY_LIMIT": 2}))
    for _ in range(2):
        post("request", phone=PHONE)
        clock.shift(HOUR)
    response = post("request", phone=PHONE)
    assert response.status_code == 429
    assert response.json() == {
        "detail": "Too many requests. Try again later.",
        "code": "too_many_requests",
        "retry_after": DAY_SECONDS - 2 * 3_600,
    }
    assert response["Retry-After"] == str(DAY_SECONDS - 2 * 3_600)


def test_a_phone_is_let_through_when_it_was_told_and_not_a_second_before(post, phone_otp, clock):
    phone_otp(PROVIDERS=accounts(a={"PHONE_DAILY_LIMIT": 1}))
    post("request", phone=PHONE)
    clock.shift(timedelta(seconds=100, milliseconds=500))
    told = post("request", phone=PHONE).json()["retry_after"]
    clock.shift(told - 1)
    assert post("request", phone=PHONE).json()["retry_after"] == 1
    clock.shift(1)
    assert post("request", phone=PHONE).status_code == 201


def test_the_longer_of_the_accounts_and_the_phones_wait_is_told(post, phone_otp, clock):
    phone_otp(PROVIDERS=accounts(a={"PHONE_DAILY_LIMIT": 1}), RESEND_WAITS=[30, 600])
    post("request", phone=PHONE)
    clock.shift(timedelta(hours=23, minutes=59))
    assert post("request", phone=PHONE).json()["retry_after"] == 600


def test_a_resend_counts_for_the_phone(post, phone_otp):
    phone_otp(PROVIDERS=accounts(a={"PHONE_DAILY_LIMIT": 2}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert [post("resend", challenge=challenge).status_code for _ in range(2)] == [200, 429]


@pytest.mark.usefixtures("_twice")
def test_a_trial_counts_for_the_phone_and_is_counted():
    assert try_account("a", PHONE).challenge
    assert try_account("a", PHONE).challenge
    assert ask() == "b"
    assert try_account("a", PHONE).refusal == "too_many_requests"


def test_accounts_are_counted_apart_for_a_phone(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"PHONE_DAILY_LIMIT": 1}, b={"PHONE_DAILY_LIMIT": 1}, c={}))
    assert [ask() for _ in range(3)] == ["a", "b", "c"]
    sends = PhoneLedger.objects.get().account_sends
    assert {alias: len(times) for alias, times in sends.items()} == {"a": 1, "b": 1}


def test_both_limits_of_an_account_hold(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 3, "PHONE_DAILY_LIMIT": 2}, b={}))
    assert [ask(PHONE) for _ in range(3)] == ["a", "a", "b"]
    assert [ask(OTHER) for _ in range(2)] == ["a", "b"]


def test_who_is_refused_by_his_phones_limit_uses_nothing_of_the_day(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 2, "PHONE_DAILY_LIMIT": 1}, b={}))
    for _ in range(3):
        ask(PHONE)
    assert ledger().sent_count == 1
    assert ask(OTHER) == "a"


# Under a race


def waiting(phone: str = PHONE) -> PhoneChallenge:
    """Store a challenge that waits for its message, with the phone's ledger as it is now."""
    ledger, _created = PhoneLedger.objects.get_or_create(phone=phone)
    challenge = PhoneChallenge.objects.create(
        phone=phone,
        ledger=ledger,
        attempts_left=5,
        code_length=6,
        channel=Channel.SMS,
        custody=Custody.LOCAL,
        expires_at=datetime(2026, 3, 1, 12, 5, tzinfo=UTC),
    )
    return PhoneChallenge.objects.select_related("ledger").get(pk=challenge.pk)


def account(**limit: Any) -> Account:
    return Account("a", load_account("memory", conf.read()).provider, **limit)


def refused(challenge: PhoneChallenge, of: Account, **arguments: Any) -> str:
    delivery = take_from_budgets(of, challenge, conf.read(), **arguments)
    return delivery.detail if delivery else ""


def test_s09_of_two_requests_that_read_the_same_ledger_one_takes_the_last_message():
    first, second = waiting(), waiting()
    once = account(phone_daily_limit=1)
    assert [refused(each, once) for each in (first, second)] == [
        "",
        "1 messages to this phone in 24 hours",
    ]
    assert len(PhoneLedger.objects.get().account_sends["a"]) == 1


def test_s09_what_another_request_took_meanwhile_is_not_lost():
    first, second = waiting(), waiting()
    twice = account(phone_daily_limit=3)
    assert [refused(each, twice) for each in (first, second)] == ["", ""]
    assert len(PhoneLedger.objects.get().account_sends["a"]) == 2


def test_s09_what_was_written_meanwhile_about_other_things_stays():
    challenge = waiting()
    other = PhoneLedger.objects.get()
    other.write({"failures": [1.5], "sends": [2.5]})
    assert refused(challenge, account(phone_daily_limit=1)) == ""
    stored = PhoneLedger.objects.get()
    assert (stored.failures, stored.sends, len(stored.account_sends["a"])) == ([1.5], [2.5], 1)
    assert challenge.ledger.revision == stored.revision == 2


def test_budgets_are_read_where_they_are_written(phone_otp, settings):
    limited = {"DAILY_LIMIT": 3, "PHONE_DAILY_LIMIT": 2}
    phone_otp(PROVIDERS=accounts(a=limited, b={"kind": "FakePrepared", "profile": "p"}))
    settings.DATABASE_ROUTERS = ["tests.test_replicas.ReplicaRouter"]
    assert [ask(), ask(), ask(), ask(OTHER), ask(OTHER)] == ["a", "a", "b", "a", "b"]


# What is withheld


@pytest.fixture
def known(django_user_model) -> str:
    UserPhone.objects.create(user=django_user_model.objects.create_user("ann"), phone=PHONE)
    return PHONE


@pytest.fixture
def _closed(phone_otp, known):
    phone_otp(
        SIGNUP=False,
        PROVIDERS=accounts(a={"DAILY_LIMIT": 1, "PHONE_DAILY_LIMIT": 2}, b={"DAILY_LIMIT": 1}),
    )


@pytest.mark.usefixtures("_closed")
def test_strangers_phones_use_up_no_ones_day():
    seen = [ask(OTHER), ask(OTHER), ask(PHONE)]
    assert seen == ["a", "a", "a"]
    assert (ledger().sent_count, len(fakes.asked)) == (1, 1)


@pytest.mark.usefixtures("_closed")
def test_what_is_withheld_counts_for_its_phone():
    assert [ask(OTHER) for _ in range(3)] == ["a", "a", "b"]
    assert len(PhoneLedger.objects.get(phone=OTHER).account_sends["a"]) == 2


@pytest.mark.usefixtures("_closed")
def test_what_is_withheld_passes_over_a_full_account():
    ask(PHONE)
    assert ask(OTHER) == "b"
    assert notes() == [("a", "sent"), ("b", "withheld")]


@pytest.mark.usefixtures("_closed")
def test_what_is_withheld_looks_sent_where_all_accounts_are_full():
    assert [ask(PHONE), ask(PHONE)] == ["a", "b"]
    assert [ask(OTHER), ask(PHONE)] == ["b", "b"]
    assert DeliveryAttempt.objects.filter(outcome="sent").count() == 2
    assert len(fakes.asked) == 2


@pytest.mark.usefixtures("known")
@pytest.mark.parametrize(
    "use",
    [
        pytest.param({"DAILY_LIMIT": 100}, id="day"),
        pytest.param({"PHONE_DAILY_LIMIT": 100}, id="phone"),
        pytest.param({"DAILY_LIMIT": 100, "PHONE_DAILY_LIMIT": 2}, id="both"),
        pytest.param({"kind": "FakeLimited"}, id="providers"),
    ],
)
def test_s11_with_budgets_too_every_step_looks_the_same(phone_otp, post, clock, use):
    phone_otp(SIGNUP=False, PROVIDERS=accounts(a=use))
    AccountLedger.objects.create(alias="a")  # as it is from the account's second message on

    def walk(phone: str) -> list[tuple[Any, ...]]:
        seen = []
        challenge = ""
        for _ in range(4):
            with CaptureQueriesContext(connection) as queries:
                body = {"challenge": challenge} if challenge else {"phone": phone}
                response = post("resend" if challenge else "request", **body)
            told = response.json()
            challenge = told.pop("challenge")
            told.pop("phone")
            seen.append((response.status_code, told, len(queries)))
        return seen

    assert walk(PHONE) == walk(OTHER)


@pytest.mark.usefixtures("known")
def test_s11_a_full_day_looks_the_same(phone_otp):
    phone_otp(SIGNUP=False, PROVIDERS=accounts(a={"DAILY_LIMIT": 1}))
    AccountLedger.objects.create(alias="a", day=TODAY, sent_count=1)
    costs = []
    for phone in (PHONE, OTHER):
        with CaptureQueriesContext(connection) as queries:
            assert ask(phone) == "a"
        costs.append(len(queries))
    assert costs[0] == costs[1]
    assert not fakes.asked


@pytest.mark.parametrize("is_withheld", [True, False])
def test_a_budget_that_is_used_up_says_so_for_both(is_withheld):
    take(limit=1)
    challenge = waiting()
    delivery = take_from_budgets(
        account(daily_limit=1), challenge, conf.read(), is_withheld=is_withheld
    )
    assert delivery
    assert delivery.outcome is DeliveryOutcome.OVER_BUDGET
    assert (delivery.can_be_answered, delivery.retry_after_seconds) == (False, None)


# The phone's row, reckoned by pure functions


NOW = datetime(2026, 3, 1, 12, 0, 0, 123_457, tzinfo=UTC)


def after(ledger: PhoneLedger, alias: str, limit: int, now: datetime) -> PhoneLedger:
    """Give the ledger as it is after one more message through an account."""
    changes = limits.after_account_send(ledger, alias, limit, now)
    return PhoneLedger(phone=PHONE, account_sends=changes["account_sends"])


def wait(ledger: PhoneLedger, now: datetime, limit: int = 2) -> int:
    return limits.seconds_until_account(ledger, "a", limit, now)


def test_the_wait_is_that_of_the_oldest_message_that_matters():
    ledger = PhoneLedger(phone=PHONE)
    for hours in (0, 1, 2):
        ledger = after(ledger, "a", 3, NOW + hours * HOUR)
    waits = [wait(ledger, NOW + 2 * HOUR, limit) for limit in (4, 3, 2, 1)]
    assert waits == [0, 22 * 3_600, 23 * 3_600, 24 * 3_600]


def test_the_wait_is_rounded_up():
    ledger = after(PhoneLedger(phone=PHONE), "a", 1, NOW)
    left = [timedelta(seconds=each) for each in (1.5, 1, 0.5, 0.001, 0)]
    waits = [wait(ledger, NOW + timedelta(hours=24) - each, limit=1) for each in left]
    assert waits == [2, 1, 1, 1, 0]


def test_old_messages_are_forgotten():
    ledger = after(PhoneLedger(phone=PHONE), "a", 5, NOW)
    ledger = after(ledger, "b", 5, NOW + 23 * HOUR)
    ledger = after(ledger, "c", 5, NOW + 24 * HOUR)
    assert sorted(ledger.account_sends) == ["b", "c"]


def test_reckoning_leaves_the_ledger_alone():
    ledger = after(PhoneLedger(phone=PHONE), "a", 5, NOW)
    before = {alias: list(times) for alias, times in ledger.account_sends.items()}
    limits.after_account_send(ledger, "a", 5, NOW + HOUR)
    assert ledger.account_sends == before


@budget(deadline=None, max_examples=200)
@given(st.lists(st.floats(0, 100_000), max_size=20), st.integers(1, 4))
def test_s09_no_24_hours_ever_hold_more_than_the_limit(gaps, limit):
    ledger, now, sent = PhoneLedger(phone=PHONE), NOW, []
    for gap in gaps:
        now += timedelta(seconds=gap)
        if not wait(ledger, now, limit):
            ledger = after(ledger, "a", limit, now)
            sent.append(now)
    windows = [[each for each in sent if start <= each < start + 24 * HOUR] for start in sent]
    assert all(len(each) <= limit for each in windows)
    assert len(ledger.account_sends.get("a", [])) <= limit


@budget(deadline=None, max_examples=200)
@given(st.lists(st.floats(0, 30_000), min_size=1, max_size=20), st.integers(1, 4))
def test_the_wait_is_true_to_the_second(gaps, limit):
    ledger, now = PhoneLedger(phone=PHONE), NOW
    for gap in gaps:
        now += timedelta(seconds=gap)
        if not wait(ledger, now, limit):
            ledger = after(ledger, "a", limit, now)
    told = wait(ledger, now, limit)
    assert wait(ledger, now + timedelta(seconds=told), limit) == 0
    assert not told or wait(ledger, now + timedelta(seconds=told - 1), limit) > 0


# What must not widen a budget


def test_a_persons_time_zone_begins_no_new_day(phone_otp):
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 2}))
    sent = []
    for zone in ["Pacific/Kiritimati", "Pacific/Pago_Pago"] * 2:
        with timezone.override(zone):
            sent.append(ask())
    assert sent == ["a", "a", "delivery_failed", "delivery_failed"]


def test_a_day_that_is_over_does_not_come_back():
    assert [take(today=TOMORROW), take(today=TODAY), take(today=TOMORROW)] == [True, True, False]
    assert (ledger().day, ledger().sent_count) == (TOMORROW, 2)


@pytest.mark.parametrize("column", ["daily_limit", "phone_daily_limit"])
def test_a_limit_of_none_lets_none_through(phone_otp, column):
    phone_otp(PROVIDERS=None)
    store_account("a")
    ProviderAccount.objects.update(**{column: 0})
    assert ask() in {"delivery_failed", "too_many_requests"}
    assert fakes.asked == []


@pytest.mark.usefixtures("_closed")
def test_s11_a_second_account_is_asked_by_a_resend_alone(post, phone_otp):
    routes = accounts(a={"kind": "FakeCall", "error": "RecipientUnreachable"}, b={})
    phone_otp(PROVIDERS=routes)
    shown = []
    for phone in (PHONE, OTHER):
        first = post("request", phone=phone).json()
        again = post("resend", challenge=first["challenge"]).json()
        shown.append([(each["channel"], each["code_length"]) for each in (first, again)])
    assert shown == [[("flash_call", 4), ("sms", 6)]] * 2
