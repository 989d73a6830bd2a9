"""Circuit breakers: an account that keeps failing is passed over, and tried again by one."""

from typing import Any

import pytest
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.utils import timezone

from django_phone_otp import conf
from django_phone_otp.choices import DeliveryOutcome
from django_phone_otp.exceptions import DeliveryError
from django_phone_otp.flow import breakers, request_code, try_account
from django_phone_otp.flow.accounts import Account, find_route, load_account
from django_phone_otp.flow.breakers import FAILURES, Breaker, Breakers, close_breaker, read_breakers
from django_phone_otp.flow.deliveries import CONSEQUENCES
from django_phone_otp.models import DeliveryAttempt, UserPhone
from django_phone_otp.phone import parse
from tests import fakes
from tests.conftest import PHONE
from tests.fakes import providers

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

TROUBLE = {
    "ProviderThrottled",
    "InsufficientFunds",
    "Misconfigured",
    "ProviderUnavailable",
    "DeliveryUncertain",
}


@pytest.fixture(autouse=True)
def _no_other_limits(phone_otp):
    fakes.meanwhile.clear()
    phone_otp(RESEND_WAITS=[0], LIMITS={"send_phone": "1000/d"})


@pytest.fixture
def configure(phone_otp):
    """Set up the accounts `first` and `second`, with an error or with none."""

    def write(first: str = "", second: str = "") -> None:
        phone_otp(PROVIDERS=providers(first={"error": first}, second={"error": second}))

    return write


def tried() -> list[str]:
    """Ask for a code once, and name the accounts that were tried for it."""
    before = set(DeliveryAttempt.objects.values_list("pk", flat=True))
    request_code(PHONE)
    fresh = DeliveryAttempt.objects.exclude(pk__in=before).order_by("pk")
    return list(fresh.values_list("account", flat=True))


def fail(configure: Any, times: int = 5, error: str = "ProviderUnavailable") -> None:
    """Have the first account fail so many times, and work from then on."""
    configure(first=error)
    for _ in range(times):
        request_code(PHONE)
    configure()


def breaker(alias: str = "first") -> Breaker:
    return read_breakers([alias])[alias]


def route() -> list[Account]:
    return find_route(parse(PHONE), None, conf.read(), discreet=False)


def chosen() -> list[str]:
    """Name the accounts that a request would try now, those that are passed over last.

    It may take the turn of a half-open one.
    """
    return [each.alias for each in Breakers(route()).walk()]


def note(outcome: DeliveryOutcome, alias: str = "first") -> None:
    """Note one outcome, as a request does that has walked the route."""
    account = load_account(alias, conf.read())
    Breakers([account]).note(account, outcome)


# Opening


def test_four_failures_in_a_row_leave_the_account_where_it_is(configure):
    fail(configure, 4)
    assert tried() == ["first"]


def test_after_five_failures_in_a_row_the_account_is_passed_over(configure):
    fail(configure, 5)
    assert tried() == ["second"]


def test_each_of_the_five_was_tried(configure):
    configure(first="ProviderUnavailable")
    assert [tried() for _ in range(6)] == [["first", "second"]] * 5 + [["second"]]


def test_a_success_ends_the_row(configure):
    fail(configure, 4)
    assert tried() == ["first"]
    fail(configure, 4)
    assert tried() == ["first"]


def test_failures_of_different_kinds_are_one_row(configure):
    for error in sorted(TROUBLE - {"DeliveryUncertain"}):
        fail(configure, 1, error)
    before = breaker().failures_count
    fail(configure, 1)
    assert before == 4
    assert tried() == ["second"]


def test_failures_of_another_account_are_its_own(phone_otp):
    phone_otp(PROVIDERS=providers(a={"error": "Misconfigured"}, b={"error": "Misconfigured"}, c={}))
    for _ in range(3):
        request_code(PHONE)
    counts = {alias: each.failures_count for alias, each in read_breakers("abc").items()}
    assert counts == {"a": 3, "b": 3, "c": 0}


def test_a_row_of_failures_is_forgotten_after_an_hour(configure, clock):
    fail(configure, 4)
    clock.shift(3_600)
    fail(configure, 4)
    assert tried() == ["first"]


def test_a_row_of_failures_is_remembered_for_an_hour(configure, clock):
    fail(configure, 4)
    clock.shift(3_599)
    fail(configure, 1)
    assert tried() == ["second"]


def test_operators_are_told_that_a_breaker_has_opened(configure, caplog):
    fail(configure)
    mine = [each for each in caplog.records if each.name == "django_phone_otp.flow.breakers"]
    assert [(each.levelname, each.getMessage()) for each in mine] == [
        ("ERROR", "breaker_opened account=first failures_count=5")
    ]


# What counts


@pytest.mark.parametrize("error", sorted(TROUBLE))
def test_trouble_with_the_account_opens_the_breaker(configure, error):
    fail(configure, 5, error)
    assert tried() == ["second"]


def test_a_mistake_of_the_providers_class_opens_the_breaker(configure):
    fail(configure, 5, "a mistake")
    assert tried() == ["second"]


NO_TROUBLE = sorted(each.__name__ for each in DeliveryError.__subclasses__())
NO_TROUBLE = [each for each in NO_TROUBLE if each not in TROUBLE]


def test_what_is_no_trouble_is_named():
    assert NO_TROUBLE == [
        "InvalidRecipient",
        "ProviderRejected",
        "RecipientLimited",
        "RecipientUnreachable",
    ]


@pytest.mark.parametrize("error", NO_TROUBLE)
def test_a_stranger_cannot_open_it_with_numbers_that_do_not_work(configure, error):
    fail(configure, 10, error)
    assert breaker() == Breaker()
    assert tried() == ["first"]


def test_the_outcomes_that_count_are_those_of_the_errors():
    outcomes = {CONSEQUENCES[each].outcome for each in CONSEQUENCES if each.__name__ in TROUBLE}
    assert outcomes == FAILURES


def test_numbers_that_do_not_work_do_not_end_the_row_either(configure):
    fail(configure, 4)
    fail(configure, 1, "RecipientUnreachable")
    fail(configure, 1)
    assert tried() == ["second"]


def test_a_budget_that_is_used_up_is_no_failure(phone_otp):
    phone_otp(PROVIDERS=fakes.accounts(first={"DAILY_LIMIT": 1}, second={}))
    for _ in range(7):
        request_code(PHONE)
    assert breaker() == Breaker()


# Open


def test_a_minute_long_the_account_is_passed_over(configure, clock):
    fail(configure)
    seen = []
    for seconds in (0, 30, 29):
        clock.shift(seconds)
        seen.append(tried())
    clock.shift(1)
    assert (seen, tried()) == ([["second"]] * 3, ["first"])


def test_an_account_that_is_passed_over_is_not_asked(configure):
    fail(configure)
    before = len(fakes.asked)
    tried()
    assert len(fakes.asked) == before + 1
    assert set(DeliveryAttempt.objects.filter(account="first").values_list("outcome")) == {
        ("unavailable",)
    }


def test_where_all_are_open_the_route_stays_as_it_is(configure):
    configure(first="ProviderUnavailable", second="Misconfigured")
    for _ in range(5):
        request_code(PHONE)
    now = timezone.now()
    assert (breaker("first").is_open(now), breaker("second").is_open(now)) == (True, True)
    assert tried() == ["first", "second"]


def test_the_only_account_is_always_asked(phone_otp):
    phone_otp(PROVIDERS=providers(only={"error": "ProviderUnavailable"}))
    assert [tried() for _ in range(7)] == [["only"]] * 7


def test_the_only_account_works_as_soon_as_it_works(phone_otp):
    phone_otp(PROVIDERS=providers(first={"error": "ProviderUnavailable"}))
    for _ in range(7):
        request_code(PHONE)
    phone_otp(PROVIDERS=providers(first={}))
    assert request_code(PHONE).challenge
    assert breaker() == Breaker()


def test_a_route_that_another_is_passed_over_on_keeps_its_order(phone_otp):
    phone_otp(PROVIDERS=providers(a={}, first={}, b={}))
    for _ in range(5):
        note(DeliveryOutcome.UNAVAILABLE)
    assert chosen() == ["a", "b", "first"]


def test_an_account_whose_breaker_is_open_is_asked_where_the_channel_leaves_no_other(
    phone_otp, post
):
    phone_otp(PROVIDERS=providers(first={"kind": "FakeCall", "code": "0427"}, second={}))
    for _ in range(5):
        note(DeliveryOutcome.UNAVAILABLE)
    assert post("request", phone=PHONE).json()["channel"] == "sms"
    assert post("request", phone=PHONE, channel="flash_call").json()["channel"] == "flash_call"


def test_a_resend_passes_over_it_too(configure, post):
    fail(configure)
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert post("resend", challenge=challenge).status_code == 200
    assert list(DeliveryAttempt.objects.order_by("-pk").values_list("account")[:2]) == [
        ("second",),
        ("second",),
    ]


@pytest.mark.parametrize("is_known", [True, False])
def test_s11_it_is_passed_over_whoever_asks(
    configure, phone_otp, post, django_user_model, is_known
):
    fail(configure)
    phone_otp(SIGNUP=False)
    if is_known:
        UserPhone.objects.create(user=django_user_model.objects.create_user("ann"), phone=PHONE)
    post("request", phone=PHONE)
    attempt = DeliveryAttempt.objects.order_by("-pk")[0]
    assert (attempt.account, attempt.outcome) == ("second", "sent" if is_known else "withheld")


# Half open


@pytest.fixture
def _half_open(configure, clock):
    fail(configure)
    clock.shift(60)


@pytest.mark.usefixtures("_half_open")
def test_one_request_at_a_time_tries_a_half_open_account():
    passed_over = ["second", "first"]
    assert [chosen() for _ in range(3)] == [["first", "second"], passed_over, passed_over]


@pytest.mark.usefixtures("_half_open")
def test_while_one_tries_the_others_pass_over(phone_otp):
    phone_otp(PROVIDERS=providers(first={"kind": "FakeSlow"}, second={}))
    others: list[list[str]] = []
    fakes.meanwhile.append(lambda: others.extend([tried(), tried()]))
    request_code(PHONE)
    assert others == [["second"], ["second"]]
    assert tried() == ["first"]


@pytest.mark.usefixtures("_half_open")
def test_a_try_that_succeeds_closes_the_breaker(configure):
    assert tried() == ["first"]
    assert breaker() == Breaker()
    assert [tried(), tried()] == [["first"]] * 2


@pytest.mark.usefixtures("_half_open")
def test_after_a_try_that_succeeded_it_takes_five_failures_again(configure):
    tried()
    fail(configure, 4)
    assert tried() == ["first"]


@pytest.mark.usefixtures("_half_open")
def test_a_try_that_fails_opens_the_breaker_again_for_twice_as_long(configure, clock):
    configure(first="Misconfigured")
    seen = [tried()]
    for seconds in (0, 119, 1):
        clock.shift(seconds)
        seen.append(tried())
    assert seen == [["first", "second"], ["second"], ["second"], ["first", "second"]]


def test_a_breaker_opens_for_a_quarter_of_an_hour_at_most(configure):
    configure()
    for _ in range(15):
        note(DeliveryOutcome.MISCONFIGURED)
    until = breaker().open_until
    assert until
    assert (until - timezone.now()).total_seconds() == 900


@pytest.mark.usefixtures("_half_open")
def test_an_account_that_nobody_got_to_keeps_its_turn(phone_otp):
    phone_otp(PROVIDERS=providers(second={}, first={}))
    request_code(PHONE)  # the first of the route takes it
    phone_otp(PROVIDERS=providers(first={}, second={}))
    assert chosen() == ["first", "second"]


@pytest.mark.usefixtures("_half_open")
def test_what_is_withheld_takes_nobodys_turn(phone_otp):
    phone_otp(SIGNUP=False)
    request_code("+79244501099")
    assert tried() == ["first"]


@pytest.mark.parametrize("garbage", ["abc", float("nan"), 1e30, [], {}, b"x"])
def test_what_others_put_into_the_cache_says_nothing(configure, garbage):
    fail(configure)
    cache.set(breakers._key("first", "open_until"), garbage)
    assert breaker() == Breaker()
    assert chosen() == ["first", "second"]


@pytest.mark.usefixtures("_half_open")
def test_a_try_that_never_ends_is_followed_by_another_a_minute_later(clock):
    seen = [chosen()]
    for seconds in (59, 1):
        clock.shift(seconds)
        seen.append(chosen())
    assert seen == [["first", "second"], ["second", "first"], ["first", "second"]]


@pytest.mark.usefixtures("_half_open")
def test_a_try_that_says_nothing_of_the_account_leaves_it_half_open(configure):
    configure(first="RecipientUnreachable")
    tried()
    now = timezone.now()
    assert (breaker().is_half_open(now), breaker().is_open(now)) == (True, False)


def test_a_breaker_that_nobody_has_tried_for_an_hour_is_forgotten(configure, clock):
    fail(configure)
    clock.shift(3_600)
    assert breaker() == Breaker()
    assert chosen() == ["first", "second"]
    assert chosen() == ["first", "second"]


def test_a_breaker_opens_at_a_moment_and_half_opens_at_another(configure):
    fail(configure)
    opened, half = timezone.now(), breaker().open_until
    assert half
    assert (half - opened).total_seconds() == 60
    assert (breaker().is_open(opened), breaker().is_half_open(opened)) == (True, False)
    assert (breaker().is_open(half), breaker().is_half_open(half)) == (False, True)


def test_a_closed_breaker_is_neither_open_nor_half_open():
    now = timezone.now()
    assert not Breaker(4).is_open(now)
    assert not Breaker(4).is_half_open(now)


# By hand


def test_an_operator_closes_a_breaker(configure):
    fail(configure)
    close_breaker("first")
    assert breaker() == Breaker()
    assert chosen() == ["first", "second"]


@pytest.mark.usefixtures("_half_open")
def test_closing_forgets_who_was_trying(configure):
    chosen()
    close_breaker("first")
    fail(configure)
    assert tried() == ["second"]


def test_a_trial_of_an_open_account_is_sent(configure):
    fail(configure)
    assert try_account("first", PHONE).challenge
    assert tried() == ["first"]  # it worked


def test_a_trial_that_fails_counts(configure):
    configure(first="Misconfigured")
    for _ in range(5):
        try_account("first", PHONE)
    configure()
    assert tried() == ["second"]


# The cache


@pytest.mark.parametrize("alias", ["two words", "наш счёт", "a" * 64, "tab\tand\nline"])
def test_an_alias_may_be_any_text(phone_otp, alias, recwarn):
    # Memcached takes no such keys, and Django warns of them.
    phone_otp(PROVIDERS=providers(**{alias: {}}, second={}))
    for _ in range(5):
        note(DeliveryOutcome.UNAVAILABLE, alias)
    assert chosen() == ["second", alias]
    assert not [each for each in recwarn if "memcached" in str(each.message)]


@pytest.fixture
def _broken_cache(settings):
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    settings.RATELIMIT_ENABLE = False


@pytest.mark.usefixtures("_broken_cache")
def test_without_the_cache_all_breakers_are_closed(configure, caplog):
    configure(first="ProviderUnavailable")
    assert [tried() for _ in range(6)] == [["first", "second"]] * 6
    assert "cache_unavailable breaker=all" in caplog.text
    assert "cache_unavailable breaker=first error=ConnectionError" in caplog.text


@pytest.mark.usefixtures("_broken_cache")
def test_without_the_cache_nothing_goes_wrong_with_what_works(configure):
    configure()
    assert [tried() for _ in range(2)] == [["first"]] * 2


def test_s15_without_the_cache_the_limits_refuse(settings, configure, post):
    configure()
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    assert post("request", phone=PHONE).json()["code"] == "unavailable"
    assert not fakes.asked


class ReadOnlyCache(LocMemCache):
    """Reads, and fails to write, as a replica of Redis does."""

    def add(self, *_args: Any, **_kwargs: Any) -> bool:
        raise ConnectionError("this is a replica")

    def delete_many(self, *_args: Any, **_kwargs: Any) -> None:
        raise ConnectionError("this is a replica")


@pytest.mark.usefixtures("_half_open")
def test_a_half_open_account_is_tried_where_nobody_can_note_who_tries(settings, caplog):
    settings.CACHES = {"default": {"BACKEND": "tests.test_breakers.ReadOnlyCache"}}
    settings.RATELIMIT_ENABLE = False
    assert [tried() for _ in range(2)] == [["first"]] * 2
    assert "cache_unavailable breaker=first error=ConnectionError" in caplog.text


@pytest.mark.usefixtures("_broken_cache")
def test_an_operator_who_closes_a_breaker_without_the_cache_is_not_stopped(caplog):
    close_breaker("first")
    assert "cache_unavailable breaker=first" in caplog.text


@pytest.mark.usefixtures("_half_open")
def test_a_cache_that_is_emptied_closes_all_breakers():
    cache.clear()
    assert breaker() == Breaker()
