"""Guards: messages that earn somebody money and log nobody in are refused, or noted."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_phone_otp import devices, signals
from django_phone_otp.choices import Refusal
from django_phone_otp.flow import (
    Asked,
    Client,
    confirm_code,
    request_code,
    resend_code,
    try_account,
)
from django_phone_otp.models import (
    DeliveryAttempt,
    GuardObjection,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

TRAFFIC = ("region_traffic", "address_traffic", "prefix_traffic")
OFF: dict[str, dict[str, Any]] = {name: {"MODE": "off"} for name in TRAFFIC}
# Three are free, each login pays for two more, and a window ends every ten minutes: also at noon.
RULES = {"FREE": 3, "PER_LOGIN": 2, "WINDOW": 600}
PAUSE = 900
HOME = "203.0.113.7"
FIXED_LINE = "+74957394000"
BELARUS = "+375291234567"
# Nobody here is kept back by anything but guards.
NO_LIMITS: dict[str, Any] = {
    "LIMITS": {"request_ip": "1000/s", "confirm_ip": "1000/s", "send_phone": "1000/d"},
    "RESEND_WAITS": [0],
}


@pytest.fixture(autouse=True)
def _guards_alone(phone_otp):
    phone_otp(GUARDS=OFF, **NO_LIMITS)


@pytest.fixture
def watch(phone_otp) -> Callable[..., None]:
    """Set the rules of one guard: `watch("prefix_traffic", PAUSE=900)`; the others stay off."""

    def change(guard: str, mode: str = "block", **rules: Any) -> None:
        phone_otp(GUARDS={**OFF, guard: {"MODE": mode, **RULES, **rules}})

    return change


numbers = itertools.cycle(range(1_100, 10_000))


def neighbour(prefix: str = "+7924450") -> str:
    """Give a number that is next to the one before."""
    return f"{prefix}{next(numbers):04}"


def ask(phone: str = "", *, ip: str = HOME, **arguments: Any) -> Asked:
    """Ask for a code for some neighbour, from home."""
    return request_code(phone or neighbour(), client=Client(ip=ip), **arguments)


def passed(count: int, **arguments: Any) -> list[bool]:
    """Ask so many times, and say each time whether a message went out."""
    return [ask(**arguments).refusal is None for _ in range(count)]


def shut_out(**arguments: Any) -> int:
    """Ask until it is refused by traffic, and give the seconds that are told."""
    for _ in range(50):
        asked = ask(**arguments)
        if asked.refusal:
            assert asked.refusal is Refusal.TOO_MANY_REQUESTS
            assert asked.retry_after_seconds
            return asked.retry_after_seconds
    raise AssertionError("nothing is refused")


@pytest.fixture
def log_in(django_capture_on_commit_callbacks) -> Callable[..., None]:
    """Answer a challenge, the newest one by default, with the right code."""

    def go(asked: Asked | None = None) -> None:
        challenge = asked.challenge if asked else PhoneChallenge.objects.latest("pk")
        assert challenge
        (message,) = [each for each in local.outbox if each.phone == challenge.phone][-1:]
        with django_capture_on_commit_callbacks(execute=True):
            assert confirm_code(challenge.public_id, message.code).challenge

    return go


@pytest.fixture
def alarms() -> Any:
    """What `alarm_raised` tells while a test runs."""
    heard: list[tuple[str, str, int]] = []

    def hear(**told: Any) -> None:
        heard.append((told["limit"], told["scope"], told["count"]))

    signals.alarm_raised.connect(hear)
    yield heard
    signals.alarm_raised.disconnect(hear)


def objections() -> list[tuple[str, bool, str]]:
    rows = GuardObjection.objects.order_by("pk")
    return list(rows.values_list("guard", "blocked", "detail"))


# Rules

RULE_GUARDS = [
    pytest.param("region", {"ALLOWED_REGIONS": ["BY"]}, "region RU", id="not-allowed"),
    pytest.param("region", {"DENIED_REGIONS": ["RU"]}, "region RU", id="denied"),
    pytest.param(
        "region",
        {"ALLOWED_REGIONS": ["RU"], "DENIED_REGIONS": ["RU"]},
        "region RU",
        id="allowed-and-denied",
    ),
    pytest.param("number_type", {"NUMBER_TYPES": ["fixed_line"]}, "type mobile", id="type"),
]


@pytest.mark.parametrize(("guard", "keys", "detail"), RULE_GUARDS)
def test_a_rule_that_blocks_refuses_for_good(phone_otp, guard, keys, detail):
    phone_otp(**keys)
    asked = ask(PHONE)
    assert (asked.refusal, asked.retry_after_seconds) == (Refusal.PHONE_NOT_ALLOWED, None)
    assert objections() == [(guard, True, detail)]
    assert not local.outbox


@pytest.mark.parametrize(("guard", "keys", "detail"), RULE_GUARDS)
def test_a_rule_in_shadow_is_noted_and_refuses_nobody(phone_otp, guard, keys, detail):
    phone_otp(**keys, GUARDS={**OFF, guard: {"MODE": "shadow"}})
    assert passed(1, phone=PHONE) == [True]
    assert objections() == [(guard, False, detail)]
    assert len(local.outbox) == 1


@pytest.mark.parametrize(("guard", "keys", "detail"), RULE_GUARDS)
def test_a_rule_that_is_off_says_nothing(phone_otp, guard, keys, detail):
    phone_otp(**keys, GUARDS={**OFF, guard: {"MODE": "off"}})
    assert passed(1, phone=PHONE) == [True]
    assert objections() == []


def test_what_no_rule_excludes_is_let_through(phone_otp):
    phone_otp(ALLOWED_REGIONS=["RU"], DENIED_REGIONS=["BY"], NUMBER_TYPES=["mobile"])
    assert passed(1, phone=PHONE) == [True]
    assert objections() == []


def test_a_fixed_line_is_told_from_a_mobile(phone_otp):
    phone_otp(NUMBER_TYPES=["mobile"])
    assert passed(1, phone=FIXED_LINE) == [False]
    assert objections() == [("number_type", True, "type fixed_line")]


def test_all_who_object_are_noted(phone_otp):
    phone_otp(
        ALLOWED_REGIONS=["BY"],
        NUMBER_TYPES=["mobile"],
        GUARDS={**OFF, "region": {"MODE": "shadow"}},
    )
    assert ask(FIXED_LINE).refusal is Refusal.PHONE_NOT_ALLOWED
    assert objections() == [
        ("region", False, "region RU"),
        ("number_type", True, "type fixed_line"),
    ]


# Traffic


@pytest.mark.parametrize("guard", TRAFFIC)
def test_free_messages_are_as_many_as_is_set(watch, guard):
    watch(guard)
    assert passed(5) == [True, True, True, False, False]
    assert len(local.outbox) == 3


@pytest.mark.parametrize("guard", TRAFFIC)
def test_each_login_pays_for_as_many_more_as_is_set(watch, log_in, guard):
    watch(guard)
    passed(3)
    log_in()
    assert passed(4) == [True, True, False, False]


@pytest.mark.parametrize("guard", TRAFFIC)
def test_a_login_beforehand_pays_too(watch, log_in, guard):
    watch(guard)
    log_in(ask())
    assert passed(6) == [True, True, True, True, False, False]


@pytest.mark.parametrize("guard", TRAFFIC)
def test_retry_after_is_the_end_of_the_window(watch, clock, guard):
    watch(guard, PAUSE=0)
    clock.shift(7)
    passed(3)
    assert shut_out() == 593
    clock.shift(592)
    assert shut_out() == 1
    clock.shift(1)
    assert passed(4) == [True, True, True, False]


def test_retry_after_is_rounded_up(watch, clock):
    watch("region_traffic")
    clock.shift(0.25)
    assert shut_out() == 600
    clock.shift(599.5)
    assert shut_out() == 1
    clock.shift(1)
    assert passed(1) == [True]


@pytest.mark.parametrize("guard", TRAFFIC)
def test_what_is_blocked_does_not_count(watch, log_in, guard):
    watch(guard, PAUSE=0)
    passed(20)
    log_in(Asked(challenge=PhoneChallenge.objects.filter(state="sent").latest("pk")))
    assert passed(3) == [True, True, False]


def test_a_resend_counts_like_a_request(watch):
    watch("region_traffic")
    challenge = ask().challenge
    assert challenge
    passed(1)
    resent = resend_code(challenge.public_id, client=Client(ip=HOME))
    assert (resent.refusal, passed(1)) == (None, [False])


def test_regions_are_watched_apart(watch):
    watch("region_traffic")
    shut_out()
    assert passed(1, phone=BELARUS) == [True]
    assert passed(1, phone=neighbour("+7926450"), ip="198.51.100.1") == [False]


def test_addresses_are_watched_apart(watch):
    watch("address_traffic")
    shut_out()
    assert passed(1, ip="203.0.113.8") == [True]
    assert passed(1, phone=BELARUS) == [False]


@pytest.mark.parametrize(
    ("ip", "is_free"), [("2001:db8:0:1:ffff::2", False), ("2001:db8:0:2::1", True)]
)
def test_a_network_of_one_customer_is_one_address(watch, ip, is_free):
    watch("address_traffic")
    shut_out(ip="2001:db8:0:1::1")
    assert passed(1, ip=ip) == [is_free]


def test_who_has_no_address_is_watched_by_none(watch):
    watch("address_traffic")
    assert passed(6, ip="") == [True] * 6


def test_neighbours_are_ten_thousand_numbers(watch):
    watch("prefix_traffic")
    shut_out()
    assert passed(1, phone="+79244519999") == [True]
    assert passed(1, phone="+79244500000", ip="198.51.100.1") == [False]


def test_a_login_pays_where_it_was_asked_for(watch, log_in):
    watch("address_traffic")
    passed(2)
    elsewhere = ask(ip="198.51.100.1")
    passed(1)
    log_in(elsewhere)
    assert (passed(1), passed(5, ip="198.51.100.1")) == ([False], [True] * 4 + [False])


@pytest.mark.parametrize("guard", TRAFFIC)
def test_a_guard_that_is_off_counts_nothing(watch, guard):
    watch(guard, "off")
    passed(9)
    assert objections() == []
    watch(guard)
    assert passed(1) == [True]


def test_with_limits_switched_off_no_traffic_is_watched(watch, settings):
    settings.RATELIMIT_ENABLE = False
    watch("region_traffic")
    assert passed(6) == [True] * 6


def test_the_longest_of_several_waits_is_told(phone_otp):
    slow, fast = {"MODE": "block", **RULES, "WINDOW": 3_600}, {"MODE": "block", **RULES}
    phone_otp(GUARDS={**OFF, "region_traffic": slow, "address_traffic": fast})
    assert shut_out() == 3_600


def test_what_one_guard_blocks_does_not_count_in_another(phone_otp):
    rules = {"MODE": "block", **RULES}
    phone_otp(GUARDS={**OFF, "address_traffic": rules, "region_traffic": {**rules, "FREE": 5}})
    passed(20)
    assert passed(3, ip="198.51.100.1") == [True, True, False]


def test_no_wait_is_told_where_waiting_does_not_help(watch, phone_otp):
    watch("region_traffic")
    shut_out()
    phone_otp(DENIED_REGIONS=["RU"])
    asked = ask()
    assert (asked.refusal, asked.retry_after_seconds) == (Refusal.PHONE_NOT_ALLOWED, None)


def test_the_api_says_when(watch, post):
    watch("region_traffic")
    shut_out()
    response = post("request", phone=PHONE)
    assert (response.status_code, response["Retry-After"]) == (429, "600")
    assert response.json() == {
        "detail": "Too many requests. Try again later.",
        "code": "too_many_requests",
        "retry_after": 600,
    }


# The pause


@pytest.fixture
def prefix(watch) -> None:
    """Prefixes are watched, and make a pause longer than a window."""
    watch("prefix_traffic", PAUSE=PAUSE)


@pytest.mark.usefixtures("prefix")
def test_a_shut_prefix_stays_shut_for_its_pause(clock):
    assert shut_out() == PAUSE
    clock.shift(600)  # another window, with nothing in it
    assert shut_out() == 300
    clock.shift(299)
    assert shut_out() == 1


@pytest.mark.usefixtures("prefix")
def test_after_a_pause_one_message_is_free(clock):
    clock.shift(shut_out())
    assert passed(2) == [True, False]
    assert shut_out() == PAUSE


@pytest.mark.usefixtures("prefix")
def test_after_a_pause_one_message_is_free_however_many_windows_pass(clock):
    clock.shift(shut_out())
    passed(1)
    clock.shift(600)
    assert shut_out() == PAUSE


def test_retry_after_is_true_for_a_pause_that_ends_in_its_window(watch, clock):
    watch("prefix_traffic", WINDOW=3_600, PAUSE=PAUSE)
    clock.shift(shut_out())
    assert passed(2) == [True, False]


@pytest.mark.usefixtures("prefix")
def test_a_login_opens_a_shut_prefix(log_in):
    answered = ask()
    shut_out()
    log_in(answered)
    assert passed(4) == [True, True, False, False]


@pytest.mark.usefixtures("prefix")
def test_a_login_by_the_one_message_opens_it_for_all(clock, log_in):
    clock.shift(shut_out())
    log_in(ask())
    assert passed(5) == [True] * 4 + [False]


@pytest.mark.usefixtures("prefix")
def test_a_login_of_another_prefix_opens_nothing(log_in):
    shut_out()
    log_in(ask("+79244519999"))
    assert passed(1) == [False]


@pytest.mark.parametrize(
    ("pauses", "is_remembered"), [pytest.param(3.99, True), pytest.param(4, False)]
)
@pytest.mark.usefixtures("prefix")
def test_four_pauses_after_it_has_shut_nothing_is_remembered(clock, pauses, is_remembered):
    shut_out()
    clock.shift(pauses * PAUSE)
    assert passed(2) == [True, not is_remembered]


@pytest.mark.usefixtures("prefix")
def test_a_known_device_in_the_pause_does_not_use_up_the_message_after_it(clock):
    owner = neighbour()
    PhoneLedger.objects.create(phone=owner)
    clock.shift(shut_out() - 1)
    assert passed(1, phone=owner, device=devices.make_device("k" * 22, owner)) == [True]
    clock.shift(1)
    assert passed(1) == [True]


# Alarms


@pytest.mark.usefixtures("prefix")
def test_the_alarm_is_raised_once_for_each_pause(clock, alarms, caplog):
    wait = shut_out()
    passed(5)
    assert alarms == [("prefix_traffic", "+7924450", 3)]
    clock.shift(wait)
    passed(5)
    assert alarms[1:] == [("prefix_traffic", "+7924450", 1)]
    assert caplog.text.count("alarm limit=prefix_traffic scope=+7924450") == 2


class CacheInACrowd(LocMemCache):
    """Is slow to write that a guard has shut, and meanwhile others act."""

    def set(self, key: str, *arguments: Any, **named: Any) -> None:
        if key.endswith(".shut"):
            fakes.let_others_act()
        super().set(key, *arguments, **named)


@pytest.mark.usefixtures("prefix")
def test_of_many_at_one_moment_one_raises_the_alarm(settings, alarms):
    settings.CACHES = {"default": {"BACKEND": "tests.test_guards.CacheInACrowd"}}
    passed(3)
    fakes.meanwhile.append(lambda: passed(1))
    assert passed(1) == [False]
    assert (alarms, fakes.meanwhile) == ([("prefix_traffic", "+7924450", 3)], [])


def test_the_alarm_is_raised_in_shadow_too(watch, alarms):
    watch("prefix_traffic", "shadow", PAUSE=PAUSE)
    passed(9)
    assert alarms == [("prefix_traffic", "+7924450", 3)]


@pytest.mark.parametrize("guard", ["region_traffic", "address_traffic"])
def test_a_guard_without_a_pause_raises_the_alarm_once_for_each_window(watch, clock, alarms, guard):
    watch(guard)
    passed(6)
    clock.shift(600)
    passed(6)
    assert [limit for limit, _scope, _count in alarms] == [guard, guard]


@pytest.mark.usefixtures("prefix")
def test_a_listener_that_fails_harms_nobody(caplog):
    def fail(**_told: Any) -> None:
        raise ZeroDivisionError

    signals.alarm_raised.connect(fail)
    assert shut_out() == PAUSE
    signals.alarm_raised.disconnect(fail)


# Shadow


def objected_to(count: int, mode: str) -> list[bool]:
    """Ask so many times, and say each time whether a guard objected."""
    seen = []
    for _ in range(count):
        before = GuardObjection.objects.count()
        assert (ask().refusal is None) or mode == "block"
        seen.append(GuardObjection.objects.count() > before)
    return seen


@pytest.fixture
def compare(watch, clock) -> Callable[..., tuple[list[bool], list[bool]]]:
    """Live through the same twice, blocking and in shadow: what was objected to?"""

    def go(guard: str, live: Callable[[str], list[bool]], **rules: Any) -> Any:
        seen = []
        for mode in ("block", "shadow"):
            watch(guard, mode, **rules)
            seen.append(live(mode))
            assert {row.blocked for row in GuardObjection.objects.all()} == {mode == "block"}
            GuardObjection.objects.all().delete()
            cache.clear()
            clock.move_to("2026-03-02 12:00Z")
        return tuple(seen)

    return go


@pytest.mark.parametrize("guard", TRAFFIC)
def test_shadow_objects_to_what_block_would(compare, clock, guard):
    def live(mode: str) -> list[bool]:
        seen = objected_to(6, mode)
        clock.shift(600)
        return seen + objected_to(4, mode)

    blocked, shadowed = compare(guard, live, PAUSE=0)
    assert blocked == [False] * 3 + [True] * 3 + [False] * 3 + [True]
    assert shadowed == blocked


def test_shadow_objects_to_what_block_would_after_a_login(compare, log_in):
    def live(mode: str) -> list[bool]:
        answered = ask()
        seen = objected_to(6, mode)
        log_in(answered)
        return seen + objected_to(4, mode)

    blocked, shadowed = compare("region_traffic", live)
    assert blocked == [False, False, *[True] * 4, False, False, True, True]
    assert shadowed == blocked


def test_shadow_objects_to_what_block_would_after_a_pause(compare, clock):
    def live(mode: str) -> list[bool]:
        seen = objected_to(4, mode)
        clock.shift(PAUSE - 1)
        seen += objected_to(3, mode)
        clock.shift(1)
        return seen + objected_to(2, mode)

    blocked, shadowed = compare("prefix_traffic", live, PAUSE=PAUSE)
    assert blocked == [False] * 3 + [True] * 4 + [False, True]
    assert shadowed == blocked


# What is stored


def test_what_is_blocked_is_a_cancelled_challenge_and_nothing_more(watch):
    watch("region_traffic")
    passed(3)
    assert passed(1, phone=PHONE) == [False]
    challenge = PhoneChallenge.objects.get(phone=PHONE)
    assert (challenge.state, challenge.code_digest, challenge.ip) == ("cancelled", "", HOME)
    assert not DeliveryAttempt.objects.filter(challenge=challenge).exists()
    found = challenge.objections.get()
    assert (found.guard, found.blocked) == ("region_traffic", True)
    assert found.detail == "messages that no login has paid for: 3"


def test_what_is_blocked_uses_up_nothing_of_its_phone(watch, phone_otp, clock):
    phone_otp(RESEND_WAITS=[30], LIMITS={**NO_LIMITS["LIMITS"], "send_phone": "1/h"})
    watch("region_traffic")
    clock.shift(shut_out())
    ledger = PhoneLedger.objects.latest("pk")
    assert (ledger.sends, ledger.ladder_step, ledger.last_sent_at) == ([], 0, None)
    assert passed(1, phone=ledger.phone) == [True]


def test_what_is_blocked_cannot_be_answered_nor_sent_again(watch):
    watch("region_traffic")
    shut_out()
    blocked = PhoneChallenge.objects.get(state="cancelled")
    assert confirm_code(blocked.public_id, "123456").refusal is Refusal.CHALLENGE_CLOSED
    assert resend_code(blocked.public_id).refusal is Refusal.CHALLENGE_CLOSED


def test_a_blocked_resend_leaves_its_challenge_open(watch, log_in):
    watch("region_traffic")
    asked = ask(PHONE)
    assert asked.challenge
    passed(2)
    resent = resend_code(asked.challenge.public_id, client=Client(ip=HOME))
    assert (resent.refusal, resent.retry_after_seconds) == (Refusal.TOO_MANY_REQUESTS, 600)
    assert len(PhoneLedger.objects.get(phone=PHONE).sends) == 1
    assert asked.challenge.objections.get().blocked
    log_in(asked)


def test_a_phone_that_has_to_wait_is_not_looked_at_by_guards(watch, phone_otp):
    phone_otp(RESEND_WAITS=[30], DENIED_REGIONS=["RU"], GUARDS={**OFF, "region": {"MODE": "off"}})
    ask(PHONE)
    watch("region")
    assert ask(PHONE).refusal is Refusal.RESEND_TOO_SOON
    assert objections() == []


@pytest.mark.parametrize("mode", ["block", "shadow"])
def test_objections_are_logged_without_the_phone(watch, caplog, mode):
    caplog.set_level("INFO")
    watch("region_traffic", mode)
    passed(3)
    ask(PHONE)
    assert f"guard_objected guard=region_traffic blocked={mode == 'block'}" in caplog.text
    assert PHONE[-7:] not in caplog.text


# Known devices


@pytest.fixture
def device() -> str:
    """The device string of a client that has logged in and not come back yet."""
    PhoneLedger.objects.create(phone=PHONE)
    return devices.make_device("k" * 22, PHONE)


@pytest.mark.parametrize("guard", TRAFFIC)
def test_s07_a_known_device_is_not_held_up_by_traffic(watch, device, guard):
    watch(guard)
    shut_out()
    assert passed(2, phone=PHONE, device=device) == [True, True]
    assert passed(1, phone=PHONE) == [False]


@pytest.mark.parametrize("guard", TRAFFIC)
def test_messages_of_a_known_device_count(watch, device, guard):
    watch(guard)
    passed(3, phone=PHONE, device=device)
    assert passed(1) == [False]


def test_s07_a_resend_of_a_known_device_is_not_held_up(watch, device):
    watch("region_traffic")
    asked = ask(PHONE, device=device)
    shut_out()
    assert asked.challenge
    assert resend_code(asked.challenge.public_id, client=Client(ip=HOME)).refusal is None


def test_a_revoked_device_is_held_up_like_anybody(watch, device, clock):
    watch("region_traffic")
    shut_out()
    PhoneLedger.objects.update(devices_valid_after="2026-03-01T12:00Z")
    assert passed(1, phone=PHONE, device=device) == [False]


@pytest.mark.parametrize("is_used", [True, False], ids=["used-before", "first-use"])
@pytest.mark.parametrize(("guard", "keys", "detail"), RULE_GUARDS)
def test_a_rule_holds_for_known_devices_too(phone_otp, device, is_used, guard, keys, detail):
    if is_used:
        passed(1, phone=PHONE, device=device)
    phone_otp(**keys)
    assert ask(PHONE, device=device).refusal is Refusal.PHONE_NOT_ALLOWED
    assert objections() == [(guard, True, detail)]


@pytest.mark.parametrize("is_used", [True, False], ids=["used-before", "first-use"])
def test_a_rule_in_shadow_lets_known_devices_through(phone_otp, device, is_used):
    if is_used:
        passed(1, phone=PHONE, device=device)
    phone_otp(DENIED_REGIONS=["RU"], GUARDS={**OFF, "region": {"MODE": "shadow"}})
    assert passed(1, phone=PHONE, device=device) == [True]


# Sign-up closed


@pytest.fixture
def known(phone_otp, django_user_model) -> list[str]:
    """Phones that have users, neighbours all of them, while sign-up is closed."""
    phone_otp(SIGNUP=False)
    phones = [neighbour() for _ in range(12)]
    for phone in phones:
        user = django_user_model.objects.create_user(phone)
        UserPhone.objects.create(user=user, phone=phone)
    return phones


def look(phone: str) -> Any:
    """Ask, and give all that can be seen from outside; the database is put back afterwards."""
    before = connection.savepoint()
    assert before
    with CaptureQueriesContext(connection) as queries:
        asked = ask(phone)
    connection.savepoint_rollback(before)
    state = asked.challenge and asked.challenge.state
    wait = asked.retry_after_seconds
    return asked.refusal, state, asked.resend_in_seconds, wait, len(queries)


@pytest.mark.parametrize("guard", TRAFFIC)
@pytest.mark.parametrize("mode", ["block", "shadow"])
@pytest.mark.parametrize("is_shut", [True, False])
def test_s11_guards_treat_known_and_unknown_phones_alike(watch, known, guard, mode, is_shut):
    watch(guard, mode, FREE=6)
    for phone in known[: 6 if is_shut else 1]:
        ask(phone)
    of_unknown, of_known = look(neighbour()), look(known[-1])
    assert of_unknown == of_known
    assert (of_known[0] is None) is (mode == "shadow" or not is_shut)


@pytest.mark.parametrize("guard", TRAFFIC)
def test_s11_messages_that_are_withheld_count_like_all_others(watch, known, guard):
    watch(guard)
    passed(2)
    assert [passed(1, phone=phone) for phone in known[:2]] == [[True], [False]]


@pytest.mark.parametrize("guard", TRAFFIC)
def test_s11_what_a_guard_has_counted_does_not_tell_who_has_an_account(watch, known, guard):
    # An attacker asks as often for a phone as is free, and then for any other: is the guard shut?
    watch(guard)

    def probe(phone: str) -> bool:
        cache.clear()
        passed(3, phone=phone)
        return passed(1) == [True]

    assert probe(known[0]) == probe(neighbour())


# The cache


class CacheOfTraffic(LocMemCache):
    """Loses its server as soon as it is asked for what guards count."""

    broken: frozenset[str] = frozenset({"get", "incr", "add", "set", "delete"})

    def check(self, operation: str, key: str) -> None:
        if "_traffic." in key and operation in self.broken:
            raise ConnectionError("connection refused")

    def get(self, key: str, *arguments: Any, **named: Any) -> Any:
        self.check("get", key)
        return super().get(key, *arguments, **named)

    def incr(self, key: str, *arguments: Any, **named: Any) -> Any:
        self.check("incr", key)
        return super().incr(key, *arguments, **named)

    def add(self, key: str, *arguments: Any, **named: Any) -> Any:
        self.check("add", key)
        return super().add(key, *arguments, **named)

    def delete(self, key: str, *arguments: Any, **named: Any) -> Any:
        self.check("delete", key)
        return super().delete(key, *arguments, **named)


class CacheThatOnlyReads(CacheOfTraffic):
    """Loses its server between a look and a count."""

    broken = frozenset({"incr", "add"})


@pytest.mark.parametrize("guard", TRAFFIC)
@pytest.mark.parametrize("mode", ["block", "shadow"])
def test_s15_without_its_cache_a_guard_lets_nobody_through(watch, post, settings, guard, mode):
    watch(guard, mode)
    settings.CACHES = {"default": {"BACKEND": "tests.test_guards.CacheOfTraffic"}}
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert (local.outbox, PhoneChallenge.objects.count()) == ([], 0)
    assert not PhoneLedger.objects.exists()


def test_s15_a_resend_is_refused_as_well_and_stays_possible(watch, settings, log_in):
    watch("region_traffic")
    asked = ask(PHONE)
    assert asked.challenge
    settings.CACHES = {"default": {"BACKEND": "tests.test_guards.CacheOfTraffic"}}
    assert resend_code(asked.challenge.public_id).refusal is Refusal.UNAVAILABLE
    assert len(local.outbox) == 1
    log_in(asked)


def test_a_message_that_cannot_be_counted_is_sent(watch, settings):
    watch("region_traffic")
    settings.CACHES = {"default": {"BACKEND": "tests.test_guards.CacheThatOnlyReads"}}
    assert passed(1, phone=PHONE) == [True]
    assert len(local.outbox) == 1


@pytest.mark.parametrize("guard", TRAFFIC)
def test_a_login_that_cannot_be_counted_is_a_login(
    watch, settings, caplog, guard, django_capture_on_commit_callbacks
):
    watch(guard, PAUSE=PAUSE)
    asked = ask(PHONE)
    settings.CACHES = {"default": {"BACKEND": "tests.test_guards.CacheOfTraffic"}}
    assert asked.challenge
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        answer = confirm_code(asked.challenge.public_id, local.outbox[0].code)
    assert (answer.refusal, len(callbacks)) == (None, 2)
    assert "cache_unavailable limit=guards error=ConnectionError" in caplog.text


# Links and trials


def test_guards_look_at_links(watch, django_user_model):
    watch("region_traffic")
    shut_out()
    user = django_user_model.objects.create_user("member")
    assert ask(purpose="link", user=user).refusal is Refusal.TOO_MANY_REQUESTS


def test_a_link_pays_like_a_login(watch, django_user_model, django_capture_on_commit_callbacks):
    watch("region_traffic")
    user = django_user_model.objects.create_user("member")
    asked = ask(purpose="link", user=user)
    assert asked.challenge
    with django_capture_on_commit_callbacks(execute=True):
        assert confirm_code(asked.challenge.public_id, local.outbox[0].code, user=user).challenge
    assert passed(5) == [True] * 4 + [False]


def test_s11_links_are_not_withheld_and_count(watch, known, django_user_model):
    watch("region_traffic")
    user = django_user_model.objects.create_user("member")
    seen = [ask(purpose="link", user=user).refusal for _ in range(4)]
    assert seen == [None, None, None, Refusal.TOO_MANY_REQUESTS]


def test_guards_look_at_trials(phone_otp, django_user_model):
    phone_otp(DENIED_REGIONS=["RU"])
    user = django_user_model.objects.create_user("operator")
    tried = try_account("memory", PHONE, user=user)
    assert (tried.refusal, tried.attempts) == (Refusal.PHONE_NOT_ALLOWED, ())
    assert PhoneChallenge.objects.get().purpose == "trial"


# What it costs


@pytest.fixture
def cost() -> Callable[..., int]:
    """Count the statements of a request for a new phone; savepoints are none."""

    def count(**arguments: Any) -> int:
        with CaptureQueriesContext(connection) as captured:
            ask(**arguments)
        return sum("SAVEPOINT" not in each["sql"] for each in captured.captured_queries)

    return count


def test_an_objection_costs_one_statement(phone_otp, cost):
    before = cost()
    phone_otp(DENIED_REGIONS=["RU"], GUARDS={**OFF, "region": {"MODE": "shadow"}})
    assert cost() - before == 1
