"""Faults one by one, in one process: what the person gets, what is seen, what is never lost.

A fault strikes before each statement to the database, or each operation of the cache, in turn. Real
servers that lose their database, cache, workers and providers are in `parallel.test_faults`; what
each fault means to operators is in `docs/faults.md`.
"""

import itertools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from io import StringIO
from typing import Any, ClassVar, Self

import pytest
import time_machine
from django.core.cache import cache
from django.core.cache.backends.locmem import LocMemCache
from django.core.management import call_command
from django.db import OperationalError, connection, connections, transaction
from django.db.models.signals import post_save
from django.dispatch import Signal
from django.utils import timezone
from hypothesis import HealthCheck, example, given
from hypothesis import settings as budget
from hypothesis import strategies as st
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from django_phone_otp import devices, signals, urls
from django_phone_otp.flow import confirm_code
from django_phone_otp.models import (
    AccountLedger,
    ConfirmAttempt,
    DeliveryAttempt,
    DeviceLedger,
    PendingDelivery,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)
from django_phone_otp.providers import local
from tests import fakes, fakes_queue, steps
from tests.conftest import NOW, PHONE
from tests.fakes import accounts, providers

# Without real transactions a rollback would take back nothing.
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clock")]

UNAVAILABLE = (503, "unavailable")
MAX_MOMENTS_COUNT = 60  # more than any request has statements
WRONG = "000000"
HOUR_SECONDS = 3_600
CODE_TTL_SECONDS = 300

phones = (f"+7924450{number:04}" for number in itertools.count(2_000))


@pytest.fixture
def api() -> APIClient:
    """A client that shows an error of the site as its users see it: 500."""
    return APIClient(raise_request_exception=False)


@pytest.fixture(autouse=True)
def _generous(phone_otp):
    """Let one address do all that it takes."""
    fakes.meanwhile.clear()
    fakes.questions.clear()
    phone_otp(LIMITS=dict.fromkeys(("request_ip", "confirm_ip", "fail_all"), "100000/h"))


class Strike:
    """Acts before the `number`-th statement (from 1) of a block, and before all after it if told.

    `with strike:` is the block.
    """

    def __init__(self, number: int, act: Callable[[], object], *, lasts: bool) -> None:
        self.has_struck = False
        self._number, self._act, self._lasts = number, act, lasts
        self._seen = 0
        self._block: AbstractContextManager[None] = connection.execute_wrapper(self._execute)

    def __enter__(self) -> None:
        self._block.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._block.__exit__(*error)

    def _execute(self, execute: Any, *statement: Any) -> Any:
        self._seen += 1
        if self._seen == self._number or (self._lasts and self.has_struck):
            self.has_struck = True
            self._act()
        return execute(*statement)


def each_moment(act: Callable[[], object], *, lasts: bool = False) -> Iterator[tuple[Strike, str]]:
    """Give a strike for each statement, with a new phone, until one came too late for any."""
    for number in range(1, MAX_MOMENTS_COUNT):
        strike = Strike(number, act, lasts=lasts)
        yield strike, next(phones)
        if not strike.has_struck:
            assert number > 1
            return
    raise AssertionError("it never ran to its end")


def lose_database() -> None:
    raise OperationalError("server closed the connection unexpectedly")


def told(response: Any) -> tuple[int, str]:
    """Give status and word of an answer."""
    return response.status_code, response.json().get("code", "")


def code_of(phone: str) -> str:
    """Give the code that came last to a phone."""
    return next(each.code for each in reversed(local.outbox) if each.phone == phone)


def count_messages(phone: str) -> int:
    return sum(each.phone == phone for each in local.outbox)


def count_taken(phone: str) -> int:
    """Count the messages that were taken from a phone's budget."""
    return len(PhoneLedger.primary().of_phone(phone).sends)


def row(challenge: str) -> PhoneChallenge:
    return PhoneChallenge.objects.get(public_id=challenge)


# The database is gone for a moment


def test_s15_a_request_without_the_database_sends_nothing_that_is_not_counted(post, clock):
    for gone, phone in each_moment(lose_database, lasts=True):
        with gone:
            answer = post("request", phone=phone)
        assert told(answer) == (UNAVAILABLE if gone.has_struck else (201, ""))
        assert count_messages(phone) <= count_taken(phone) <= 1

        clock.shift(30)  # whatever was counted: after the wait it works
        assert post("request", phone=phone).status_code == 201
        assert count_messages(phone) <= count_taken(phone) <= 2


def test_s15_a_resend_without_the_database_leaves_the_code_before_it_good(post, clock):
    for gone, phone in each_moment(lose_database, lasts=True):
        challenge = post("request", phone=phone).json()["challenge"]
        code = code_of(phone)
        clock.shift(30)
        with gone:
            answer = post("resend", challenge=challenge)
        assert told(answer) == (UNAVAILABLE if gone.has_struck else (200, ""))
        assert count_messages(phone) <= count_taken(phone) <= 2
        assert post("confirm", challenge=challenge, code=code).status_code == 200


def test_s15_a_database_gone_between_send_and_record_keeps_the_budget(post, phone_otp, clock):
    phone_otp(PROVIDERS=providers(slow={"kind": "FakeSlow"}))
    gone = Strike(1, lose_database, lasts=True)
    fakes.meanwhile.append(gone.__enter__)  # while the message goes out
    answer = post("request", phone=PHONE)
    gone.__exit__(None, None, None)

    assert told(answer) == UNAVAILABLE
    assert len(fakes.asked) == count_taken(PHONE) == 1
    stored = PhoneChallenge.objects.get()
    assert (stored.state, stored.code_digest) == ("sending", "")
    assert told(post("request", phone=PHONE)) == (429, "resend_too_soon")  # no free second message
    clock.shift(30)
    assert post("resend", challenge=stored.public_id).json()["state"] == "sent"


@pytest.mark.parametrize("is_right", [False, True], ids=["wrong", "right"])
def test_s22_an_answer_without_the_database_gives_no_try_back(post, is_right):
    left = []
    for gone, phone in each_moment(lose_database, lasts=True):
        challenge = post("request", phone=phone).json()["challenge"]
        with gone:
            answer = post(
                "confirm", challenge=challenge, code=code_of(phone) if is_right else WRONG
            )
        if gone.has_struck:  # nothing tells which it was
            assert told(answer) == UNAVAILABLE
        left.append(row(challenge).attempts_left)
    # Where the database went before the try was taken nothing was compared.
    assert left == sorted(left, reverse=True)
    assert (left[0], left[-1]) == (5, 4)


def test_s15_a_login_without_the_database_happens_once_or_not_at_all(post):
    seen = set()
    for gone, phone in each_moment(lose_database, lasts=True):
        challenge = post("request", phone=phone).json()["challenge"]
        with gone:
            first = post("confirm", challenge=challenge, code=code_of(phone))
        if not gone.has_struck:
            assert Token.objects.filter(key=first.json()["token"]).exists()
            break
        assert told(first) == UNAVAILABLE
        stored = row(challenge)
        assert stored.spent_at is None
        assert not UserPhone.objects.filter(phone=phone).exists()

        second = post("confirm", challenge=challenge, code=code_of(phone))
        assert told(second) in {(200, ""), (400, "challenge_closed")}
        assert (second.status_code == 200) == (stored.state == "sent")
        seen.add(second.status_code)
        # A code that was used up by a login that failed has no successor to wait for.
        assert second.status_code == 200 or post("request", phone=phone).status_code == 201
    assert seen == {200, 400}


def test_s15_a_look_without_the_database_is_refused(api, post):
    for gone, phone in each_moment(lose_database, lasts=True):
        challenge = post("request", phone=phone).json()["challenge"]
        with gone:
            answer = api.get(f"/api/phone/challenges/{challenge}/")
        assert told(answer) == (UNAVAILABLE if gone.has_struck else (200, ""))


def test_operators_read_that_the_database_is_gone(post, caplog):
    with Strike(1, lose_database, lasts=True):
        post("request", phone=PHONE)
    assert "database_unavailable error=OperationalError" in caplog.messages


# The database ends a transaction for the sake of another one, which waits for it


def end_outside() -> None:
    raise OperationalError(1213, "Deadlock found when trying to get lock")


def end_transaction() -> None:
    if connection.in_atomic_block:
        end_outside()


def end_admission() -> None:
    """End the transaction before a message; a test takes earlier messages from the outbox."""
    if not local.outbox:
        end_transaction()


class EndedBy:
    """Ends the transaction that inserts into a table, once, and has `winner` act after it."""

    def __init__(self, model: Any, winner: Callable[[], object]) -> None:
        self.has_won = False
        self._table, self._winner, self._has_ended = model._meta.db_table, winner, False
        self._block = connection.execute_wrapper(self._execute)

    def __enter__(self) -> Self:
        self._block.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._block.__exit__(*error)

    def _execute(self, execute: Any, sql: str, *rest: Any) -> Any:
        if not self._has_ended and sql.startswith("INSERT INTO") and self._table in sql:
            self._has_ended = True
            end_transaction()
        if self._has_ended and not self.has_won and sql.startswith("SELECT"):
            self.has_won = True
            self._winner()
        return execute(sql, *rest)


@pytest.mark.parametrize("is_known", [False, True], ids=["new", "known"])
def test_a_request_that_was_ended_is_done_anew(post, clock, is_known):
    for ended, phone in each_moment(end_admission):
        if is_known:
            post("request", phone=phone)
            clock.shift(30)
        local.outbox.clear()
        with ended:
            answer = post("request", phone=phone)
        assert told(answer) == (201, "")
        assert (count_messages(phone), count_taken(phone)) == (1, 1 + is_known)
        challenge = answer.json()["challenge"]
        assert row(challenge).phone == phone
        assert post("confirm", challenge=challenge, code=code_of(phone)).status_code == 200


def test_a_request_for_a_queue_that_was_ended_is_done_anew(post, phone_otp):
    fakes_queue.keys.clear()
    phone_otp(DISPATCH=fakes_queue.PATH)
    for ended, phone in each_moment(end_transaction):
        with ended:
            answer = post("request", phone=phone)
        assert told(answer) == (201, "")
        assert fakes_queue.work() == [True]
        assert count_messages(phone) == count_taken(phone) == 1
        challenge = PhoneChallenge.objects.get(phone=phone).public_id
        assert post("confirm", challenge=challenge, code=code_of(phone)).status_code == 200


def test_s09_a_request_that_was_ended_for_another_one_is_told_to_wait(post, clock):
    post("request", phone=PHONE)
    clock.shift(30)
    with EndedBy(PhoneChallenge, lambda: post("request", phone=PHONE)) as ended:
        answer = post("request", phone=PHONE)
    assert ended.has_won
    assert told(answer) == (429, "resend_too_soon")
    assert count_messages(PHONE) == count_taken(PHONE) == 2


def test_a_request_of_a_device_that_was_ended_is_done_anew(post, clock):
    # The phone's row went in a purge, and comes back for the device.
    for ended, phone in each_moment(end_admission):
        device = devices.make_device("k" * 22, phone)
        clock.shift(2)
        local.outbox.clear()
        with ended:
            answer = post("request", phone=phone, device=device)
        assert told(answer) == (201, "")
        assert len(DeviceLedger.objects.get(ledger__phone=phone).sends) == 1
        assert (count_messages(phone), count_taken(phone)) == (1, 0)


def test_a_request_whose_commit_was_followed_by_an_error_is_not_done_again(post):
    def end_later(**_arguments: Any) -> None:
        transaction.on_commit(end_outside)

    post_save.connect(end_later, sender=PhoneChallenge)
    try:
        answer = post("request", phone=PHONE)
    finally:
        post_save.disconnect(end_later, sender=PhoneChallenge)
    assert told(answer) == UNAVAILABLE
    assert PhoneChallenge.objects.count() == count_taken(PHONE) == 1


def test_a_resend_that_was_ended_is_done_anew(post, clock):
    for ended, phone in each_moment(end_admission):
        challenge = post("request", phone=phone).json()["challenge"]
        clock.shift(30)
        local.outbox.clear()
        with ended:
            answer = post("resend", challenge=challenge)
        assert told(answer) == (200, "")
        assert (count_messages(phone), count_taken(phone)) == (1, 2)


def test_a_resend_that_was_ended_for_a_login_counts_after_it(post, clock):
    challenge = post("request", phone=PHONE).json()["challenge"]
    clock.shift(30)
    other = post("request", phone=PHONE).json()["challenge"]
    clock.shift(60)
    login = {"challenge": other, "code": code_of(PHONE)}
    with EndedBy(PendingDelivery, lambda: post("confirm", **login)) as ended:
        answer = post("resend", challenge=challenge)
    assert ended.has_won
    assert told(answer) == (200, "")
    assert PhoneLedger.objects.get().ladder_step == 1  # the login has set it back


@pytest.mark.parametrize("is_right", [False, True], ids=["wrong", "right"])
def test_an_answer_to_a_device_that_was_ended_is_counted_once(clock, is_right):
    for ended, phone in each_moment(end_transaction):
        device = devices.make_device("k" * 22, phone)
        clock.shift(2)
        asked = steps.ask(phone, device=device)
        with ended:
            answer = confirm_code(asked.public_id, code_of(phone) if is_right else WRONG)
        stored = row(asked.public_id)
        assert stored.attempts_left == 4
        assert (stored.state == "verified") == (answer.challenge is not None) == is_right
        assert len(DeviceLedger.objects.get(ledger__phone=phone).failures) == (not is_right)
        assert PhoneLedger.objects.get(phone=phone).failures_in_row == (not is_right)
        assert ConfirmAttempt.objects.filter(challenge=stored).count() == 1


def test_s06_a_last_wrong_answer_that_was_ended_counts_once(post, phone_otp):
    phone_otp(LIMITS={"fail_phone": "3/d", "confirm_ip": "1000/h", "request_ip": "1000/h"})
    for ended, phone in each_moment(end_transaction):
        challenge = post("request", phone=phone).json()["challenge"]
        for left in (4, 3):
            post("confirm", challenge=challenge, code=WRONG)
            assert row(challenge).attempts_left == left
        with ended:
            answer = post("confirm", challenge=challenge, code=WRONG)
        assert told(answer) == (400, "wrong_code")
        assert answer.json()["attempts_left"] == row(challenge).attempts_left == 2
        assert len(PhoneLedger.objects.get(phone=phone).failures) == 3
        assert ConfirmAttempt.objects.filter(challenge__public_id=challenge).count() == 3
        assert post("confirm", challenge=challenge, code=WRONG).status_code == 429


def test_s15_what_the_database_ends_again_and_again_is_refused(post):
    with Strike(1, end_transaction, lasts=True):
        answer = post("request", phone=PHONE)
    assert told(answer) == UNAVAILABLE
    assert (count_messages(PHONE), count_taken(PHONE)) == (0, 0)


# The cache is gone


class FailingCache(LocMemCache):
    """Works for `operations_left` operations; then it fails as a client of Redis does."""

    operations_left: ClassVar[int] = 0
    has_failed: ClassVar[bool] = False

    def _operate(self) -> None:
        FailingCache.operations_left -= 1
        if FailingCache.operations_left < 0:
            FailingCache.has_failed = True
            raise ConnectionError("connection refused")

    def add(self, *args: Any, **kwargs: Any) -> Any:
        self._operate()
        return super().add(*args, **kwargs)

    def get(self, *args: Any, **kwargs: Any) -> Any:
        self._operate()
        return super().get(*args, **kwargs)

    def set(self, *args: Any, **kwargs: Any) -> Any:
        self._operate()
        return super().set(*args, **kwargs)

    def incr(self, *args: Any, **kwargs: Any) -> Any:
        self._operate()
        return super().incr(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        self._operate()
        return super().delete(*args, **kwargs)


@pytest.fixture
def _failing_cache(settings) -> None:
    settings.CACHES = {"default": {"BACKEND": "tests.test_faults.FailingCache"}}
    mend_cache()


def lose_cache(after: int = 0) -> None:
    """Let the cache fail after so many operations."""
    FailingCache.operations_left, FailingCache.has_failed = after, False


def mend_cache() -> None:
    FailingCache.operations_left = 10**9


def each_operation() -> Iterator[int]:
    """Count the operations after which the cache is lost, until one came too late for any."""
    for count in range(MAX_MOMENTS_COUNT):
        yield count
        if not FailingCache.has_failed:
            assert count
            return
    raise AssertionError("it never ran to its end")


@pytest.mark.usefixtures("_failing_cache")
def test_s15_a_cache_that_fails_midway_sends_nothing_or_sends_it_rightly(post, phone_otp):
    phone_otp(PROVIDERS=providers(first={"error": "ProviderUnavailable"}, second={}))
    seen = []
    for count in each_operation():
        phone = next(phones)
        cache.clear()  # with what the breakers know
        fakes.asked.clear()
        lose_cache(after=count)
        answer = post("request", phone=phone)
        mend_cache()
        went_out = told(answer) == (201, "")
        assert went_out or told(answer) == UNAVAILABLE
        assert len(fakes.asked) == (2 if went_out else 0)
        # What was refused was not counted either: with the cache back there is nothing to wait for.
        assert count_taken(phone) == went_out
        assert went_out or post("request", phone=phone).status_code == 201
        seen.append(went_out)
    assert seen == sorted(seen)
    assert set(seen) == {False, True}


@pytest.mark.usefixtures("_failing_cache")
def test_s15_a_resend_without_the_cache_counts_nothing_away(post, clock):
    challenge = post("request", phone=PHONE).json()["challenge"]
    clock.shift(30)
    lose_cache()
    assert told(post("resend", challenge=challenge)) == UNAVAILABLE
    assert (count_messages(PHONE), count_taken(PHONE)) == (1, 1)
    mend_cache()
    assert post("resend", challenge=challenge).status_code == 200


@pytest.mark.usefixtures("_failing_cache")
@pytest.mark.parametrize("is_right", [False, True], ids=["wrong", "right"])
def test_s15_an_answer_without_the_cache_costs_no_try(post, is_right):
    challenge = post("request", phone=PHONE).json()["challenge"]
    code = code_of(PHONE)
    lose_cache()
    answer = post("confirm", challenge=challenge, code=code if is_right else WRONG)
    assert told(answer) == UNAVAILABLE
    assert row(challenge).attempts_left == 5
    mend_cache()
    assert post("confirm", challenge=challenge, code=code).status_code == 200


@pytest.mark.usefixtures("_failing_cache")
def test_s15_a_call_that_came_in_while_the_cache_failed_logs_in_afterwards(post, phone_otp, clock):
    calls = providers(calls={"kind": "FakePresence", "is_called": True})
    phone_otp(PROVIDERS=calls, RESEND_WAITS=[0])
    seen = []
    for count in each_operation():
        challenge = post("request", phone=next(phones)).json()["challenge"]
        lose_cache(after=count)
        first = told(post("confirm", challenge=challenge))
        mend_cache()
        assert first in {(200, ""), UNAVAILABLE}
        clock.shift(60)  # longer than a question of one request keeps the others from asking
        second = told(post("confirm", challenge=challenge))
        assert second == ((200, "") if first == UNAVAILABLE else (400, "challenge_closed"))
        seen.append(first)
    assert set(seen) == {(200, ""), UNAVAILABLE}


@pytest.mark.usefixtures("_failing_cache")
@pytest.mark.parametrize("door", ["request", "confirm"])
def test_operators_read_that_the_cache_is_gone(post, caplog, door):
    lose_cache()
    post(door, phone=PHONE, challenge="x", code="1")
    assert f"cache_unavailable limit={door}_ip error=ConnectionError" in caplog.messages


# Django saves the session when the view has answered: what fails there is not ours to answer.


@pytest.mark.usefixtures("_failing_cache")
def test_s15_a_session_that_the_cache_does_not_take_is_no_login(post, phone_otp, settings):
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cache"
    phone_otp(TOKEN_ISSUER="session")
    seen = set()
    for count in each_operation():
        phone, client = next(phones), APIClient(raise_request_exception=False)
        challenge = post("request", phone=phone).json()["challenge"]
        lose_cache(after=count)
        answer = post("confirm", client=client, challenge=challenge, code=code_of(phone))
        mend_cache()
        seen.add(answer.status_code)
        assert ("sessionid" in client.cookies) == (answer.status_code == 200)
        # Whether the code was used up or not, nobody has to wait for another.
        if row(challenge).state == "verified":
            assert post("request", phone=phone).status_code == 201
    assert seen == {200, 500, 503}


def test_s15_a_session_that_the_database_does_not_take_is_no_login(post, phone_otp):
    phone_otp(TOKEN_ISSUER="session")
    seen = set()
    for gone, phone in each_moment(lose_database, lasts=True):
        client = APIClient(raise_request_exception=False)
        challenge = post("request", phone=phone).json()["challenge"]
        with gone:
            answer = post("confirm", client=client, challenge=challenge, code=code_of(phone))
        seen.add(answer.status_code)
        assert ("sessionid" in client.cookies) == (answer.status_code == 200)
        if row(challenge).state == "verified":
            assert post("request", phone=phone).status_code == 201
    assert seen == {200, 400, 503}  # 400 is Django's: it takes the session for one that was ended


# The clock is set


STEPS = {"back-1h": -HOUR_SECONDS, "back-1s": -1, "forward-1h": HOUR_SECONDS}


def check_numbers(response: Any) -> None:
    """See that an answer is a documented one, whose seconds make sense."""
    body = response.json()
    assert response.status_code in {200, 201, 400, 429}, body
    seconds = {name: body[name] for name in ("expires_in", "resend_in") if name in body}
    assert all(each >= 0 for each in seconds.values()), seconds
    if response.status_code == 429:
        assert body["retry_after"] >= 1
        assert response["Retry-After"] == str(body["retry_after"])


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_clock_that_is_set_between_requests_makes_no_nonsense(api, post, clock, step):
    challenge = post("request", phone=PHONE).json()["challenge"]
    clock.shift(step)
    for answer in (
        api.get(f"/api/phone/challenges/{challenge}/"),
        post("request", phone=PHONE),
        post("resend", challenge=challenge),
        post("confirm", challenge=challenge, code=WRONG),
        post("confirm", challenge=challenge, code=code_of(PHONE)),
        post("request", phone=PHONE),
    ):
        check_numbers(answer)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
@pytest.mark.parametrize("door", ["request", "resend", "wrong", "right", "look"])
def test_a_clock_that_is_set_within_a_request_makes_no_nonsense(api, post, clock, door, step):
    for setting, phone in each_moment(lambda: clock.shift(step)):
        challenge = post("request", phone=phone).json()["challenge"]
        clock.shift(30)
        asked = {
            "request": ("request", {"phone": phone}),
            "resend": ("resend", {"challenge": challenge}),
            "wrong": ("confirm", {"challenge": challenge, "code": WRONG}),
            "right": ("confirm", {"challenge": challenge, "code": code_of(phone)}),
        }
        with setting:
            if door == "look":
                answer = api.get(f"/api/phone/challenges/{challenge}/")
            else:
                name, body = asked[door]
                answer = post(name, **body)
        check_numbers(answer)
        assert count_messages(phone) <= count_taken(phone)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_clock_that_is_set_while_a_provider_is_asked_makes_no_nonsense(
    api, post, phone_otp, clock, step
):
    phone_otp(PROVIDERS=providers(slow={"kind": "FakeSlow"}))
    fakes.meanwhile.append(lambda: clock.shift(step))
    answer = post("request", phone=PHONE)
    assert answer.json()["state"] == "sent"
    check_numbers(answer)
    assert DeliveryAttempt.objects.get().duration_ms >= 0
    challenge = answer.json()["challenge"]
    check_numbers(api.get(f"/api/phone/challenges/{challenge}/"))
    check_numbers(post("request", phone=PHONE))


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_s02_no_code_is_good_once_the_clock_shows_that_its_time_is_over(post, clock, step):
    asked_at = timezone.now()
    challenge = post("request", phone=PHONE).json()["challenge"]
    code = code_of(PHONE)
    clock.shift(step)
    clock.move_to(asked_at + timedelta(seconds=CODE_TTL_SECONDS))
    assert told(post("confirm", challenge=challenge, code=code)) == (400, "expired")


def test_a_code_on_its_way_is_good_though_the_clock_is_set_back(post, clock):
    challenge = post("request", phone=PHONE).json()["challenge"]
    clock.shift(-HOUR_SECONDS)
    assert post("confirm", challenge=challenge, code=code_of(PHONE)).status_code == 200


class SlowCache(LocMemCache):
    """Takes its time to count, in which the clock is set."""

    set_clock: ClassVar[Callable[[], object] | None] = None

    def incr(self, *args: Any, **kwargs: Any) -> int:
        if SlowCache.set_clock:
            SlowCache.set_clock()
        return super().incr(*args, **kwargs)


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_clock_that_is_set_while_an_address_is_counted_makes_no_nonsense(
    post, phone_otp, settings, clock, step
):
    settings.CACHES = {"default": {"BACKEND": "tests.test_faults.SlowCache"}}
    phone_otp(LIMITS={"request_ip": "1/h"})
    post("request", phone=next(phones))
    SlowCache.set_clock = lambda: clock.shift(step)
    try:
        answer = post("request", phone=next(phones))
    finally:
        SlowCache.set_clock = None
    assert told(answer) == (429, "too_many_requests")
    check_numbers(answer)


# What happens next: so many seconds pass, and before that the clock is set back by so many.
seconds = st.sampled_from([0, 1, 600, HOUR_SECONDS // 2, HOUR_SECONDS, 2 * HOUR_SECONDS])
happenings = st.lists(st.tuples(seconds, seconds), max_size=14)


@pytest.mark.parametrize("what", ["messages", "wrong codes"])
@given(happenings=happenings)
@example(happenings=[(0, 0), (0, 0), (0, HOUR_SECONDS), (0, 0), (0, 0)])
@budget(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_limit_allows_more_for_a_clock_that_is_set_back(phone_otp, what, happenings):
    limits = {"send_phone": "3/h", "fail_phone": "3/h", "fail_phone_total": 100}
    generous = dict.fromkeys(("request_ip", "confirm_ip", "fail_all"), "1000000/h")
    phone_otp(RESEND_WAITS=[0], LIMITS={**generous, **limits})
    phone, client = next(phones), APIClient()
    passed, clock_shows, happened = 0, NOW, []  # the seconds that really pass, and the clock
    challenge = ""
    for waited, set_back in happenings:
        passed += waited
        clock_shows += timedelta(seconds=waited - set_back)
        with time_machine.travel(clock_shows, tick=False):
            answer = client.post("/api/phone/request/", {"phone": phone}, format="json")
            challenge = answer.json().get("challenge", challenge)
            if what == "messages":
                has_happened = answer.status_code == 201
            else:
                body = {"challenge": challenge or "none", "code": WRONG}
                answer = client.post("/api/phone/confirm/", body, format="json")
                has_happened = told(answer) == (400, "wrong_code")
        if has_happened:
            happened.append(passed)
        if answer.status_code == 429:
            assert answer.json()["retry_after"] >= 1
    for first, fourth in zip(happened, happened[3:], strict=False):
        assert fourth - first >= HOUR_SECONDS


@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_a_wait_is_not_shortened_by_a_clock_that_is_set_back(post, clock, step):
    post("request", phone=PHONE)
    clock.shift(min(step, 0))
    wait = post("request", phone=PHONE).json()["retry_after"]
    assert wait == 30 - min(step, 0)
    clock.shift(wait - 1)
    assert told(post("request", phone=PHONE)) == (429, "resend_too_soon")
    clock.shift(1)
    assert post("request", phone=PHONE).status_code == 201


def test_the_day_of_an_account_does_not_begin_anew_for_a_clock_that_is_set_back(
    post, phone_otp, settings, clock
):
    settings.TIME_ZONE = "UTC"
    phone_otp(PROVIDERS=accounts(a={"DAILY_LIMIT": 2}, b={}))
    clock.move_to(NOW.replace(hour=0, minute=30))
    for _ in range(2):
        post("request", phone=next(phones))
    clock.shift(-HOUR_SECONDS)  # yesterday, of which nothing was used up
    post("request", phone=next(phones))
    clock.shift(HOUR_SECONDS)
    post("request", phone=next(phones))
    assert AccountLedger.objects.get(alias="a").sent_count == 2
    assert DeliveryAttempt.objects.filter(account="a", outcome="sent").count() == 2
    assert DeliveryAttempt.objects.filter(account="b", outcome="sent").count() == 2


def test_an_address_gets_no_more_for_a_clock_that_is_set_back(post, phone_otp, clock):
    phone_otp(LIMITS={"request_ip": "20/h"})
    allowed = 0
    for step in (0, -1, -HOUR_SECONDS, HOUR_SECONDS):
        clock.shift(step)
        allowed += sum(post("request", phone=next(phones)).status_code == 201 for _ in range(25))
    # One window and, for the hour that the clock shows again, the one before it.
    assert allowed <= 40


def test_a_breaker_does_not_lock_an_account_out_for_a_clock_that_is_set_back(
    post, phone_otp, clock
):
    phone_otp(PROVIDERS=providers(only={"error": "ProviderUnavailable"}), RESEND_WAITS=[0])
    for _ in range(5):
        post("request", phone=next(phones))
    phone_otp(PROVIDERS=providers(only={}))
    clock.shift(-HOUR_SECONDS)
    assert post("request", phone=next(phones)).status_code == 201


# A right answer that comes twice


def test_a_call_confirmed_twice_at_once_is_closed_for_the_second(post, phone_otp):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence", "is_called": True}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    APIClient().get(f"/api/phone/challenges/{challenge}/")  # it is verified now
    other = APIClient()

    def confirm_elsewhere() -> None:
        if row(challenge).spent_at is None:
            answers.append(post("confirm", client=other, challenge=challenge))

    # The second is faster, after the first has seen that the call came in.
    answers: list[Any] = []
    spending = SpendingStrike(confirm_elsewhere)
    with connection.execute_wrapper(spending):
        answers.append(post("confirm", challenge=challenge))
    assert [told(each) for each in answers] == [(200, ""), (400, "challenge_closed")]


class SpendingStrike:
    """Acts before the statement that spends a challenge, once."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act: Callable[[], object] | None = act

    def __call__(self, execute: Any, sql: str, *rest: Any) -> Any:
        act = self._act
        if act and sql.startswith("UPDATE") and "spent_at" in sql.partition("WHERE")[0]:
            self._act = None
            act()
        return execute(sql, *rest)


# A worker that died, seen from here: `parallel.test_faults` kills real ones


def test_s22_a_receiver_that_fails_does_not_undo_a_sweep(post, clock):
    post("request", phone=PHONE)
    PhoneChallenge.objects.update(state="sending", sent_at=None, code_digest="")
    DeliveryAttempt.objects.all().delete()
    clock.shift(HOUR_SECONDS)

    def fail(**_arguments: Any) -> None:
        raise RuntimeError("the receiver failed")

    signals.delivery_failed.connect(fail)
    try:
        call_command("phone_otp_sweep", stdout=StringIO())
    finally:
        signals.delivery_failed.disconnect(fail)
    assert PhoneChallenge.objects.get().state == "failed"
    assert DeliveryAttempt.objects.get().outcome == "uncertain"


OURS = [name for name, value in vars(signals).items() if isinstance(value, Signal)]


@pytest.mark.parametrize("name", OURS)
def test_s22_a_receiver_that_fails_is_told_to_operators_and_to_nobody_else(caplog, name):
    def fail(**_arguments: Any) -> None:
        raise RuntimeError("the receiver failed")

    signal = getattr(signals, name)
    signal.connect(fail)
    try:
        signals.send_after_commit(signal, sender=PhoneChallenge, using=connection.alias)
    finally:
        signal.disconnect(fail)
    assert [each.name for each in caplog.records if "fail" in each.message] == ["django.dispatch"]


# ATOMIC_REQUESTS


def test_s22_no_door_is_inside_a_transaction_of_the_request():
    doors = [each.callback for each in urls.urlpatterns]
    assert len(doors) >= 4
    for door in doors:
        assert door._non_atomic_requests == set(connections)


def test_s22_a_call_that_was_looked_at_stays_verified_under_atomic_requests(
    api, post, phone_otp, monkeypatch
):
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence", "is_called": True}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    look = api.get(f"/api/phone/challenges/{challenge}/")
    assert look.json()["state"] == "verified"
    assert row(challenge).state == "verified"
