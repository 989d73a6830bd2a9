"""Blocked prefixes: closed at once, opened again at once, and no dearer than before."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_phone_otp import conf, devices
from django_phone_otp.choices import Guard, Refusal
from django_phone_otp.exceptions import InvalidPhone
from django_phone_otp.flow import prefixes, request_code, resend_code
from django_phone_otp.flow.prefixes import block_prefix, list_neighbourhoods, parse_prefix
from django_phone_otp.flow.retention import purge
from django_phone_otp.models import (
    BlockedPrefix,
    GuardObjection,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import NOW, PHONE
from tests.fakes_admin import log_in
from tests.steps import ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

URL = "/admin/phone_otp/blockedprefix/"
PREFIX = "+7924450"
NEIGHBOUR = "+79244501004"
ELSEWHERE = "+79244511003"
HOUR = timedelta(hours=1)


@pytest.fixture
def block(django_capture_on_commit_callbacks):
    """Block a prefix for an hour, as of the commit: `block()`."""

    def go(prefix: str = PREFIX, span: timedelta = HOUR, reason: str = "") -> BlockedPrefix:
        with django_capture_on_commit_callbacks(execute=True):
            return block_prefix(prefix, timezone.now() + span, reason)

    return go


# Its page


def test_a_phone_in_the_reason_is_masked(admin_client):
    body = {"prefix": PREFIX, "until": "2026-03-01T18:00", "reason": "８ (924) 450-10-03 called"}
    assert admin_client.post(f"{URL}add/", body).status_code == 302
    assert BlockedPrefix.objects.get().reason == "••••••••003 called"


# The guard


@pytest.mark.parametrize("phone", [PHONE, NEIGHBOUR])
def test_no_number_that_begins_so_gets_a_message(block, phone):
    block()
    asked = request_code(phone)
    assert (asked.refusal, asked.retry_after_seconds) == (Refusal.TOO_MANY_REQUESTS, 3_600)
    assert not local.outbox


def test_other_numbers_do(block):
    block()
    assert request_code(ELSEWHERE).refusal is None


def test_a_resend_is_refused_too(block, clock):
    challenge = ask()
    clock.shift(60)
    block()
    assert resend_code(challenge.public_id).refusal is Refusal.TOO_MANY_REQUESTS


def test_one_that_is_over_begins_anew(block, clock):
    block()
    clock.shift(7_200)
    assert block(reason="again").created_at == NOW + 2 * HOUR


def test_one_that_is_made_longer_stands_since_it_began(block, clock):
    block()
    clock.shift(1_800)
    row = block(reason="longer")
    assert (row.created_at, row.until, row.reason) == (NOW, NOW + 1.5 * HOUR, "longer")


def test_the_longest_of_several_is_told(block):
    block(span=HOUR)
    block("+79244", span=2 * HOUR)
    assert request_code(PHONE).retry_after_seconds == 7_200


def test_it_is_over_at_its_time(block, clock):
    block()
    clock.shift(3_600)
    assert request_code(PHONE).refusal is None


def test_the_code_that_was_sent_before_still_counts(block, post):
    challenge = post("request", phone=PHONE).json()["challenge"]
    block()
    answer = post("confirm", challenge=challenge, code=local.outbox[0].code)
    assert answer.status_code == 200


def test_what_was_blocked_is_stored_and_names_no_digit(block):
    block(reason="see +7924450")
    request_code(PHONE)
    objection = GuardObjection.objects.get()
    assert (objection.guard, objection.blocked) == (Guard.BLOCKED_PREFIX, True)
    assert objection.detail == ""
    assert PhoneChallenge.objects.get().state == "cancelled"


def test_what_is_blocked_uses_up_nothing_of_the_phone(block):
    block()
    request_code(PHONE)
    assert PhoneLedger.objects.get().sends == []


def test_s07_a_client_that_has_logged_in_before_passes(block):
    PhoneLedger.objects.create(phone=PHONE)
    block()
    assert request_code(PHONE, device=devices.make_device("a-device", PHONE)).refusal is None


def test_s11_it_is_told_alike_of_known_and_unknown_phones(
    block, post, phone_otp, django_user_model
):
    phone_otp(SIGNUP=False)
    UserPhone.objects.create(user=django_user_model.objects.create_user("known"), phone=PHONE)
    block()
    known, unknown = post("request", phone=PHONE), post("request", phone=NEIGHBOUR)
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())
    assert known.status_code == 429


# The copy in the cache


def test_a_request_reads_the_rows_once_a_minute(django_user_model, clock):
    cache.delete(prefixes.CACHE_KEY)
    with CaptureQueriesContext(connection) as first:
        request_code(PHONE)
    with CaptureQueriesContext(connection) as second:
        request_code(ELSEWHERE)
    reads = [
        [each for each in queries.captured_queries if "blockedprefix" in each["sql"]]
        for queries in (first, second)
    ]
    assert [len(each) for each in reads] == [1, 0]


def test_a_row_that_was_written_past_us_counts_within_a_minute(clock):
    cache.delete(prefixes.CACHE_KEY)
    assert prefixes.read_blocks({}, NOW) == {}
    BlockedPrefix.objects.create(prefix=PREFIX, until=NOW + HOUR)
    clock.shift(prefixes.MEMORY_SECONDS + 1)
    assert request_code(PHONE).refusal is Refusal.TOO_MANY_REQUESTS


class SlowCache(LocMemCache):
    """Takes its time to write, in which others act."""

    def add(self, *args: Any, **kwargs: Any) -> bool:
        fakes.let_others_act()
        return super().add(*args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> None:
        fakes.let_others_act()
        super().set(*args, **kwargs)


@pytest.fixture
def _slow_cache(settings):
    slow = {"BACKEND": "tests.test_blocked_prefixes.SlowCache", "LOCATION": "slow"}
    settings.CACHES = {**settings.CACHES, "slow": slow}
    settings.RATELIMIT_USE_CACHE = "slow"


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("_slow_cache")
def test_of_two_operators_at_one_moment_neither_undoes_the_other():
    fakes.meanwhile.append(lambda: block_prefix(PREFIX, NOW + HOUR))
    block_prefix("+375291", NOW + HOUR)
    refusals = [request_code(each).refusal for each in (PHONE, "+375291112233")]
    assert refusals == [Refusal.TOO_MANY_REQUESTS] * 2


@pytest.mark.usefixtures("_slow_cache")
def test_a_reader_that_was_slow_does_not_put_the_past_into_the_cache(block):
    fakes.meanwhile.append(block)
    assert prefixes.read_blocks({}, NOW) == {}
    assert request_code(PHONE).refusal is Refusal.TOO_MANY_REQUESTS


def test_s15_without_a_cache_the_rows_are_read(settings, block):
    broken = {"BACKEND": "tests.broken_cache.BrokenCache"}
    settings.CACHES = {**settings.CACHES, "broken": broken}
    settings.RATELIMIT_USE_CACHE = "broken"
    settings.RATELIMIT_ENABLE = False  # else nothing goes out without the cache
    block()
    assert request_code(PHONE).refusal is Refusal.TOO_MANY_REQUESTS
    assert request_code("+375291112233").refusal is None


def test_a_block_of_an_operator_outlives_limits_that_are_switched_off(settings, block):
    settings.RATELIMIT_ENABLE = False
    block()
    assert request_code(PHONE).refusal is Refusal.TOO_MANY_REQUESTS


# Blocking


def test_a_longer_block_stays(block):
    block(span=2 * HOUR, reason="first")
    row = block(span=HOUR, reason="second")
    assert (row.until, row.reason) == (NOW + 2 * HOUR, "first")


def test_a_shorter_one_is_made_longer(block):
    block(span=HOUR, reason="first")
    block(span=2 * HOUR, reason="second")
    row = BlockedPrefix.objects.get()
    assert (row.until, row.reason) == (NOW + 2 * HOUR, "second")


def test_s23_the_purge_removes_past_blocks(block, clock):
    block()
    block("+79245", span=2 * HOUR)
    clock.shift(3_600)
    list(purge(conf.read(), timezone.now()))
    assert BlockedPrefix.objects.get().prefix == "+79245"


@pytest.mark.parametrize(
    ("typed", "digits"),
    [
        ("+7924450", "+7924450"),
        (" +7 (924) 450 ", "+7924450"),
        ("＋７９２４４５０", "+7924450"),
        ("+375 29 1", "+375291"),
    ],
)
def test_a_prefix_is_read_as_people_type_it(typed, digits):
    assert parse_prefix(typed).digits == digits


@pytest.mark.parametrize(
    "typed",
    [
        *("", "7924450", "8924450", "+", "+0", "+7924a", "+21", "+44 (0)20", "+" * 41),
        # Nearly a phone, beside what the mask shows of it.
        *("+7 924 450-10-03", "+7 924 450-10-0", "+7 924 450-1"),
    ],
)
def test_what_is_no_prefix_is_refused(typed):
    with pytest.raises(InvalidPhone):
        parse_prefix(typed)


@pytest.mark.parametrize(
    ("typed", "is_wide"),
    [
        *(("+7", True), ("+79", True), ("+792", True), ("+7924", True), ("+79244", True)),
        *(("+792445", False), ("+7924450", False)),
        *(("+375", True), ("+37529", True), ("+3752911", False)),
        *(("+1876", True), ("+441534", True)),  # Jamaica, Jersey: behind codes that others share
    ],
)
def test_a_prefix_of_a_country_or_network_is_wide(typed, is_wide):
    assert parse_prefix(typed).is_wide is is_wide


def test_the_neighbourhoods_of_a_phone():
    assert list_neighbourhoods(PHONE) == {4: "+7924450", 5: "+792445"}


def test_a_short_number_has_fewer_of_them():
    assert list(list_neighbourhoods("+3545812345")) == [4]


# The admin


@pytest.fixture
def body():
    def make(prefix: str = PREFIX, until: datetime = NOW + HOUR, **more: str) -> dict[str, str]:
        return {
            "prefix": prefix,
            "until": f"{timezone.localtime(until):%Y-%m-%dT%H:%M}",
            "reason": "pumping",
            **more,
        }

    return make


def add(client, body):
    return client.post(f"{URL}add/", body)


@pytest.mark.django_db(transaction=True)
class TestAtOnce:
    """What an operator saves counts from the next request on."""

    def test_a_block_is_in_force_as_soon_as_it_is_saved(self, admin_client, body):
        add(admin_client, body())
        assert request_code(PHONE).refusal is Refusal.TOO_MANY_REQUESTS

    def test_it_is_lifted_as_soon_as_it_is_deleted(self, admin_client, body):
        add(admin_client, body())
        pk = BlockedPrefix.objects.get().pk
        admin_client.post(f"{URL}{pk}/delete/", {"post": "yes"})
        assert request_code(PHONE).refusal is None

    def test_several_are_lifted_at_once(self, admin_client, body):
        add(admin_client, body())
        chosen = {"action": "delete_selected", "_selected_action": [BlockedPrefix.objects.get().pk]}
        admin_client.post(URL, {**chosen, "post": "yes"})
        assert request_code(PHONE).refusal is None

    def test_a_time_that_is_changed_counts(self, admin_client, body):
        add(admin_client, body())
        pk = BlockedPrefix.objects.get().pk
        admin_client.post(f"{URL}{pk}/change/", body(until=NOW + 3 * HOUR))
        assert request_code(PHONE).retry_after_seconds == 3 * 3_600


def test_who_blocked_it_is_written_down(admin_client, admin_user, body):
    add(admin_client, body())
    entry = LogEntry.objects.get()
    assert (entry.user, entry.object_repr) == (admin_user, PREFIX)


def test_a_wide_prefix_is_asked_for_twice(admin_client, body):
    response = add(admin_client, body("+79"))
    assert "closes a whole country or network (RU, KZ)" in response.content.decode()
    assert not BlockedPrefix.objects.exists()
    add(admin_client, body("+79", is_wide="on"))
    assert BlockedPrefix.objects.get().prefix == "+79"


def test_a_whole_number_is_refused(admin_client, body):
    html = add(admin_client, body(PHONE)).content.decode()
    assert "This is nearly a whole phone number." in html
    assert not BlockedPrefix.objects.exists()


def test_a_time_that_is_over_is_refused(admin_client, body):
    html = add(admin_client, body(until=NOW)).content.decode()
    assert "To lift a block, delete it." in html


def test_one_that_is_over_can_be_added_again(admin_client, block, body, clock):
    block(reason="first")
    clock.shift(7_200)
    add(admin_client, body(until=NOW + 4 * HOUR))
    row = BlockedPrefix.objects.get()
    assert (row.until, row.created_at, row.reason) == (NOW + 4 * HOUR, NOW + 2 * HOUR, "pumping")
    assert LogEntry.objects.get().is_addition()


def test_one_that_is_in_force_cannot_be_added_again(admin_client, block, body):
    block(reason="first")
    html = add(admin_client, body(until=NOW + 4 * HOUR)).content.decode()
    assert "This prefix is blocked already." in html
    assert BlockedPrefix.objects.get().reason == "first"


def test_the_prefix_of_a_block_stays_what_it_is(admin_client, body):
    add(admin_client, body())
    pk = BlockedPrefix.objects.get().pk
    admin_client.post(f"{URL}{pk}/change/", body("+375291"))
    assert BlockedPrefix.objects.get().prefix == PREFIX


def test_the_dashboard_fills_in_the_prefix_and_nothing_else(admin_client):
    html = admin_client.get(f"{URL}add/", {"prefix": PREFIX, "reason": "none"}).content.decode()
    assert 'value="+7924450"' in html
    assert 'value="none"' not in html


def test_the_list_says_what_is_in_force(admin_client, block, clock):
    block(reason="pumping")
    assert 'alt="True"' in admin_client.get(URL).content.decode()
    clock.shift(3_600)
    html = admin_client.get(URL).content.decode()
    assert 'alt="False"' in html
    assert "pumping" in html


def test_s21_staff_who_may_view_change_nothing(client, block, body):
    pk = block().pk
    log_in(client, "view_blockedprefix")
    assert client.get(URL).status_code == 200
    assert add(client, body("+375291")).status_code == 403
    assert client.post(f"{URL}{pk}/change/", body()).status_code == 403
    assert client.post(f"{URL}{pk}/delete/", {"post": "yes"}).status_code == 403
    assert BlockedPrefix.objects.count() == 1


def test_s21_staff_without_permission_see_nothing(client, block):
    block()
    log_in(client, "view_phonechallenge")
    assert client.get(URL).status_code == 403


def test_s21_who_may_not_look_may_not_add(client, block, body):
    block()
    log_in(client, "view_phonechallenge", "add_blockedprefix")
    assert client.get(f"{URL}add/").status_code == 403
    assert client.post(f"{URL}add/", body()).status_code == 403


def test_a_block_of_more_than_a_year_is_refused(admin_client, body):
    page = add(admin_client, body(until=NOW + timedelta(days=400)))
    assert "Close it for a year at most." in page.content.decode()
    assert not BlockedPrefix.objects.exists()
