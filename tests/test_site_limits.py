"""Limits of many phones: of a region, of the whole site, and of who tries one code at all."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache.backends.locmem import LocMemCache

from django_phone_otp import signals
from django_phone_otp.choices import Refusal
from django_phone_otp.conf import Rate, Settings
from django_phone_otp.flow import Asked, confirm_code, limits, request_code, resend_code
from django_phone_otp.models import PhoneChallenge, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

GUARDS = {f"{name}_traffic": {"MODE": "off"} for name in ("region", "address", "prefix")}
RUSSIA = [f"+7924450{number}" for number in range(1_000, 1_100)]
BELARUS = [f"+37529123{number}" for number in range(1_000, 1_100)]


@pytest.fixture(autouse=True)
def _no_guards(phone_otp):
    phone_otp(GUARDS=GUARDS)


@pytest.fixture
def limit(phone_otp) -> Callable[..., None]:
    """Set limits beside those by address, which are off: `limit(send_all="3/h")`."""

    def change(**rates: Any) -> None:
        phone_otp(LIMITS={"request_ip": "9999/s", "confirm_ip": "9999/s", **rates})

    return change


def ask(phones: list[str], count: int) -> list[bool]:
    """Ask for so many of these phones, and say each time whether a message went out."""
    return [request_code(phones.pop(0)).refusal is None for _ in range(count)]


@pytest.fixture
def russia() -> list[str]:
    return list(RUSSIA)


@pytest.fixture
def belarus() -> list[str]:
    return list(BELARUS)


@pytest.fixture
def alarms() -> Any:
    """What `alarm_raised` tells while a test runs."""
    heard: list[tuple[str, str, int]] = []

    def hear(**told: Any) -> None:
        heard.append((told["limit"], told["scope"], told["count"]))

    signals.alarm_raised.connect(hear)
    yield heard
    signals.alarm_raised.disconnect(hear)


def refused(phones: list[str]) -> int:
    """Ask, be refused, and give the seconds that are told."""
    asked = request_code(phones.pop(0))
    assert asked.refusal is Refusal.TOO_MANY_REQUESTS
    assert asked.retry_after_seconds
    return asked.retry_after_seconds


# Messages

NAMES = ("send_region", "send_all")


@pytest.mark.parametrize("name", NAMES)
def test_is_off_by_default(limit, russia, name):
    limit()
    assert ask(russia, 30) == [True] * 30


@pytest.mark.parametrize("name", NAMES)
def test_as_many_messages_go_out_as_is_set(limit, russia, name):
    limit(**{name: "3/h"})
    assert ask(russia, 5) == [True, True, True, False, False]
    assert len(local.outbox) == 3


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", ["1/s", "1/10s", "2/m", "3/h", "3/2h", "1/d"])
def test_retry_after_is_true_to_the_second(limit, clock, russia, name, rate):
    limit(**{name: rate})
    while request_code(russia[0]).refusal is None:
        russia.pop(0)
    wait = refused(russia)
    clock.shift(wait - 1)
    assert wait == 1 or refused(russia) == 1
    clock.shift(1)
    assert ask(russia, 1) == [True]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_refused_stores_nothing(limit, russia, name):
    limit(**{name: "1/h"})
    ask(russia, 3)
    assert (PhoneChallenge.objects.count(), PhoneLedger.objects.count()) == (1, 1)


@pytest.mark.parametrize("name", NAMES)
def test_the_api_says_when(limit, post, russia, name):
    limit(**{name: "1/d"})
    ask(russia, 1)
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (429, "too_many_requests")
    assert 0 < int(response["Retry-After"]) == response.json()["retry_after"] <= 86_400


@pytest.mark.parametrize("name", NAMES)
def test_a_resend_counts_and_is_refused_too(limit, clock, russia, name):
    limit(**{name: "2/d"})
    challenge = request_code(PHONE).challenge
    assert challenge
    answers: list[Asked] = []
    for _ in range(2):
        clock.shift(60)
        answers.append(resend_code(challenge.public_id))
    assert [each.refusal for each in answers] == [None, Refusal.TOO_MANY_REQUESTS]
    assert PhoneChallenge.objects.get().state == "sent"


@pytest.mark.parametrize("name", NAMES)
def test_what_the_phone_refuses_counts_nothing(limit, russia, name):
    limit(**{name: "2/h"})
    for _ in range(5):
        request_code(PHONE)
    assert ask(russia, 2) == [True, False]


@pytest.mark.parametrize("name", NAMES)
def test_what_a_guard_refuses_counts_nothing(limit, phone_otp, russia, name):
    limit(**{name: "2/h"})
    phone_otp(NUMBER_TYPES=["fixed_line"])
    ask(russia, 5)
    phone_otp(NUMBER_TYPES=None)
    assert ask(russia, 3) == [True, True, False]


def test_regions_are_counted_apart(limit, russia, belarus):
    limit(send_region="2/h")
    assert (ask(russia, 3), ask(belarus, 3)) == ([True, True, False], [True, True, False])


def test_the_site_is_counted_as_a_whole(limit, russia, belarus):
    limit(send_all="3/h")
    assert (ask(russia, 2), ask(belarus, 2)) == ([True, True], [True, False])


def test_what_a_region_refuses_uses_up_nothing_of_the_site(limit, russia, belarus):
    # A region that is pumped is shut; the rest of the site goes on.
    limit(send_region="2/d", send_all="10/d")
    assert ask(russia, 20) == [True, True] + [False] * 18
    assert ask(belarus, 2) == [True, True]


def test_what_the_site_refuses_uses_up_nothing_of_a_region(limit, clock, russia):
    limit(send_region="3/d", send_all="1/m")
    ask(russia, 20)
    clock.shift(60)
    assert ask(russia, 1) == [True]


def test_what_one_window_refuses_uses_up_nothing_of_another(limit, clock, russia):
    limit(send_all=["2/m", "10/d"])
    ask(russia, 20)
    clock.shift(60)
    assert ask(russia, 1) == [True]


def test_the_longest_of_the_waits_is_told(limit, clock, russia):
    limit(send_region="1/m", send_all="1/d")
    ask(russia, 1)
    wait = refused(russia)
    clock.shift(wait)
    assert ask(russia, 1) == [True]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "rates",
    [["5/h", "10/d"], ["3/m", "3/h"], ["3/60s", "3/h"], ["1/11s", "11/1h"], ["2/m", "4/2m"]],
)
def test_no_two_windows_share_a_counter(limit, russia, name, rates):
    # Shared, each message would count twice, and fewer would go out.
    limit(**{name: rates})
    parsed = sorted((Rate.parse(each) for each in rates), key=lambda each: each.count)
    first = parsed[0].count
    assert ask(russia, first + 1) == [True] * first + [False]


@pytest.mark.parametrize("name", NAMES)
def test_every_window_counts(limit, clock, russia, name):
    limit(**{name: ["2/m", "3/d"]})
    seen = []
    for _ in range(4):
        seen += ask(russia, 1)
        clock.shift(60)
    assert seen == [True, True, True, False]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rates", [["2/h", "2/h"], ["2/h", "2/60m", "2/3600s"]])
def test_a_rate_written_twice_counts_once(limit, russia, name, rates):
    limit(**{name: rates})
    assert ask(russia, 3) == [True, True, False]


def test_rates_that_are_one_are_read_as_one():
    settings = Settings(limits={"send_all": ["2/h", "2/60m", "3/h"]})
    assert settings.rates("send_all") == (Rate(2, 3_600), Rate(3, 3_600))


def test_a_name_never_counts_for_another(limit, fail, belarus):
    limit(send_all="3/h", fail_all="3/h")
    fail(2)  # two messages and two wrong codes
    assert ask(belarus, 2) == [True, False]


@pytest.mark.parametrize("name", NAMES)
def test_the_alarm_is_raised_once_in_each_window(limit, clock, russia, alarms, caplog, name):
    limit(**{name: "2/h"})
    ask(russia, 2)
    assert alarms == []
    ask(russia, 4)
    scope = "RU" if name == "send_region" else ""
    assert alarms == [(name, scope, 2)]
    assert caplog.text.count(f"alarm limit={name} scope={scope or 'all'} count=2") == 1
    clock.shift(3_600)
    ask(russia, 4)
    assert alarms == [(name, scope, 2)] * 2


@pytest.mark.parametrize("name", NAMES)
def test_s15_without_the_cache_nothing_is_sent(limit, post, settings, name):
    limit(**{name: "9/h"})
    settings.CACHES = {"default": {"BACKEND": "tests.test_site_limits.CacheThatBreaks"}}
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert (local.outbox, PhoneChallenge.objects.count()) == ([], 0)


class CacheThatBreaks(LocMemCache):
    """Loses its server once the address is counted."""

    added_count = 0

    def add(self, key: str, *arguments: Any, **named: Any) -> bool:
        if self.added_count and "_traffic." not in key:
            raise ConnectionError("connection refused")
        self.added_count += 1
        return super().add(key, *arguments, **named)


@pytest.mark.parametrize("name", NAMES)
def test_who_was_slower_at_one_moment_has_counted_so_that_no_more_go_out(
    limit, settings, russia, name
):
    limit(**{name: "2/h"})
    settings.CACHES = {"default": {"BACKEND": "tests.test_site_limits.CacheInACrowd"}}
    others: list[Asked] = []
    fakes.meanwhile.append(lambda: others.append(request_code(PHONE)))
    assert request_code(PHONE).refusal is Refusal.RESEND_TOO_SOON
    assert (others[0].refusal, len(local.outbox)) == (None, 1)
    # The ceiling is hard: it is taken before anybody knows who was faster.
    assert ask(russia, 1) == [False]


class CacheInACrowd(LocMemCache):
    """Is slow where messages are counted, and meanwhile others act."""

    added_count = 0

    def add(self, key: str, *arguments: Any, **named: Any) -> bool:
        self.added_count += 1
        if self.added_count == 2:  # the address was the first
            fakes.let_others_act()
        return super().add(key, *arguments, **named)


# Sign-up closed


@pytest.fixture
def known(phone_otp, django_user_model) -> list[str]:
    phone_otp(SIGNUP=False)
    phones = [f"+7924451{number}" for number in range(1_000, 1_010)]
    for phone in phones:
        user = django_user_model.objects.create_user(phone)
        UserPhone.objects.create(user=user, phone=phone)
    return phones


@pytest.mark.parametrize("name", NAMES)
def test_s11_messages_that_are_withheld_count_like_all_others(limit, russia, known, name):
    limit(**{name: "3/h"})
    ask(russia, 2)
    assert ask(known, 2) == [True, False]


@pytest.mark.parametrize("name", NAMES)
def test_s11_a_budget_that_is_used_up_refuses_known_and_unknown_alike(limit, russia, known, name):
    limit(**{name: "2/h"})
    ask(known, 2)
    of_known, of_unknown = request_code(known[0]), request_code(russia[0])
    assert of_known == of_unknown
    assert of_known.refusal is Refusal.TOO_MANY_REQUESTS


@pytest.mark.parametrize("name", NAMES)
def test_s11_what_was_counted_does_not_tell_who_has_an_account(limit, clock, russia, known, name):
    limit(**{name: "2/d"})
    ask(known, 1)
    ask(russia, 1)  # unknown; had it a user, the next one would be refused
    of_unknown = ask(russia, 1)
    clock.shift(86_400)
    ask(known, 2)
    assert ask(russia, 1) == of_unknown


# Wrong codes


@pytest.fixture
def fail(django_capture_on_commit_callbacks) -> Callable[..., list[str]]:
    """Give so many wrong codes, each to a phone of its own, and tell the refusals."""
    phones = iter(RUSSIA)

    def answer(count: int) -> list[str]:
        seen = []
        for _ in range(count):
            challenge = request_code(next(phones)).challenge
            assert challenge
            code = local.outbox[-1].code
            wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
            with django_capture_on_commit_callbacks(execute=True):
                seen.append(str(confirm_code(challenge.public_id, wrong).refusal))
        return seen

    return answer


def test_too_many_wrong_codes_raise_the_alarm_once_and_refuse_nobody(
    limit, clock, fail, alarms, caplog
):
    limit(fail_all="3/h")
    assert fail(3) == ["wrong_code"] * 3
    assert alarms == []
    assert fail(4) == ["wrong_code"] * 4
    assert alarms == [("fail_all", "", 3)]
    assert caplog.text.count("alarm limit=fail_all scope=all count=3") == 1
    clock.shift(3_600)
    fail(4)
    assert alarms == [("fail_all", "", 3)] * 2


def test_by_default_the_alarm_is_for_two_hundred_in_an_hour():
    assert Settings().rates("fail_all") == (Rate(200, 3_600),)
    assert Settings().rates("send_region") == Settings().rates("send_all") == ()


def test_each_window_of_wrong_codes_has_an_alarm(limit, fail, alarms):
    limit(fail_all=["2/h", "4/d"])
    fail(6)
    assert alarms == [("fail_all", "", 2), ("fail_all", "", 4)]


def test_right_codes_raise_no_alarm(limit, alarms, django_capture_on_commit_callbacks):
    limit(fail_all="1/h")
    for phone in RUSSIA[:3]:
        challenge = request_code(phone).challenge
        assert challenge
        with django_capture_on_commit_callbacks(execute=True):
            assert confirm_code(challenge.public_id, local.outbox[-1].code).challenge
    assert alarms == []


def test_no_alarm_where_it_is_switched_off(limit, fail, alarms):
    limit(fail_all=None)
    fail(5)
    assert alarms == []


def test_an_alarm_without_its_cache_harms_nobody(limit, settings, alarms):
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    limits.count_wrong_code(Settings(limits={"fail_all": "1/h"}))
    assert alarms == []


def test_a_wrong_code_is_a_wrong_code_without_the_cache(
    settings, django_capture_on_commit_callbacks
):
    challenge = request_code(PHONE).challenge
    assert challenge
    with django_capture_on_commit_callbacks() as callbacks:
        answer = confirm_code(challenge.public_id, "not it")
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    for callback in callbacks:
        callback()
    assert (answer.refusal, answer.attempts_left) == (Refusal.WRONG_CODE, 4)


def test_a_listener_that_fails_harms_nobody(limit, fail):
    def fall(**_told: Any) -> None:
        raise ZeroDivisionError

    signals.alarm_raised.connect(fall)
    limit(fail_all="1/h")
    assert fail(3) == ["wrong_code"] * 3
    signals.alarm_raised.disconnect(fall)
