"""Accounts under many requests at one moment: budgets, rows, breakers and calls.

Each process of the site reads its accounts from the settings that it was started with and from
rows; what went through which account is counted in the table of deliveries.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import connection
from django.utils import timezone
from rest_framework.authtoken.models import Token

from django_phone_otp.flow import look_at_challenge, request_code
from django_phone_otp.flow.breakers import Breaker, read_breakers
from django_phone_otp.models import (
    AccountLedger,
    ConfirmAttempt,
    DeliveryAttempt,
    PhoneChallenge,
    PhoneLedger,
    ProviderAccount,
    UserPhone,
)
from tests.conftest import PHONE
from tests.fakes import accounts, providers, store_account

pytestmark = pytest.mark.django_db(transaction=True)

# Of the limits by phone and by address none is to be felt.
GENEROUS = {"request_ip": "100000/h", "confirm_ip": "100000/h", "send_phone": "1000/h"}
TABLE = "phone_otp_tests_cache"
CACHE_IN_A_TABLE = {
    "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": TABLE},
    # Addresses are counted here: a crowd that counts in one row of SQLite gets it locked at times.
    "limits": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"},
}


@pytest.fixture
def open_site(other_site) -> Callable[..., Any]:
    """Start a site where a phone may ask as often as it likes."""
    return lambda **keys: other_site(RESEND_WAITS=[0], LIMITS=GENEROUS, **keys)


def requests(count: int) -> list[tuple[str, dict[str, str]]]:
    """Write requests of so many people."""
    return [
        ("request", {"phone": f"+7924450{number:04}"}) for number in range(2_000, 2_000 + count)
    ]


def notes() -> Counter[tuple[str, str]]:
    """Count the deliveries by account and outcome."""
    return Counter(DeliveryAttempt.objects.values_list("account", "outcome"))


# Guards the condition in `AccountLedger.objects.take_message`: a message is taken by the UPDATE
# that finds one left.
@pytest.mark.parametrize("is_new", [True, False])
def test_s09_parallel_requests_stay_within_the_day_of_an_account(open_site, is_new):
    if not is_new:
        AccountLedger.objects.create(alias="a", day="2020-01-01", sent_count=99)
    with open_site(PROVIDERS=accounts(a={"DAILY_LIMIT": 10}, b={})) as site:
        answers = site(requests(40))

    assert {each.status for each in answers} == {201}
    assert len({each.process for each in answers}) > 1
    assert notes() == {("a", "sent"): 10, ("a", "over_budget"): 30, ("b", "sent"): 30}
    assert AccountLedger.objects.get().sent_count == 10


# Guards the revision in `PhoneLedger.objects.write`: what one request took the others see.
def test_s09_parallel_requests_stay_within_what_an_account_may_send_to_a_phone(open_site):
    with open_site(PROVIDERS=accounts(a={"PHONE_DAILY_LIMIT": 7})) as site:
        answers = site([("request", {"phone": PHONE})] * 40)

    assert Counter((each.status, each.code) for each in answers) == {
        (201, ""): 7,
        (429, "too_many_requests"): 33,
    }
    assert len({each.process for each in answers}) > 1
    assert notes() == {("a", "sent"): 7, ("a", "phone_over_budget"): 33}
    assert len(PhoneLedger.objects.get().account_sends["a"]) == 7


def test_s09_parallel_resends_stay_within_the_budgets_of_every_account(open_site):
    limited = {"PHONE_DAILY_LIMIT": 4}
    with open_site(PROVIDERS=accounts(a=limited, b=limited)) as site:
        (asked,) = site([("request", {"phone": PHONE})])
        answers = site([("resend", {"challenge": asked.body["challenge"]})] * 30)

    assert Counter((each.status, each.code) for each in answers) == {
        (200, ""): 7,
        (429, "too_many_requests"): 23,
    }
    assert (notes()["a", "sent"], notes()["b", "sent"]) == (4, 4)


# Guards that accounts are read at use, and kept by no process.
def test_a_row_counts_for_all_processes_from_the_next_request_on(open_site):
    first = store_account("first", backend="locmem", priority=1)
    store_account("second", backend="locmem", priority=2)

    def used() -> set[str]:
        """Ask at one moment, many enough for all processes, and name the accounts used."""
        before = set(PhoneChallenge.objects.values_list("pk", flat=True))
        answers = site([("request", {"phone": PHONE})] * 20)
        assert len({each.process for each in answers}) > 1
        fresh = PhoneChallenge.objects.exclude(pk__in=before)
        assert fresh.count() == 20
        return set(fresh.values_list("account", flat=True))

    with open_site(PROVIDERS=None) as site:
        seen = [used()]
        for change in ({"enabled": False}, {"enabled": True}, {"priority": 3}, {"regions": ["BY"]}):
            ProviderAccount.objects.filter(pk=first.pk).update(**change)
            seen.append(used())

    assert seen == [{"first"}, {"second"}, {"first"}, {"second"}, {"second"}]


def test_a_row_takes_the_place_of_a_setting_in_all_processes(open_site):
    with open_site(PROVIDERS=accounts(a={"error": "Misconfigured"}, b={})) as site:
        site(requests(4))
        store_account("a", backend="locmem")
        site(requests(20))

    assert notes() == {("a", "misconfigured"): 4, ("b", "sent"): 4, ("a", "sent"): 20}


# Breakers


@pytest.fixture
def _shared_cache(settings, monkeypatch) -> Iterator[None]:
    """Let this process and those of the site have one cache, in a table."""
    monkeypatch.setenv("PHONE_OTP_TEST_CACHES", json.dumps(CACHE_IN_A_TABLE))
    settings.CACHES = CACHE_IN_A_TABLE
    call_command("createcachetable")
    yield
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE {TABLE}")


@pytest.fixture
def open_breaker(phone_otp, _shared_cache) -> Callable[[str], None]:
    """Open the breaker of an account, in this process."""

    def fail(alias: str) -> None:
        failing = providers(**{alias: {"error": "ProviderUnavailable"}})
        phone_otp(PROVIDERS=failing, RESEND_WAITS=[0], LIMITS=GENEROUS)
        for _ in range(5):
            assert request_code(PHONE).refusal == "delivery_failed"
        DeliveryAttempt.objects.all().delete()

    return fail


# Guards that what a breaker knows is in the cache.
def test_a_breaker_that_one_process_opened_is_open_for_all(open_site, open_breaker):
    open_breaker("a")
    with open_site(PROVIDERS=providers(a={}, b={})) as site:
        answers = site(requests(20))

    assert len({each.process for each in answers}) > 1
    assert notes() == {("b", "sent"): 20}


@pytest.mark.usefixtures("_shared_cache")
def test_the_failures_of_all_processes_are_one_row(open_site):
    with open_site(PROVIDERS=providers(a={"error": "Misconfigured"}, b={})) as site:
        for each in requests(7):
            site([each])

    assert notes() == {("a", "misconfigured"): 5, ("b", "sent"): 7}
    assert read_breakers(["a"])["a"].is_open(timezone.now())


# Guards `cache.add` in `Breakers`: the try of a half-open account is one.
def test_of_all_processes_one_request_tries_a_half_open_account(open_site, open_breaker):
    with time_machine.travel(timezone.now() - timedelta(seconds=90)):
        open_breaker("a")
    with open_site(PROVIDERS=providers(a={"error": "ProviderUnavailable"}, b={})) as site:
        answers = site(requests(40))

    assert len({each.process for each in answers}) > 1
    assert notes() == {("a", "unavailable"): 1, ("b", "sent"): 40}


def test_a_breaker_that_one_process_closed_is_closed_for_all(open_site, open_breaker):
    with time_machine.travel(timezone.now() - timedelta(seconds=90)):
        open_breaker("a")
    with open_site(PROVIDERS=providers(a={}, b={})) as site:
        site(requests(1))
        answers = site(requests(20))

    assert len({each.process for each in answers}) > 1
    assert notes() == {("a", "sent"): 21}
    assert read_breakers(["a"])["a"] == Breaker()


# Calls


@pytest.fixture
def called(phone_otp) -> PhoneChallenge:
    """A challenge that awaits a call, which has come in."""
    phone_otp(PROVIDERS=CALLS)
    challenge = request_code(PHONE).challenge
    assert challenge
    assert challenge.awaits_call
    return challenge


CALLS = providers(calls={"kind": "FakePresence", "is_called": True})


# Guards the conditions in `PhoneChallenge.objects.verify` and `.spend`: either happens once.
@pytest.mark.parametrize("is_seen", [False, True], ids=["asked-by-all", "seen-before"])
def test_s03_of_50_parallel_answers_after_the_call_one_logs_in(open_site, called, is_seen):
    if is_seen:
        seen = look_at_challenge(called.public_id)
        assert seen
        assert seen.state == "verified"
    with open_site(PROVIDERS=CALLS) as site:
        answers = site([("confirm", {"challenge": called.public_id})] * 50)

    (login,) = [each for each in answers if each.status == 200]
    assert {each.status for each in answers if each is not login} == {400}
    assert len({each.process for each in answers}) > 1
    user = get_user_model().objects.get()
    assert login.body["user"] == {"id": user.pk, "phone": PHONE, "created": True}
    assert (Token.objects.get().user, UserPhone.objects.get().user) == (user, user)
    assert ConfirmAttempt.objects.get().refusal == ""
    called.refresh_from_db()
    assert called.attempts_left == 5
