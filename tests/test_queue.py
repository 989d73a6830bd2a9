"""Sending off the request: what waits for a worker, what the worker does, what becomes of the rest.

The queue is a list (`tests.fakes_queue`). Those of Django Tasks and of Celery are in
`test_queues.py`; with workers that are processes they are in `tests/machines`.
"""

import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.db import OperationalError, connection, connections, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone, translation

from django_phone_otp import conf, signals
from django_phone_otp.choices import State
from django_phone_otp.codes import matches_any
from django_phone_otp.exceptions import ChannelNotOffered
from django_phone_otp.flow import (
    Client,
    Refusal,
    find_challenge,
    request_code,
    resend_code,
    try_account,
)
from django_phone_otp.flow.accounts import load_account
from django_phone_otp.flow.privacy import erase
from django_phone_otp.flow.queue import deliver_pending, load_queue
from django_phone_otp.flow.request import send_through
from django_phone_otp.flow.sweep import QUEUE_AGE, SWEEP_AGE, sweep_deliveries, sweep_queue
from django_phone_otp.flow.transactions import refuse_transaction
from django_phone_otp.models import (
    DeliveryAttempt,
    PendingDelivery,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)
from django_phone_otp.providers import local
from django_phone_otp.providers.base import Started, StartRequest
from tests import fakes, fakes_queue, steps
from tests.conftest import NOW, PHONE
from tests.fakes_queue import keys, work
from tests.test_statements import measured

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

OTHER = "+79244501004"
SECOND = timedelta(seconds=1)
LATE = NOW + timedelta(hours=1)


class Unset(fakes.Fake):
    """Finds out only when it is asked that its options cannot be right."""

    def start(self, request: StartRequest) -> Started:
        raise ImproperlyConfigured("the option 'sender' is missing")


class WorkerDied(BaseException):
    """What no `except Exception` stops, as nothing stops SIGKILL."""


class Deadly(fakes.Fake):
    """Kills who asks it."""

    def start(self, request: StartRequest) -> Started:
        super().start(request)
        raise WorkerDied


@pytest.fixture(autouse=True)
def _queued(phone_otp):
    keys.clear()
    phone_otp(DISPATCH=fakes_queue.PATH)


@pytest.fixture
def ask(post):
    """Ask for a code, which waits then; gives the challenge's identifier."""

    def send(phone: str = PHONE, **body: Any) -> str:
        response = post("request", phone=phone, **body)
        assert (response.status_code, response.json()["state"]) == (201, "sending")
        return str(response.json()["challenge"])

    return send


@pytest.fixture
def look(api):
    """Look at a challenge."""
    return lambda challenge: api.get(f"/api/phone/challenges/{challenge}/").json()


@pytest.fixture
def wait_for_resend(clock):
    return lambda: clock.shift(30)


def outcomes() -> list[tuple[str, str]]:
    """Give outcome and details of all attempts, the oldest first."""
    return list(DeliveryAttempt.objects.order_by("pk").values_list("outcome", "detail"))


class TestRequest:
    """The request stores what a worker has to know, and sends nothing."""

    def test_is_answered_at_once(self, post):
        response = post("request", phone=PHONE)
        assert response.status_code == 201
        body = response.json()
        assert len(body.pop("challenge")) == 32
        assert body == {
            "phone": "+7•••••••003",
            "channel": "sms",
            "state": "sending",
            "code_length": 6,
            "expires_in": 300,
            "resend_in": 30,
            "hint": "Enter the code from the text message that we sent you.",
        }

    def test_sends_nothing(self, ask):
        ask()
        assert (local.outbox, outcomes()) == ([], [])

    def test_puts_the_key_of_the_delivery_in_and_nothing_else(self, ask):
        ask()
        assert keys == [PendingDelivery.objects.get().pk]

    def test_stores_neither_code_nor_phone(self, ask):
        ask()
        row = PendingDelivery.objects.values().get()
        assert row == {
            "id": keys[0],
            "challenge_id": PhoneChallenge.objects.get().pk,
            "route": ["memory"],
            "language": "en",
            "withheld": False,
            "pretended": "",
            "queued_at": NOW,
            "claimed_at": None,
        }
        assert PhoneChallenge.objects.get().code_digest == ""

    def test_is_committed_when_the_key_is_put_in(self, ask, phone_otp):
        # The worker may be faster than the request.
        phone_otp(DISPATCH=fakes_queue.HASTY)
        ask()
        assert len(local.outbox) == 1

    @pytest.mark.parametrize(
        ("keys_of_phone_otp", "status"),
        [
            ({"ALLOWED_REGIONS": ["BY"]}, 400),
            ({"CAPTCHA": {"BACKEND": "tests.fakes.FakeCaptcha"}}, 403),
        ],
    )
    def test_that_is_refused_leaves_nothing_to_a_worker(
        self, post, phone_otp, keys_of_phone_otp, status
    ):
        phone_otp(**keys_of_phone_otp)
        assert post("request", phone=PHONE).status_code == status
        assert (keys, PendingDelivery.objects.count()) == ([], 0)

    def test_that_a_guard_blocks_leaves_nothing_to_a_worker(self, post, phone_otp):
        phone_otp(GUARDS={"region_traffic": {"MODE": "block", "FREE": 1}})
        post("request", phone=PHONE)
        assert post("request", phone=OTHER).status_code == 429
        assert (len(keys), PendingDelivery.objects.count()) == (1, 1)

    def test_for_a_channel_that_nobody_offers_is_refused_at_once(self):
        with pytest.raises(ChannelNotOffered):
            request_code(PHONE, channel="telegram")
        assert keys == []

    def test_that_is_repeated_gets_the_same_challenge_and_one_key(self, api):
        def send() -> Any:
            body, headers = {"phone": PHONE}, {"Idempotency-Key": "a-key"}
            return api.post("/api/phone/request/", body, format="json", headers=headers)

        first, second = send(), send()
        assert (second.status_code, second.json()) == (201, first.json())
        assert len(keys) == 1
        work()
        assert send().json()["state"] == "sent"
        assert len(local.outbox) == 1


class TestBudgets:
    """They are taken when a message is admitted, though nothing has gone out yet."""

    def test_the_wait_of_the_phone(self, post, ask):
        ask()
        response = post("request", phone=PHONE)
        assert (response.status_code, response.json()["code"]) == (429, "resend_too_soon")
        assert len(keys) == 1

    def test_the_messages_of_the_phone(self, post, ask, phone_otp, clock):
        phone_otp(LIMITS={"send_phone": "1/h"})
        ask()
        clock.shift(60)
        assert post("request", phone=PHONE).json()["code"] == "too_many_requests"

    def test_the_messages_of_the_region(self, post, ask, phone_otp):
        phone_otp(LIMITS={"send_region": "1/h"})
        ask()
        assert post("request", phone=OTHER).json()["code"] == "too_many_requests"

    def test_a_message_that_the_queue_did_not_take_stays_counted(self, post, phone_otp, clock):
        phone_otp(DISPATCH=fakes_queue.BROKEN, LIMITS={"send_phone": "1/h"})
        post("request", phone=PHONE)
        clock.shift(60)
        assert post("request", phone=PHONE).json()["code"] == "too_many_requests"

    def test_those_of_an_account_are_taken_by_the_worker(self, ask, look, phone_otp):
        phone_otp(PROVIDERS=fakes.accounts(texts={"DAILY_LIMIT": 1}))
        first, second = ask(), ask(OTHER)
        assert work() == [True, True]
        assert (look(first)["state"], look(second)["state"]) == ("sent", "failed")
        assert [outcome for outcome, _detail in outcomes()] == ["sent", "over_budget"]


class TestDelivery:
    """A worker does what the request would have done."""

    def test_its_code_logs_in(self, ask, look, post):
        challenge = ask()
        assert work() == [True]
        assert look(challenge)["state"] == "sent"
        response = post("confirm", challenge=challenge, code=local.outbox[0].code)
        assert (response.status_code, response.json()["user"]["created"]) == (200, True)

    def test_leaves_no_row(self, ask):
        ask()
        work()
        assert not PendingDelivery.objects.exists()

    def test_gives_the_code_its_whole_time(self, ask, look, clock):
        challenge = ask()
        clock.shift(100)
        assert look(challenge)["expires_in"] == 200
        work()
        assert look(challenge)["expires_in"] == 300

    def test_a_key_that_is_handed_out_again_sends_nothing(self, ask):
        ask()
        keys.extend(keys * 2)
        assert work() == [True, False, False]
        assert len(local.outbox) == 1

    @pytest.mark.parametrize("key", [0, 123_456_789])
    def test_a_key_that_never_was_sends_nothing(self, key):
        assert deliver_pending(key) is False

    def test_goes_along_the_route(self, ask, look, phone_otp):
        phone_otp(
            PROVIDERS=fakes.providers(
                calls={"kind": "FakeCall", "error": "RecipientUnreachable"}, texts={}
            )
        )
        challenge = ask()
        assert look(challenge)["channel"] == "flash_call"
        work()
        shown = look(challenge)
        assert (shown["state"], shown["channel"], shown["code_length"]) == ("sent", "sms", 6)
        assert [outcome for outcome, _detail in outcomes()] == ["unreachable", "sent"]

    def test_that_fails_is_told(self, ask, look, post, phone_otp, wait_for_resend):
        phone_otp(PROVIDERS=fakes.providers(texts={"error": "ProviderUnavailable"}))
        challenge = ask()
        assert work() == [True]
        assert look(challenge)["state"] == "failed"
        phone_otp(PROVIDERS=fakes.providers(texts={}))
        wait_for_resend()
        assert post("resend", challenge=challenge).json()["state"] == "sending"
        assert look(challenge)["state"] == "sending"
        work()
        assert look(challenge)["state"] == "sent"

    def test_that_is_uncertain_can_be_answered(self, ask, look, post, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(texts={"error": "DeliveryUncertain"}))
        challenge = ask()
        work()
        assert look(challenge)["state"] == "sending"
        code = fakes.asked[0][1].code
        assert post("confirm", challenge=challenge, code=code).status_code == 200

    def test_takes_the_accounts_as_they_are_now(self, ask, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(one={}, two={}), ROUTES={"*": ["one", "two"]})
        ask()
        phone_otp(PROVIDERS=fakes.providers(zero={}, two={}))
        assert work() == [True]
        assert PhoneChallenge.objects.get().account == "two"

    def test_keeps_to_the_route_that_the_request_chose(self, ask, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(one={}, two={}), ROUTES={"*": ["two", "one"]})
        ask()
        phone_otp(ROUTES={"*": ["one"]})
        work()
        assert PhoneChallenge.objects.get().account == "two"

    def test_for_which_no_account_is_left_has_failed(self, ask, look, phone_otp):
        challenge = ask()
        phone_otp(PROVIDERS=fakes.providers(other={}))
        work()
        assert look(challenge)["state"] == "failed"
        assert outcomes() == [("misconfigured", "no account of the route is in use")]
        assert not PendingDelivery.objects.exists()

    def test_that_the_settings_forbid_is_told_to_operators(self, ask, look, phone_otp, caplog):
        phone_otp(PROVIDERS={"texts": {"BACKEND": "tests.test_queue.Unset"}})
        challenge = ask()
        assert work() == [False]
        assert look(challenge)["state"] == "failed"
        assert outcomes() == [("misconfigured", "the site's settings are wrong")]
        assert [each.getMessage() for each in caplog.records if each.levelname == "ERROR"] == [
            "queue_misconfigured reason=\"the option 'sender' is missing\""
        ]

    def test_speaks_the_language_of_the_request(self, api, settings):
        api.post(
            "/api/phone/request/",
            {"phone": PHONE},
            format="json",
            headers={"Accept-Language": "ru"},
        )
        with translation.override("kk"):
            deliver_pending(keys[0])
            assert translation.get_language() == "kk"
        (message,) = local.outbox
        assert message.text == f"{message.code} — ваш код для testserver."

    def test_asks_the_account_last_that_keeps_failing(self, ask, phone_otp):
        failing = {"kind": "Fake", "error": "ProviderUnavailable"}
        phone_otp(PROVIDERS=fakes.providers(first=failing, second={"kind": "FakeLimited"}))
        for number in range(6):
            ask(f"+7924450200{number}")
        work()
        asked = [key for key, _request in fakes.asked]
        assert asked == ["fake", "fake-limited"] * 5 + ["fake-limited"]

    def test_sends_nothing_to_a_test_phone(self, ask, post, phone_otp):
        phone_otp(TEST_PHONES={PHONE: {"code": "012345", "until": "2026-03-31"}})
        challenge = ask()
        work()
        assert post("confirm", challenge=challenge, code="012345").status_code == 200
        assert (local.outbox, outcomes()) == ([], [("test", "")])


class TestCustodies:
    """Whoever makes and judges the code: it is there when the worker has been."""

    def test_a_code_that_the_provider_tells(self, ask, post, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeCall", "code": "0271"}))
        challenge = ask()
        work()
        assert post("confirm", challenge=challenge, code="0271").status_code == 200

    def test_a_code_that_the_provider_judges(self, ask, post, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(verify={"kind": "FakeRemote", "code": "777777"}))
        challenge = ask()
        work()
        assert post("confirm", challenge=challenge, code="777777").status_code == 200
        assert fakes.judged == [PHONE]

    def test_a_call(self, ask, look, post, phone_otp, clock):
        phone_otp(PROVIDERS=fakes.providers(reverse={"kind": "FakePresence"}))
        challenge = ask()
        shown = look(challenge)
        assert (shown["channel"], shown["code_length"], shown["state"]) == (
            "reverse_call",
            0,
            "sending",
        )
        assert "call_to" not in shown
        work()
        assert look(challenge)["call_to"] == "+78005553535"
        fakes.calls_in.add("presence-1")
        clock.shift(2)
        assert post("confirm", challenge=challenge).status_code == 200

    @pytest.mark.parametrize("kind", ["Fake", "FakeCall", "FakeRemote"])
    def test_an_answer_before_there_is_a_code_takes_no_try(self, ask, post, phone_otp, kind):
        phone_otp(PROVIDERS=fakes.providers(only={"kind": kind, "code": "427193"}))
        challenge = ask()
        early = post("confirm", challenge=challenge, code="427193")
        assert (early.status_code, early.json()["code"]) == (503, "unavailable")
        assert PhoneChallenge.objects.get().attempts_left == 5
        assert fakes.judged == []
        work()
        assert post("confirm", challenge=challenge, code="427193").status_code == 200

    def test_a_number_to_call_that_is_not_known_yet_is_promised(self, ask, look, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(reverse={"kind": "FakePresence"}))
        assert look(ask())["hint"] == "In a moment you will see the number to call."

    def test_another_way_than_a_call_that_is_awaited(
        self, ask, look, post, phone_otp, wait_for_resend
    ):
        phone_otp(PROVIDERS=fakes.providers(reverse={"kind": "FakePresence"}, texts={}))
        challenge = ask()
        work()
        wait_for_resend()
        post("resend", challenge=challenge, channel="sms")
        waiting = look(challenge)
        assert (waiting["state"], waiting["call_to"]) == ("sending", "+78005553535")
        work()
        assert (look(challenge)["state"], look(challenge)["channel"]) == ("sent", "sms")


class TestResend:
    """The code before counts while another one waits."""

    @pytest.fixture
    def challenge(self, ask, wait_for_resend):
        asked = ask()
        work()
        wait_for_resend()
        return asked

    def test_shows_that_a_message_waits(self, challenge, look, post):
        response = post("resend", challenge=challenge)
        assert (response.status_code, response.json()["state"]) == (200, "sending")
        assert look(challenge)["state"] == "sending"
        work()
        assert look(challenge)["state"] == "sent"
        assert len(local.outbox) == 2

    def test_the_code_before_logs_in_meanwhile(self, challenge, post):
        post("resend", challenge=challenge)
        code = local.outbox[0].code
        assert post("confirm", challenge=challenge, code=code).status_code == 200

    def test_nothing_goes_out_to_who_has_logged_in(self, challenge, post):
        post("resend", challenge=challenge)
        post("confirm", challenge=challenge, code=local.outbox[0].code)
        assert work() == [False]
        assert len(local.outbox) == 1
        assert outcomes()[1:] == [("unavailable", "too late: nobody waits for it")]
        assert PhoneChallenge.objects.get().state == State.VERIFIED

    def test_both_codes_count_afterwards(self, challenge, post):
        post("resend", challenge=challenge)
        work()
        code = local.outbox[0].code
        assert post("confirm", challenge=challenge, code=code).status_code == 200

    def test_wrong_codes_go_on_counting(self, challenge, post):
        for _ in range(4):
            post("confirm", challenge=challenge, code="none")
        post("resend", challenge=challenge)
        work()
        assert post("confirm", challenge=challenge, code="none").json()["attempts_left"] == 0

    def test_goes_on_along_the_route(self, ask, post, phone_otp, wait_for_resend):
        phone_otp(PROVIDERS=fakes.providers(one={}, two={}))
        challenge = ask(OTHER)
        work()
        wait_for_resend()
        post("resend", challenge=challenge)
        work()
        assert PhoneChallenge.objects.get().account == "two"

    def test_that_fails_leaves_the_code_before(self, challenge, look, post, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(memory={"error": "ProviderUnavailable"}))
        post("resend", challenge=challenge)
        work()
        assert look(challenge)["state"] == "sent"
        code = local.outbox[0].code
        assert post("confirm", challenge=challenge, code=code).status_code == 200

    def test_of_a_message_that_still_waits_sends_both(self, ask, post, look, wait_for_resend):
        challenge = ask(OTHER)
        wait_for_resend()
        post("resend", challenge=challenge)
        assert work() == [True, True]
        assert (len(local.outbox), look(challenge)["state"]) == (2, "sent")


class TestMeanwhile:
    """Between request and worker the world goes on."""

    def assert_too_late(self) -> None:
        """Nothing goes out, and the row is gone with a word for the operators."""
        assert work() == [False]
        assert (local.outbox, PendingDelivery.objects.count()) == ([], 0)
        assert outcomes() == [("unavailable", "too late: nobody waits for it")]

    def test_the_challenge_is_cancelled(self, ask):
        ask()
        PhoneChallenge.objects.update(state=State.CANCELLED)
        self.assert_too_late()
        assert PhoneChallenge.objects.get().state == State.CANCELLED

    def test_the_challenge_expires(self, ask, clock):
        ask()
        clock.shift(300)
        self.assert_too_late()
        assert PhoneChallenge.objects.get().state == State.FAILED

    def test_a_moment_before_it_expires_the_message_goes_out(self, ask, clock):
        ask()
        clock.shift(299)
        assert work() == [True]

    def test_all_tries_are_used_up(self, ask):
        ask()
        PhoneChallenge.objects.update(attempts_left=0)
        self.assert_too_late()

    def test_the_phone_is_erased(self, ask):
        ask()
        assert erase(PHONE, conf.read())
        assert not PendingDelivery.objects.exists()
        assert work() == [False]
        assert (local.outbox, outcomes()) == ([], [])

    def test_the_challenge_is_purged(self, ask, clock):
        ask()
        clock.shift(timedelta(days=31))
        call_command("phone_otp_purge")
        assert (PhoneChallenge.objects.count(), PendingDelivery.objects.count()) == (0, 0)
        assert work() == [False]
        assert local.outbox == []

    def test_messages_are_sent_by_requests_again(self, ask, look, phone_otp):
        challenge = ask()
        phone_otp(DISPATCH="inline")
        assert look(challenge)["state"] == "sending"
        assert work() == [True]
        assert look(challenge)["state"] == "sent"

    def test_the_challenge_is_cancelled_while_the_provider_is_busy(self, ask, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(slow={"kind": "FakeSlow"}))
        ask()
        fakes.meanwhile.append(lambda: PhoneChallenge.objects.update(state=State.CANCELLED))
        assert work() == [True]
        assert PhoneChallenge.objects.get().state == State.CANCELLED
        assert (outcomes(), PendingDelivery.objects.count()) == ([("sent", "")], 0)

    def test_the_sweep_gives_the_worker_up_that_then_comes_back(self, ask, look, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(slow={"kind": "FakeSlow"}))
        challenge = ask()
        fakes.meanwhile.append(lambda: sweep_deliveries(NOW + SWEEP_AGE + SECOND))
        work()
        assert [outcome for outcome, _detail in outcomes()] == ["uncertain", "sent"]
        assert look(challenge)["state"] == "sent"

    def test_another_worker_is_handed_the_key_while_the_provider_is_busy(self, ask, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(slow={"kind": "FakeSlow"}))
        ask()
        said: list[bool] = []
        (key,) = keys
        fakes.meanwhile.append(lambda: said.append(deliver_pending(key)))
        assert work() == [True]
        assert (said, len(fakes.asked)) == ([False], 1)


class TestBrokenQueue:
    """What cannot be handed over is told at once, and never goes out."""

    @pytest.fixture(autouse=True)
    def _broken(self, _queued, phone_otp):
        phone_otp(DISPATCH=fakes_queue.BROKEN)

    def test_the_request_is_told(self, post):
        response = post("request", phone=PHONE)
        challenge = PhoneChallenge.objects.get()
        assert response.status_code == 503
        assert response.json() == {
            "detail": "The code could not be delivered. Try again later.",
            "code": "delivery_failed",
            "challenge": challenge.public_id,
            "resend_in": 30,
        }
        assert challenge.state == State.FAILED
        assert outcomes() == [("unavailable", "the queue is out of reach")]

    def test_the_challenge_that_is_kept_shows_it(self):
        asked = request_code(PHONE)
        assert (asked.refusal, asked.challenge) == (Refusal.DELIVERY_FAILED, None)
        assert asked.kept_challenge
        assert asked.kept_challenge.state == State.FAILED

    def test_nothing_goes_out_later(self, post):
        key_before = PendingDelivery.objects.count()
        post("request", phone=PHONE)
        assert PendingDelivery.objects.count() == key_before
        assert sweep_queue(LATE) == 0
        assert local.outbox == []

    def test_operators_are_told_without_the_words_of_the_queue(self, post, caplog):
        post("request", phone=PHONE)
        logged = [each for each in caplog.records if each.name == "django_phone_otp.flow.queue"]
        assert [(each.levelname, each.getMessage()) for each in logged] == [
            ("ERROR", "queue_unavailable error=ConnectionError")
        ]
        assert "hunter2" not in caplog.text

    def test_a_resend_works_when_it_is_back(self, post, phone_otp, wait_for_resend):
        challenge = post("request", phone=PHONE).json()["challenge"]
        phone_otp(DISPATCH=fakes_queue.PATH)
        wait_for_resend()
        post("resend", challenge=challenge)
        assert work() == [True]
        code = local.outbox[0].code
        assert post("confirm", challenge=challenge, code=code).status_code == 200

    def test_the_code_before_goes_on_counting(self, post, look, phone_otp, wait_for_resend):
        phone_otp(DISPATCH="inline")
        challenge = post("request", phone=PHONE).json()["challenge"]
        phone_otp(DISPATCH=fakes_queue.BROKEN)
        wait_for_resend()
        assert post("resend", challenge=challenge).status_code == 503
        assert look(challenge)["state"] == "sent"
        code = local.outbox[0].code
        assert post("confirm", challenge=challenge, code=code).status_code == 200

    def test_what_a_worker_has_all_the_same_counts(self, post, phone_otp):
        phone_otp(DISPATCH=fakes_queue.HASTY)
        response = post("request", phone=PHONE)
        assert (response.status_code, response.json()["state"]) == (201, "sending")
        assert outcomes() == [("sent", "")]

    def test_what_a_worker_is_at_all_the_same_is_left_to_it(self, post, phone_otp):
        phone_otp(DISPATCH=fakes_queue.BUSY)
        response = post("request", phone=PHONE)
        assert (response.status_code, response.json()["state"]) == (201, "sending")
        assert (outcomes(), PendingDelivery.objects.count()) == ([], 1)


class TestDiscretion:
    """While sign-up is closed a queue tells nobody who has an account either."""

    KNOWN, UNKNOWN = PHONE, OTHER

    @pytest.fixture(autouse=True)
    def _closed(self, _queued, phone_otp, django_user_model):
        phone_otp(SIGNUP=False)
        user = django_user_model.objects.create_user("known")
        UserPhone.objects.create(user=user, phone=self.KNOWN)

    @pytest.fixture
    def walk(self, api, clock):
        """Go through all steps with a phone; give what can be seen from outside."""

        def go(phone: str, *, works: bool) -> list[Any]:
            seen: list[Any] = []
            clock.move_to(NOW)

            def send(path: str, **body: str) -> Any:
                with measured() as cost:
                    response = (
                        api.post(
                            f"/api/phone/{path}/",
                            body,
                            format="json",
                            headers={"Idempotency-Key": phone},
                        )
                        if body
                        else api.get(f"/api/phone/{path}/")
                    )
                told = {
                    name: value
                    for name, value in response.json().items()
                    if name not in ("challenge", "phone")
                }
                seen.append((response.status_code, told, cost.counts))
                return response.json().get("challenge", "")

            def rest() -> None:
                if works:
                    work()

            challenge = send("request", phone=phone)
            send("request", phone=phone)
            look = f"challenges/{challenge}"
            send(look)
            send("confirm", challenge=challenge, code="none")
            rest()
            send(look)
            send("request", phone=phone)
            clock.shift(30)
            send("resend", challenge=challenge)
            send(look)
            rest()
            send(look)
            send("confirm", challenge=challenge, code="none")
            keys.clear()
            return seen

        return go

    @pytest.mark.parametrize("works", [True, False], ids=["worked", "waiting"])
    @pytest.mark.parametrize("queue", [fakes_queue.PATH, fakes_queue.BROKEN])
    def test_every_step_looks_the_same(self, walk, phone_otp, queue, works):
        phone_otp(DISPATCH=queue)
        known, unknown = (walk(each, works=works) for each in (self.KNOWN, self.UNKNOWN))
        assert len(known) == 10
        for step, pair in enumerate(zip(known, unknown, strict=True)):
            assert pair[0] == pair[1], step

    @pytest.mark.parametrize("works", [True, False], ids=["unknown-first", "known-first"])
    def test_s11_how_far_a_worker_is_shows_nowhere(self, walk, works):
        """As if the provider of one of them were slow, or the worker had died."""
        assert walk(self.KNOWN, works=not works) == walk(self.UNKNOWN, works=works)

    def test_s11_a_worker_that_died_shows_nowhere(self, look, post, clock):
        asked = [post("request", phone=each) for each in (self.KNOWN, self.UNKNOWN)]
        challenges = [each.json()["challenge"] for each in asked]
        PendingDelivery.objects.filter(withheld=False).update(claimed_at=NOW)
        work()
        clock.shift(SWEEP_AGE.total_seconds() + 1)
        assert sweep_deliveries(timezone.now()) == 1
        known, unknown = (look(each) for each in challenges)
        assert {**known, "challenge": "", "phone": ""} == {**unknown, "challenge": "", "phone": ""}
        assert DeliveryAttempt.objects.filter(outcome="uncertain").count() == 1

    def test_the_account_is_chosen_by_the_request(self, post, look, phone_otp, clock):
        """Another one's code would have another length than is shown, and other tries."""
        accounts = fakes.accounts(long={"PHONE_DAILY_LIMIT": 1}, short={"kind": "FakeCall"})
        phone_otp(PROVIDERS=accounts, RESEND_WAITS=[0])
        post("request", phone=self.KNOWN)
        shown = post("request", phone=self.KNOWN).json()
        work()
        assert shown["code_length"] == 4
        challenge = PhoneChallenge.objects.get(public_id=shown["challenge"])
        assert (challenge.attempts_left, challenge.account) == (3, "short")

    def test_where_no_account_has_room_nothing_goes_out(self, post, phone_otp):
        accounts = fakes.accounts(only={"PHONE_DAILY_LIMIT": 1})
        phone_otp(PROVIDERS=accounts, RESEND_WAITS=[0])
        for _ in range(2):
            post("request", phone=self.KNOWN)
        work()
        assert sorted(outcomes()) == [
            ("over_budget", "no account of the route has room"),
            ("sent", ""),
        ]

    @pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in-order", "the-second-first"])
    def test_of_two_messages_on_their_way_both_codes_count(self, post, phone_otp, order):
        phone_otp(RESEND_WAITS=[0])
        challenge = post("request", phone=self.KNOWN).json()["challenge"]
        post("resend", challenge=challenge)
        waiting = list(keys)
        for each in order:
            assert deliver_pending(waiting[each])
        codes = [each.code for each in local.outbox]
        found = PhoneChallenge.objects.get()
        bound_to, digests = found.bound_to, found.valid_digests(NOW)
        assert [matches_any(code, digests, bound_to=bound_to) for code in codes] == [True, True]

    def test_a_queue_out_of_reach_leaves_it_failed(self, post, look, phone_otp):
        phone_otp(DISPATCH=fakes_queue.BROKEN)
        for phone in (self.KNOWN, self.UNKNOWN):
            refused = post("request", phone=phone).json()
            assert (refused["code"], look(refused["challenge"])["state"]) == (
                "delivery_failed",
                "failed",
            )

    def test_the_code_that_a_worker_sends_logs_in(self, post, look):
        challenge = post("request", phone=self.KNOWN).json()["challenge"]
        before = look(challenge)
        assert work() == [True]
        assert look(challenge) == before
        assert post("confirm", challenge=challenge, code=local.outbox[-1].code).status_code == 200

    @pytest.mark.parametrize("error", ["ProviderUnavailable", "DeliveryUncertain", "a mistake"])
    def test_a_provider_in_trouble_tells_nothing(self, walk, phone_otp, error):
        phone_otp(PROVIDERS=fakes.providers(texts={"error": error}))
        assert walk(self.KNOWN, works=True) == walk(self.UNKNOWN, works=True)

    def test_settings_that_are_wrong_tell_nothing(self, walk, phone_otp):
        phone_otp(PROVIDERS={"texts": {"BACKEND": "tests.test_queue.Unset"}})
        assert walk(self.KNOWN, works=True) == walk(self.UNKNOWN, works=True)

    @pytest.mark.parametrize("change", [{"PROVIDERS": fakes.providers(other={})}, {}])
    def test_what_is_closed_tells_nothing(self, post, look, phone_otp, clock, change):
        asked = [
            post("request", phone=phone).json()["challenge"] for phone in (self.KNOWN, self.UNKNOWN)
        ]
        phone_otp(**change)
        clock.shift(0 if change else 300)
        work()
        known, unknown = ({**look(each), "challenge": "", "phone": ""} for each in asked)
        assert known == unknown

    def test_a_message_that_waits_is_shown_as_one_that_went_out(self, post, look):
        for phone in (self.KNOWN, self.UNKNOWN):
            body = post("request", phone=phone).json()
            assert body["state"] == "sent"
            assert look(body["challenge"])["state"] == "sent"
        assert local.outbox == []

    def test_the_worker_sends_to_the_known_phone_alone(self, post):
        for phone in (self.UNKNOWN, self.KNOWN):
            post("request", phone=phone)
        assert work() == [True, True]
        assert [each.phone for each in local.outbox] == [self.KNOWN]
        assert [outcome for outcome, _detail in outcomes()] == ["withheld", "sent"]

    def test_operators_see_what_was_withheld_and_never_sent(self, post, phone_otp):
        phone_otp(DISPATCH=fakes_queue.BROKEN)
        post("request", phone=self.UNKNOWN)
        assert outcomes() == [("withheld", "the queue is out of reach")]

    def test_who_has_an_account_is_found_out_by_the_request(self, post, django_user_model):
        # A user that is made meanwhile gets no message for a request that was before.
        post("request", phone=self.UNKNOWN)
        user = django_user_model.objects.create_user("late")
        UserPhone.objects.create(user=user, phone=self.UNKNOWN)
        work()
        assert local.outbox == []


class TestOperators:
    """What an operator sends goes out at once: he wants to see what came of it."""

    def test_a_trial(self):
        asked = try_account("memory", PHONE)
        assert asked.challenge
        assert asked.challenge.state == State.SENT
        assert (keys, len(local.outbox), len(asked.attempts)) == ([], 1, 1)

    def test_another_route(self, ask, phone_otp, wait_for_resend):
        challenge = find_challenge(ask())
        work()
        wait_for_resend()
        account, settings = load_account("memory", conf.read()), conf.read()
        assert challenge
        asked = send_through(challenge, account, Client(), settings)
        assert asked.challenge
        assert asked.challenge.state == State.SENT
        assert (keys, len(local.outbox), PendingDelivery.objects.count()) == ([], 2, 0)


class TestSignals:
    """`code_requested` is sent by the request, `code_sent` and `delivery_failed` by the worker."""

    @pytest.fixture
    def heard(self):
        names = ("code_requested", "code_sent", "delivery_failed")
        found: list[tuple[str, str]] = []
        listeners = {
            name: lambda challenge, _name=name, **_kwargs: found.append((_name, challenge.state))
            for name in names
        }
        for name, listener in listeners.items():
            getattr(signals, name).connect(listener)
        yield found
        for name, listener in listeners.items():
            getattr(signals, name).disconnect(listener)

    def test_of_a_message_that_goes_out(self, ask, heard, django_capture_on_commit_callbacks):
        ask()
        assert heard == [("code_requested", "sending")]
        with django_capture_on_commit_callbacks(execute=True):
            work()
        assert heard[1:] == [("code_sent", "sent")]

    def test_of_one_that_does_not(self, ask, heard, phone_otp, django_capture_on_commit_callbacks):
        phone_otp(PROVIDERS=fakes.providers(texts={"error": "ProviderUnavailable"}))
        ask()
        with django_capture_on_commit_callbacks(execute=True):
            work()
        assert heard == [("code_requested", "sending"), ("delivery_failed", "failed")]


class TestSweep:
    """What the queue has lost, and what a worker has left behind."""

    @pytest.fixture
    def deadly(self, phone_otp):
        phone_otp(PROVIDERS={"deadly": {"BACKEND": "tests.test_queue.Deadly"}})

    def test_what_the_queue_lost_is_put_in_again(self, ask):
        ask()
        (lost,) = keys
        keys.clear()
        assert sweep_queue(NOW + QUEUE_AGE + SECOND) == 1
        assert keys == [lost]
        assert work() == [True]

    def test_what_is_younger_than_a_minute_is_left_to_the_queue(self, ask):
        ask()
        assert sweep_queue(NOW + QUEUE_AGE) == 0
        assert len(keys) == 1

    def test_what_was_only_late_goes_out_once(self, ask):
        ask()
        sweep_queue(NOW + QUEUE_AGE + SECOND)
        assert work() == [True, False]
        assert len(local.outbox) == 1

    def test_what_is_too_late_for_anybody_is_closed(self, ask, look, clock):
        ask()
        assert sweep_queue(NOW + timedelta(seconds=300)) == 0
        assert outcomes() == [("unavailable", "no worker took it in time")]
        assert work() == [False]

    def test_what_no_worker_takes_any_more_is_closed(self, ask, look, phone_otp):
        challenge = ask()
        phone_otp(DISPATCH="inline")
        assert sweep_queue(NOW + QUEUE_AGE + SECOND) == 0
        assert look(challenge)["state"] == "failed"
        assert work() == [False]
        assert local.outbox == []

    def test_while_the_queue_is_out_of_reach_it_goes_on_waiting(self, ask, look, phone_otp):
        challenge = ask()
        phone_otp(DISPATCH=fakes_queue.BROKEN)
        assert sweep_queue(NOW + QUEUE_AGE + SECOND) == 0
        assert look(challenge)["state"] == "sending"
        phone_otp(DISPATCH=fakes_queue.PATH)
        keys.clear()
        assert sweep_queue(NOW + 2 * (QUEUE_AGE + SECOND)) == 1
        assert work() == [True]

    def test_what_was_put_in_again_a_moment_ago_is_left_alone(self, ask):
        ask()
        later = NOW + QUEUE_AGE + SECOND
        assert [sweep_queue(later), sweep_queue(later + SECOND)] == [1, 0]

    def test_however_many_there_are(self, ask):
        ask()
        first = PendingDelivery.objects.get()
        made = PendingDelivery.objects.bulk_create(
            PendingDelivery(challenge=first.challenge, route=["memory"], language="en")
            for _ in range(501)
        )
        keys.clear()
        assert sweep_queue(NOW + QUEUE_AGE + SECOND) == 502
        assert len(keys) == len(set(keys)) == 502 == len(made) + 1

    def test_a_delivery_whose_worker_died_is_uncertain(self, ask, look, deadly):
        challenge = ask()
        with pytest.raises(WorkerDied):
            work()
        assert PendingDelivery.objects.get().claimed_at == NOW
        assert sweep_deliveries(NOW + SWEEP_AGE) == 0
        assert sweep_deliveries(NOW + SWEEP_AGE + SECOND) == 1
        assert look(challenge)["state"] == "failed"
        assert outcomes() == [("uncertain", "the process that was sending it has ended")]
        assert DeliveryAttempt.objects.get().account == "deadly"

    def test_it_is_not_put_in_again(self, ask, deadly):
        ask()
        with pytest.raises(WorkerDied):
            work()
        assert sweep_queue(NOW + QUEUE_AGE + SECOND) == 0
        assert (keys, len(fakes.asked)) == ([], 1)

    def test_its_age_is_that_of_the_claim(self, ask, deadly, clock):
        ask()
        clock.shift(100)
        with pytest.raises(WorkerDied):
            work()
        assert sweep_deliveries(NOW + SWEEP_AGE + SECOND) == 0

    def test_a_message_that_waits_is_no_dead_delivery(self, ask, look):
        challenge = ask()
        assert sweep_deliveries(LATE) == 0
        assert look(challenge)["state"] == "sending"
        assert work() == [True]

    def test_a_resend_whose_worker_died_leaves_the_code_before(
        self, ask, look, post, phone_otp, wait_for_resend, clock
    ):
        challenge = ask()
        work()
        wait_for_resend()
        phone_otp(PROVIDERS={"memory": {"BACKEND": "tests.test_queue.Deadly"}})
        post("resend", challenge=challenge)
        with pytest.raises(WorkerDied):
            work()
        assert look(challenge)["state"] == "sending"
        clock.shift(SWEEP_AGE + SECOND)
        assert sweep_deliveries(timezone.now()) == 1
        assert look(challenge)["state"] == "sent"
        code = local.outbox[0].code
        assert post("confirm", challenge=challenge, code=code).status_code == 200

    def test_the_command_says_what_it_put_in(self, ask, clock, capsys):
        ask()
        clock.shift(61)
        call_command("phone_otp_sweep")
        assert capsys.readouterr().out == (
            "0 deliveries closed.\n1 delivery put into the queue again.\n"
        )

    def test_the_purge_sweeps_too(self, ask, clock):
        ask()
        keys.clear()
        clock.shift(61)
        call_command("phone_otp_purge")
        assert len(keys) == 1


@pytest.mark.django_db(transaction=True)
class TestCosts:
    """Statements, and transactions that write, as in `test_statements.py`."""

    @pytest.fixture(autouse=True)
    def _known_phone(self):
        PhoneLedger.objects.create(phone=PHONE)

    def test_a_request(self, post):
        with measured() as cost:
            assert post("request", phone=PHONE).status_code == 201
        assert cost.counts == (5, 1)

    def test_a_delivery(self, ask):
        ask()
        with measured() as cost:
            work()
        assert cost.counts == (6, 2)

    def test_a_look_at_a_first_message_that_waits_asks_nothing_more(self, ask, api):
        challenge = ask()
        with measured() as cost:
            api.get(f"/api/phone/challenges/{challenge}/")
        assert cost.counts == (1, 0)

    def test_a_look_at_a_message_that_went_out(self, ask, api):
        challenge = ask()
        work()
        with measured() as cost:
            api.get(f"/api/phone/challenges/{challenge}/")
        assert cost.counts == (2, 0)


def test_without_a_queue_there_is_none(phone_otp):
    phone_otp(DISPATCH="inline")
    assert load_queue(conf.read()) is None


def test_a_queue_of_the_sites_own_is_named_by_its_path():
    assert isinstance(load_queue(conf.read()), fakes_queue.ListQueue)


@pytest.mark.parametrize("name", ["pigeon", "tests.fakes.Fake", "tests.fakes_queue.Pigeon"])
def test_what_is_no_queue_is_refused_before_anything_is_written(phone_otp, name):
    phone_otp(DISPATCH=name)
    with pytest.raises(ImproperlyConfigured, match="DISPATCH"):
        request_code(PHONE)
    assert not PhoneChallenge.objects.exists()


@pytest.mark.django_db(transaction=True)
class TestTransactions:
    """What only shows where transactions are real."""

    def test_of_many_workers_with_one_key_one_sends(self, ask):
        ask()
        start, said = threading.Barrier(8), []

        def deliver() -> None:
            start.wait(10)
            try:
                said.append(deliver_pending(keys[0]))
            finally:
                connections.close_all()

        threads = [threading.Thread(target=deliver) for _ in range(8)]
        for each in threads:
            each.start()
        for each in threads:
            each.join(60)
        assert sorted(said) == [False] * 7 + [True]
        assert len(local.outbox) == 1

    def test_a_worker_in_a_transaction_sends_nothing(self, ask):
        ask()
        with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
            deliver_pending(keys[0])
        assert local.outbox == []
        assert work() == [True]

    def test_where_there_is_none_the_database_is_asked_nothing(self):
        with CaptureQueriesContext(connection) as queries:
            refuse_transaction("default")
        assert len(queries) == 0

    def test_a_delivery_that_cannot_be_read_stays_for_others(self, ask, monkeypatch):
        ask()

        def fail(*_arguments: Any) -> None:
            raise OperationalError("no such column")

        with monkeypatch.context() as patch:
            patch.setattr(PhoneChallenge, "read_device", fail)
            with pytest.raises(OperationalError):
                deliver_pending(keys[0])
        assert PendingDelivery.objects.get().claimed_at is None
        assert work() == [True]

    def test_a_request_in_a_transaction_puts_nothing_in(self):
        with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
            request_code(PHONE)
        assert keys == []

    def test_a_phone_that_is_erased_while_the_provider_is_busy(self, ask, phone_otp):
        phone_otp(PROVIDERS=fakes.providers(slow={"kind": "FakeSlow"}))
        ask()
        fakes.meanwhile.append(lambda: erase(PHONE, conf.read()))
        assert work() == [True]
        assert (PhoneChallenge.objects.count(), outcomes()) == (0, [])

    def test_an_account_that_is_removed_meanwhile(self, ask, look, phone_otp):
        phone_otp(PROVIDERS={})
        row = fakes.store_account("texts")
        challenge = ask()
        row.delete()
        fakes.store_account("others")
        work()
        assert look(challenge)["state"] == "failed"
        assert fakes.asked == []

    def test_a_database_that_fails_when_the_worker_writes_leaves_it_to_the_sweep(
        self, ask, look, clock
    ):
        challenge = ask()

        def fail(execute: Any, sql: str, *rest: Any) -> Any:
            if sql.startswith("INSERT"):
                raise ConnectionError("the database is gone")
            return execute(sql, *rest)

        with connection.execute_wrapper(fail), pytest.raises(ConnectionError):
            work()
        assert len(local.outbox) == 1
        assert look(challenge)["state"] == "sending"
        clock.shift(SWEEP_AGE + SECOND)
        sweep_deliveries(timezone.now())
        assert look(challenge)["state"] == "failed"
        assert [outcome for outcome, _detail in outcomes()] == ["uncertain"]

    def test_no_row_and_no_log_has_the_code(self, ask, caplog):
        caplog.set_level("DEBUG")
        ask()
        before = str([*PendingDelivery.objects.values(), *PhoneChallenge.objects.values()])
        work()
        after = str([*PhoneChallenge.objects.values(), *DeliveryAttempt.objects.values()])
        code = local.outbox[0].code
        assert PHONE not in str(PendingDelivery.objects.values())
        assert code not in before + after
        assert code not in "".join(
            each.getMessage() for each in caplog.records if each.name.startswith("django_phone_otp")
        )

    def test_the_python_api_tells_what_waits(self, clock):
        challenge = steps.ask()
        assert (challenge.state, len(keys)) == (State.SENDING, 1)
        work()
        clock.shift(30)
        again = resend_code(challenge.public_id).challenge
        assert again
        assert (again.state, len(keys)) == (State.SENDING, 1)
        assert steps.answer(challenge).state == State.VERIFIED
