"""Requirements of `docs/compliance.md` at this door, where its shape has a say in them."""

import logging
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from django_phone_otp.models import ConfirmAttempt, PhoneChallenge, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE
from tests.lifepos.conftest import right_code, told, wrong_code

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

UNKNOWN = "+79244501004"
OWNER = {"X-LP-Client-Identifier": "owner"}
STRANGER = {"X-LP-Client-Identifier": "stranger"}
WRONG = (422, "InvalidConfirmationCode", "wrong_code")
NOT_SENT = (422, "ConfirmationCodeWasNotSend", "unknown_challenge")


@pytest.fixture
def owner(django_user_model):
    user = django_user_model.objects.create_user("owner")
    UserPhone.objects.create(user=user, phone=PHONE)
    return user


def test_s04_after_five_wrong_codes_the_right_one_is_refused(send, sign_in):
    send(phone=PHONE)
    for _ in range(5):
        assert told(sign_in(phone=PHONE, confirmation_code=wrong_code())) == WRONG
    response = sign_in(phone=PHONE, confirmation_code=right_code())
    assert told(response) == (429, "TrySendCodeLater", "locked")
    assert response["Retry-After"] == "30"
    assert ConfirmAttempt.objects.count() == 5


def test_s06_wrong_codes_of_a_day_are_counted_over_all_challenges(send, sign_in, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    words = []
    for _ in range(3):
        send(phone=PHONE)
        words += [told(sign_in(phone=PHONE, confirmation_code=wrong_code())) for _ in range(4)]
    assert words.count(WRONG) == 10
    assert {each[2] for each in words[10:]} == {"too_many_requests"}


def test_s08_a_stranger_does_not_use_up_the_owners_tries(send, sign_in, clock):
    send(phone=PHONE, headers=OWNER)
    code = right_code()
    for _ in range(6):
        response = sign_in(phone=PHONE, confirmation_code=wrong_code(), headers=STRANGER)
        assert told(response) == NOT_SENT
    assert PhoneChallenge.objects.get().attempts_left == 5
    assert sign_in(phone=PHONE, confirmation_code=code, headers=OWNER).status_code == 200


def test_s08_a_strangers_request_leaves_the_owners_challenge_alone(send, sign_in, clock):
    send(phone=PHONE, headers=OWNER)
    code = right_code()
    clock.shift(30)
    assert send(phone=PHONE, headers=STRANGER).status_code == 204
    for _ in range(5):
        sign_in(phone=PHONE, confirmation_code=wrong_code(), headers=STRANGER)
    assert sign_in(phone=PHONE, confirmation_code=code, headers=OWNER).status_code == 200


@pytest.mark.parametrize("other", [STRANGER, {}, {"X-LP-Client-Identifier": "Owner"}])
def test_s08_the_code_of_one_client_is_none_of_anothers(send, sign_in, other):
    send(phone=PHONE, headers=OWNER)
    response = sign_in(phone=PHONE, confirmation_code=right_code(), headers=other)
    assert told(response) == NOT_SENT


def test_s08_a_request_that_a_guard_blocks_leaves_the_challenge_before_it_alone(
    send, sign_in, clock, phone_otp
):
    send(phone=PHONE)
    code = right_code()
    phone_otp(GUARDS={"address_traffic": {"MODE": "block", "FREE": 1, "WINDOW": 86_400}})
    clock.shift(30)
    stranger = {"REMOTE_ADDR": "203.0.113.7"}
    send(phone=UNKNOWN, environ=stranger)
    assert told(send(phone=PHONE, environ=stranger))[2] == "too_many_requests"
    assert sign_in(phone=PHONE, confirmation_code=code).status_code == 200


def test_a_code_counts_when_the_next_one_could_not_be_sent(send, sign_in, clock, phone_otp):
    send(phone=PHONE)
    code = right_code()
    clock.shift(30)
    phone_otp(PROVIDERS=fakes.providers(only={"error": "ProviderUnavailable"}))
    assert told(send(phone=PHONE))[2] == "delivery_failed"
    assert sign_in(phone=PHONE, confirmation_code=code).status_code == 200


def test_a_call_that_cannot_be_told_hides_no_code(send, sign_in, clock, phone_otp):
    texts = {"BACKEND": "locmem"}
    phone_otp(PROVIDERS={**fakes.providers(calls={"kind": "FakePresence"}), "texts": texts})
    send(phone=PHONE, send_sms=True)
    code = right_code()
    clock.shift(30)
    assert send(phone=PHONE).status_code == 500
    assert sign_in(phone=PHONE, confirmation_code=code).status_code == 200


# s11


@pytest.fixture
def walk(send, sign_in, clock, phone_otp, owner):
    """Go the whole way with a phone while sign-up is closed, and note what can be seen."""
    phone_otp(SIGNUP=False, LIMITS={"request_ip": "1000/h", "confirm_ip": "1000/h"})

    def go(phone: str) -> list[Any]:
        seen = []

        def note(ask: Any, **body: Any) -> None:
            with CaptureQueriesContext(connection) as queries:
                response = ask(phone=phone, **body)
            headers = dict(response.headers)
            seen.append((response.status_code, response.content, headers, len(queries)))
            assert not response.cookies

        note(sign_in, confirmation_code="000000")
        note(send)
        note(send)
        note(sign_in, confirmation_code="000000")
        clock.shift(30)
        note(send, send_sms=True)
        for _ in range(6):
            note(sign_in, confirmation_code="000000")
        clock.shift(301)
        note(sign_in, confirmation_code="000000")
        note(send)
        clock.shift(301)
        note(sign_in, confirmation_code="000000")
        return seen

    return go


ROUTES = {
    "text": {"texts": {}},
    "call": {"calls": {"kind": "FakeCall", "code": "4271"}},
    "call-then-text": {"calls": {"kind": "FakeCall", "code": "4271"}, "texts": {}},
    "call-awaited": {"calls": {"kind": "FakePresence"}, "texts": {}},
    "judge": {"judge": {"kind": "FakeRemote", "code": "777777"}},
    "fails": {"texts": {"error": "ProviderUnavailable"}},
    "no-such-number": {"texts": {"error": "InvalidRecipient"}},
    "limited": {"texts": {"error": "RecipientLimited"}},
    "uncertain": {"texts": {"error": "DeliveryUncertain"}},
    "mistake": {"texts": {"error": "mistake"}},
}


@pytest.mark.parametrize("route", ROUTES.values(), ids=ROUTES)
def test_s11_known_and_unknown_phones_look_the_same(walk, phone_otp, route):
    phone_otp(PROVIDERS=fakes.providers(**route))
    known, unknown = walk(PHONE), walk(UNKNOWN)
    assert len(known) == 14
    for step, (of_known, of_unknown) in enumerate(zip(known, unknown, strict=True)):
        assert of_known == of_unknown, step


@pytest.mark.parametrize("token", [None, "robot", "silence", "human"])
def test_s11_a_captcha_looks_the_same(walk, phone_otp, send, clock, token):
    phone_otp(CAPTCHA={"BACKEND": "tests.fakes.FakeCaptcha"})
    seen = []
    for phone in (PHONE, UNKNOWN):
        with CaptureQueriesContext(connection) as queries:
            response = send(phone=phone, token=token)
        seen.append((response.status_code, response.content, len(queries)))
    assert seen[0] == seen[1]


# s13


def test_s13_no_answer_and_no_line_of_the_log_has_the_code(send, sign_in, caplog):
    caplog.set_level(logging.DEBUG)
    answers = [
        send(phone=PHONE),
        send(phone=PHONE),
        sign_in(phone=PHONE, confirmation_code=f" {right_code()}x"),
        sign_in(phone=UNKNOWN, confirmation_code=right_code()),
        sign_in(phone=PHONE, confirmation_code=right_code()),
    ]
    code = right_code()
    ours = [each.getMessage() for each in caplog.records if each.name != "django.db.backends"]
    assert not [each for each in ours if code in each or PHONE in each]
    assert not [each for each in answers if code in f"{each.content!r} {each.headers}"]


# s14


@pytest.mark.parametrize(
    ("proxies", "expected"), [(0, "127.0.0.1"), (1, "203.0.113.9"), (2, "198.51.100.7")]
)
def test_s14_an_address_cannot_be_chosen(send, phone_otp, proxies, expected):
    phone_otp(TRUSTED_PROXIES=proxies)
    forwarded = {"X-Forwarded-For": "192.0.2.1, 198.51.100.7, 203.0.113.9"}
    send(phone=PHONE, ip="192.0.2.2", headers=forwarded)
    assert PhoneChallenge.objects.get().ip == expected


def test_s14_nobody_becomes_a_trusted_server_by_saying_so(send, phone_otp):
    phone_otp(LIFEPOS={"TRUSTED_CALLERS": ["10.0.0.0/8"]})
    send(phone=PHONE, ip="192.0.2.2", headers={"X-Forwarded-For": "10.1.2.3"})
    assert PhoneChallenge.objects.get().ip == "127.0.0.1"


def test_s14_a_trusted_server_is_known_behind_our_proxies(send, phone_otp):
    phone_otp(LIFEPOS={"TRUSTED_CALLERS": ["10.0.0.0/8"]}, TRUSTED_PROXIES=1)
    send(phone=PHONE, ip="192.0.2.2", headers={"X-Forwarded-For": "10.1.2.3"})
    assert PhoneChallenge.objects.get().ip == "192.0.2.2"


def test_s14_claimed_addresses_share_one_budget(send, phone_otp):
    phone_otp(LIMITS={"request_ip": "3/h"})
    statuses = [
        send(phone=f"+7924450200{number}", ip=f"203.0.113.{number}").status_code
        for number in range(5)
    ]
    assert statuses == [204, 204, 204, 429, 429]


# s16


def test_s16_an_inactive_user_stays_out_and_inactive(send, sign_in, owner):
    owner.is_active = False
    owner.save()
    send(phone=PHONE)
    response = sign_in(phone=PHONE, confirmation_code=right_code())
    assert told(response) == (422, "NotAllowed", "phone_not_allowed")
    owner.refresh_from_db()
    assert (owner.is_active, owner.last_login) == (False, None)
    assert not Token.objects.exists()


def test_s16_there_is_no_session_to_forge(send, sign_in, owner):
    send(phone=PHONE)
    browser = APIClient(enforce_csrf_checks=True)
    browser.force_login(get_user_model().objects.create_user("victim"))
    session = browser.session.session_key
    response = browser.post(
        "/lifepos/auth/sign-in-by-code",
        {"phone": PHONE, "confirmation_code": right_code()},
        format="json",
        headers={"Origin": "https://evil.example"},
    )
    assert (response.status_code, dict(response.cookies)) == (200, {})
    assert browser.session.session_key == session
    assert browser.session["_auth_user_id"] != str(owner.pk)


# s19


@pytest.mark.parametrize("value", [[], {}, None, True, "x" * 5_000, "\0", "\ud800", 10**400])
@pytest.mark.parametrize("field", ["phone", "token", "ip", "captcha_type", "send_sms"])
def test_s19_what_no_client_would_send_is_no_error_of_ours(send, field, value):
    response = send(**{"phone": PHONE, field: value})
    assert response.status_code == 204 or told(response) == (422, "RequestIsNotValid", field)


# s20


def test_s20_headers_forge_no_lines_of_the_log(send, sign_in, caplog):
    caplog.set_level(logging.DEBUG)
    forged = "x\x85\u2028ERROR forged"
    names = ["User-Agent", "Accept-Language", "X-LP-Client-Identifier", "X-LP-Client-Type"]
    for name in names:
        headers = {name: forged}
        send(phone=PHONE, headers=headers)
        sign_in(phone=PHONE, confirmation_code="000000", headers=headers)
    ours = [each.getMessage() for each in caplog.records if each.name != "django.db.backends"]
    assert not [each for each in ours if "forged" in each]
    agents = set(PhoneChallenge.objects.values_list("user_agent", flat=True))
    assert agents == {"x  ERROR forged"}


# s22


def break_down(**_arguments: Any) -> None:
    """Receive a signal, badly."""
    raise RuntimeError("the receiver failed")


@pytest.fixture
def break_at(monkeypatch, api):
    """Have receivers of a signal fail, under ATOMIC_REQUESTS."""
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    api.raise_request_exception = False
    connected = []

    def connect(signal: Any) -> None:
        signal.connect(break_down)
        connected.append(signal)

    yield connect
    for signal in connected:
        signal.disconnect(break_down)


@pytest.mark.django_db(transaction=True)
def test_s22_a_wrong_code_is_counted_when_the_rest_of_the_request_fails(send, sign_in, break_at):
    send(phone=PHONE)
    break_at(user_login_failed)
    response = sign_in(phone=PHONE, confirmation_code=wrong_code())
    assert told(response) == (500, "InternalServerError", "")
    assert PhoneChallenge.objects.get().attempts_left == 4
    assert len(PhoneLedger.objects.get().failures) == ConfirmAttempt.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_s22_a_login_that_fails_leaves_nothing_behind(send, sign_in, break_at):
    send(phone=PHONE)
    break_at(user_logged_in)
    response = sign_in(phone=PHONE, confirmation_code=right_code())
    assert told(response) == (500, "InternalServerError", "")
    stored = PhoneChallenge.objects.get()
    assert (stored.state, stored.spent_at) == ("verified", None)
    assert not get_user_model().objects.exists()
    assert not Token.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_s22_a_whole_login_works_under_atomic_requests(send, sign_in, break_at):
    assert send(phone=PHONE).status_code == 204
    response = sign_in(phone=PHONE, confirmation_code=right_code())
    assert response.json() == {"token": Token.objects.get().key}
    assert len(local.outbox) == 1
