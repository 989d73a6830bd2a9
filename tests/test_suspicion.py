"""Captcha `WHEN: "suspicious"`: who is asked for one, and who is not."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from rest_framework.test import APIClient

from django_phone_otp import devices
from django_phone_otp.captcha import Captcha
from django_phone_otp.captcha.siteverify import HCaptcha
from django_phone_otp.models import PhoneChallenge, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from django_phone_otp.transport import WireReply, WireRequest
from tests.broken_cache import BrokenCache
from tests.conftest import NOW, PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

FAKE = {"BACKEND": "tests.fakes.FakeCaptcha", "WHEN": "suspicious"}
OTHER = "+79244501004"
HOME, ELSEWHERE = "203.0.113.7", "198.51.100.1"
SECRET = "0xS3cr3t"


@pytest.fixture(autouse=True)
def _suspicious(phone_otp):
    phone_otp(CAPTCHA=FAKE)


@pytest.fixture
def ask(api) -> Callable[..., str]:
    """Ask for a code, and give the word of the refusal, or "sent"."""

    def send(phone: str = PHONE, ip: str = HOME, **body: Any) -> str:
        body = {"phone": phone, **body}
        response = api.post("/api/phone/request/", body, format="json", REMOTE_ADDR=ip)
        return str(response.json().get("code", "sent"))

    return send


@pytest.fixture
def confirm(api) -> Callable[..., str]:
    """Answer the newest challenge of a phone, and give the word of the refusal, or "in"."""

    def send(code: str = "", phone: str = PHONE, ip: str = HOME) -> str:
        challenge = PhoneChallenge.objects.filter(phone=phone).latest("pk").public_id
        right = [each.code for each in local.outbox if each.phone == phone][-1]
        body = {"challenge": challenge, "code": code or right}
        response = api.post("/api/phone/confirm/", body, format="json", REMOTE_ADDR=ip)
        return str(response.json().get("code", "in"))

    return send


@pytest.fixture
def suspect(clock, ask) -> None:
    """A phone that was asked for twice in vain."""
    ask()
    clock.shift(30)
    ask()
    clock.shift(60)


# The phone


def test_the_first_request_needs_no_captcha(ask):
    assert ask() == "sent"


def test_nor_does_the_second(ask, clock):
    ask()
    clock.shift(30)
    assert ask() == "sent"


@pytest.mark.usefixtures("suspect")
@pytest.mark.parametrize(
    ("token", "word"),
    [("", "captcha_required"), ("robot", "captcha_failed"), ("human", "sent")],
)
def test_after_two_messages_in_vain_a_captcha_is_asked_for(ask, token, word):
    assert ask(captcha_token=token) == word
    assert len(local.outbox) == 2 + (word == "sent")


@pytest.mark.usefixtures("suspect")
def test_it_is_asked_for_from_whatever_address(ask):
    assert ask(ip=ELSEWHERE) == "captcha_required"


@pytest.mark.usefixtures("suspect")
def test_other_phones_are_not_suspected(ask):
    assert ask(OTHER) == "sent"


@pytest.mark.usefixtures("suspect")
def test_however_the_phone_is_typed_it_is_the_same(ask):
    assert ask("8 (924) 450-10-03") == "captcha_required"


@pytest.mark.usefixtures("suspect")
def test_a_login_clears_the_phone(ask, confirm):
    assert confirm() == "in"
    assert [ask(), ask()] == ["sent", "resend_too_soon"]


@pytest.mark.usefixtures("suspect")
def test_a_day_clears_the_phone(ask, clock):
    clock.shift(86_400 - 61)
    assert ask() == "captcha_required"
    clock.shift(1)
    assert ask() == "sent"


def test_resends_count_as_messages(ask, api, clock):
    ask()
    challenge = PhoneChallenge.objects.get().public_id
    clock.shift(30)
    api.post("/api/phone/resend/", {"challenge": challenge}, format="json")
    clock.shift(60)
    assert ask() == "captcha_required"


def test_a_captcha_cannot_be_got_round_by_resends(ask, api, clock):
    # Who would be asked for one to get a third message by request/ gets none by resend/ either.
    ask()
    challenge = PhoneChallenge.objects.get().public_id
    statuses = []
    for wait in (30, 60, 120):
        clock.shift(wait)
        body = {"challenge": challenge}
        statuses.append(api.post("/api/phone/resend/", body, format="json").status_code)
    assert statuses == [200, 403, 403]


@pytest.mark.parametrize(
    ("count", "word"), [pytest.param(2, "resend_too_soon"), pytest.param(3, "captcha_required")]
)
def test_three_wrong_codes_are_suspicious(ask, confirm, count, word):
    ask()
    for _ in range(count):
        confirm("not it")
    assert ask() == word


def test_wrong_codes_are_forgotten_after_a_day(ask, confirm, clock):
    ask()
    for _ in range(3):
        confirm("not it")
    clock.shift(86_399)
    assert ask() == "captcha_required"
    clock.shift(1)
    assert ask() == "sent"


def test_wrong_codes_are_suspicious_after_a_login_too(ask, confirm):
    # They do not go with it: else an attacker's tries would begin anew with each login.
    ask()
    for _ in range(3):
        confirm("not it")
    confirm()
    assert ask() == "captcha_required"


# The address


def test_from_a_quarter_of_its_requests_on_an_address_is_suspicious(ask):
    phones = [f"+7924450200{last}" for last in range(6)]
    assert [ask(phone) for phone in phones] == ["sent"] * 4 + ["captcha_required"] * 2
    assert ask(PHONE, ELSEWHERE) == "sent"


def test_a_quarter_is_of_the_rate_that_is_set(ask, phone_otp):
    phone_otp(LIMITS={"request_ip": ["12/h", "100/d"]})
    phones = [f"+7924450200{last}" for last in range(4)]
    assert [ask(phone) for phone in phones] == ["sent"] * 2 + ["captcha_required"] * 2


@pytest.mark.parametrize(
    ("count", "word"), [pytest.param(14, "sent"), pytest.param(15, "captcha_required")]
)
def test_from_a_quarter_of_its_answers_on_an_address_is_suspicious(api, ask, count, word):
    body = {"challenge": "x", "code": "1"}
    for _ in range(count):
        api.post("/api/phone/confirm/", body, format="json", REMOTE_ADDR=HOME)
    assert ask() == word


def test_a_network_of_one_customer_is_one_address(ask):
    for last in range(4):
        ask(f"+7924450200{last}", f"2001:db8:0:1::{last}")
    assert ask(PHONE, "2001:db8:0:1:ffff::1") == "captcha_required"
    assert ask(PHONE, "2001:db8:0:2::1") == "sent"


def test_to_look_at_an_address_counts_nothing(ask, phone_otp):
    phone_otp(LIMITS={"confirm_ip": "1/h"})
    assert [ask(f"+7924450200{last}") for last in range(4)] == ["sent"] * 4


def test_with_limits_switched_off_an_address_is_not_suspicious(ask, settings):
    settings.RATELIMIT_ENABLE = False
    assert [ask(f"+7924450200{last}") for last in range(8)] == ["sent"] * 8


# Known devices


@pytest.fixture
def device() -> str:
    return devices.make_device("k" * 22, PHONE)


@pytest.mark.usefixtures("suspect")
def test_s07_a_known_device_is_above_suspicion(ask, device):
    assert ask(device=device) == "sent"


def test_s07_a_known_device_at_a_busy_address_is_above_suspicion(ask, device):
    for last in range(6):
        ask(f"+7924450200{last}")
    assert [ask(), ask(device=device)] == ["captcha_required", "sent"]


@pytest.mark.usefixtures("suspect")
def test_a_device_of_another_phone_is_not(ask):
    other = devices.make_device("k" * 22, OTHER)
    assert ask(device=other) == "captcha_required"


@pytest.mark.usefixtures("suspect")
def test_a_revoked_device_is_not(ask, device):
    PhoneLedger.objects.update(devices_valid_after="2026-03-02T00:00Z")
    assert ask(device=device) == "captcha_required"


# Sign-up closed


@pytest.fixture
def _closed(phone_otp, django_user_model):
    phone_otp(SIGNUP=False)
    UserPhone.objects.create(user=django_user_model.objects.create_user("known"), phone=PHONE)


@pytest.mark.usefixtures("_closed")
def test_s11_suspicion_does_not_tell_who_has_an_account(ask, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    known, unknown = (
        [ask(*each) for _ in range(4)] for each in ((PHONE, HOME), (OTHER, ELSEWHERE))
    )
    assert known == unknown == ["sent", "sent", "captcha_required", "captcha_required"]


# Trouble


@pytest.mark.usefixtures("suspect")
@pytest.mark.parametrize(("on_error", "word"), [("deny", "unavailable"), ("allow", "sent")])
def test_a_silent_captcha_is_what_on_error_says(ask, phone_otp, on_error, word):
    phone_otp(CAPTCHA={**FAKE, "ON_ERROR": on_error})
    assert ask(captcha_token="silence") == word


@pytest.mark.usefixtures("suspect")
def test_on_error_is_no_way_round_the_captcha(ask, phone_otp):
    phone_otp(CAPTCHA={**FAKE, "ON_ERROR": "allow"})
    assert [ask(), ask(captcha_token="robot")] == ["captcha_required", "captcha_failed"]


def test_who_is_not_suspicious_does_not_depend_on_the_captcha(ask):
    assert ask(captcha_token="silence") == "sent"


class CacheThatBreaks(BrokenCache):
    """Loses its server once the request is counted."""

    added_count = 0

    def add(self, *_arguments: Any, **_named: Any) -> bool:
        self.added_count += 1
        if self.added_count > 1:
            raise ConnectionError("connection refused")
        return True


@pytest.mark.parametrize("on_error", ["deny", "allow"])
def test_s15_without_the_cache_nobody_is_above_suspicion(ask, settings, phone_otp, on_error):
    # What the guards would refuse as well is not to be seen here.
    guards = {f"{name}_traffic": {"MODE": "off"} for name in ("region", "address", "prefix")}
    phone_otp(CAPTCHA={**FAKE, "ON_ERROR": on_error}, GUARDS=guards)
    settings.CACHES = {"default": {"BACKEND": "tests.test_suspicion.CacheThatBreaks"}}
    assert ask(captcha_token="human") == "unavailable"
    assert not local.outbox


# A captcha that is set up wrongly


class ForeignCaptcha(Captcha):
    """Is somebody else's, and refuses the keys."""

    def verify(self, token: str, ip: str) -> bool:
        raise ImproperlyConfigured("the keys are refused")


class RefusedHCaptcha(HCaptcha):
    """Is told by the service that the secret is wrong."""

    def __init__(self, options: Any) -> None:
        def send(_request: WireRequest) -> WireReply:
            return WireReply(200, b'{"success": false, "error-codes": ["invalid-input-secret"]}')

        super().__init__(options, send)


WRONG = [
    pytest.param({"BACKEND": "tests.test_suspicion.ForeignCaptcha"}, id="foreign"),
    pytest.param(
        {"BACKEND": "tests.test_suspicion.RefusedHCaptcha", "OPTIONS": {"secret": SECRET}},
        id="refused-secret",
    ),
    pytest.param({"BACKEND": "hcaptcha", "OPTIONS": {"secret": f"{SECRET} "}}, id="no-secret"),
    pytest.param({"BACKEND": "turnstile", "OPTIONS": {"secret": SECRET, "url": "x"}}, id="url"),
    pytest.param({"BACKEND": "yandex", "OPTIONS": {}}, id="without-secret"),
    pytest.param({"BACKEND": "tests.nowhere.Captcha"}, id="class-that-does-not-exist"),
]


@pytest.mark.parametrize("entry", WRONG)
@pytest.mark.parametrize("on_error", ["deny", "allow"])
@pytest.mark.parametrize("when", ["always", "suspicious"])
def test_a_captcha_set_up_wrongly_lets_nobody_through(
    ask, post, phone_otp, caplog, entry, on_error, when
):
    if when == "suspicious":
        PhoneLedger.objects.create(phone=PHONE, ladder_step=2, last_sent_at=NOW)
    phone_otp(CAPTCHA={**entry, "ON_ERROR": on_error, "WHEN": when})
    response = post("request", phone=PHONE, captcha_token="human")
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    (said,) = [each for each in caplog.records if "captcha" in each.getMessage()]
    assert said.levelname == "ERROR"
    assert said.getMessage().startswith("captcha_misconfigured reason=")
    assert not local.outbox


@pytest.mark.parametrize("entry", WRONG)
def test_s13_the_secret_of_a_captcha_is_not_told(post, phone_otp, caplog, entry):
    caplog.set_level("DEBUG")
    phone_otp(CAPTCHA=entry)
    response = post("request", phone=PHONE, captcha_token="human")
    assert SECRET not in caplog.text
    assert SECRET not in response.content.decode()


def test_a_captcha_set_up_wrongly_does_not_harm_who_is_not_asked(ask, phone_otp):
    phone_otp(CAPTCHA={"BACKEND": "tests.test_suspicion.ForeignCaptcha", "WHEN": "suspicious"})
    assert ask() == "sent"


# Always


@pytest.mark.parametrize("when", [{}, {"WHEN": "always"}])
def test_always_is_always(ask, phone_otp, device, when):
    phone_otp(CAPTCHA={"BACKEND": "tests.fakes.FakeCaptcha", **when})
    words = [ask(), ask(captcha_token="robot"), ask(device=device), ask(captcha_token="human")]
    assert words == ["captcha_required", "captcha_failed", "captcha_required", "sent"]


def test_a_link_may_be_asked_for_a_captcha_too(suspect, django_user_model):
    member = APIClient()
    member.force_login(django_user_model.objects.create_user("member"))
    body = {"phone": PHONE, "purpose": "link"}
    response = member.post("/api/phone/request/", body, format="json")
    assert (response.status_code, response.json()["code"]) == (403, "captcha_required")
