"""How accounts do: health and the dashboard say the same of each, and the banner says why."""

from dataclasses import replace
from typing import Any

import pytest

from django_phone_otp import conf
from django_phone_otp.admin.panels import AccountLine, list_account_states
from django_phone_otp.choices import DeliveryOutcome
from django_phone_otp.flow.accounts import find_accounts, list_entries
from django_phone_otp.flow.breakers import FAILURES_COUNT, Breakers
from django_phone_otp.flow.health import Trouble, examine_health
from django_phone_otp.models import AccountLedger
from tests.conftest import NOW

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

NO_MONEY = {"alias": "memory", "problem": "no money in the account", "inspected_at": NOW}
UNPREPARED = {"BACKEND": "sms-by", "OPTIONS": {"token": "a" * 32}}


@pytest.fixture(autouse=True)
def _clocks(settings: Any) -> None:
    settings.TIME_ZONE = "UTC"


def show() -> AccountLine:
    (line,) = list_account_states(list_entries(conf.read()), NOW)
    return line


def find_broken() -> list[str]:
    problems = examine_health(conf.read(), NOW).problems
    return [each.words for each in problems if each.trouble is Trouble.ACCOUNT_BROKEN]


def test_an_account_without_money_is_broken_to_both():
    AccountLedger.objects.create(**NO_MONEY)
    line = show()
    assert (line.mood, line.state) == ("bad", "cannot be used: no money in the account")
    assert line.trouble == "memory (no money in the account)"
    assert line.notes == []
    assert find_broken() == ["memory is broken: no money in the account (2026-03-01 12:00)"]


def test_an_account_that_is_not_prepared_is_broken_to_both(phone_otp):
    phone_otp(PROVIDERS={"texts": UNPREPARED})
    words = "choose “Check reachability and balance” first"
    assert (show().mood, show().trouble) == ("bad", f"texts ({words})")
    assert find_broken() == [f"texts is broken: {words}"]


def test_an_account_that_is_switched_off_is_broken_to_none():
    AccountLedger.objects.create(**NO_MONEY)
    entries = [replace(each, enabled=False) for each in list_entries(conf.read())]
    (line,) = list_account_states(entries, NOW)
    assert (line.mood, line.state, line.trouble) == ("off", "switched off", "")
    assert line.notes == ["no money in the account"]


def test_an_account_that_keeps_failing_needs_somebody_and_its_state_says_why():
    account = find_accounts(conf.read())["memory"]
    for _number in range(FAILURES_COUNT):
        Breakers([account]).note(account, DeliveryOutcome.UNAVAILABLE)
    line: Any = show()
    assert (line.mood, line.trouble) == ("bad", "memory")


def test_an_account_that_works_needs_nobody():
    AccountLedger.objects.create(alias="memory", inspected_at=NOW)
    assert (show().mood, show().trouble) == ("good", "")
    assert find_broken() == []
