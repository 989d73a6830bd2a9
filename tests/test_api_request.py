"""`request/`: what asking for a code answers, and what it leaves behind."""

import pytest

from django_phone_otp.choices import State
from django_phone_otp.models import PhoneChallenge, PhoneLedger, ProviderAccount
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


def test_answers_with_a_challenge(post):
    response = post("request", phone="8 924 450-10-03")
    challenge = PhoneChallenge.objects.get()
    assert response.status_code == 201
    assert response.json() == {
        "challenge": challenge.public_id,
        "phone": "+7•••••••003",
        "channel": "sms",
        "state": "sent",
        "code_length": 6,
        "expires_in": 300,
        "resend_in": 30,
        "hint": "Enter the code from the text message that we sent you.",
    }


def test_sends_one_message_with_the_code(post):
    post("request", phone=PHONE)
    (message,) = local.outbox
    assert message.phone == PHONE
    assert len(message.code) == 6
    assert message.text == f"{message.code} is your code for testserver."


def test_stores_the_challenge_and_its_delivery(post):
    post("request", phone=PHONE)
    challenge = PhoneChallenge.objects.get()
    delivery = challenge.deliveries.get()
    assert (challenge.phone, challenge.region, challenge.state) == (PHONE, "RU", State.SENT)
    assert (challenge.account, challenge.provider) == ("memory", "locmem")
    assert (delivery.account, delivery.outcome, delivery.detail) == ("memory", "sent", "")


def test_notes_who_asked(api):
    api.post(
        "/api/phone/request/",
        {"phone": PHONE},
        format="json",
        headers={"user-agent": "App\n1.0"},
        REMOTE_ADDR="203.0.113.7",
    )
    challenge = PhoneChallenge.objects.get()
    assert (challenge.ip, challenge.user_agent) == ("203.0.113.7", "App 1.0")


def test_speaks_the_language_of_the_request(api):
    response = api.post(
        "/api/phone/request/", {"phone": PHONE}, format="json", headers={"accept-language": "ru"}
    )
    assert response.json()["hint"] == "Введите код из сообщения, которое мы вам отправили."
    assert local.outbox[0].text == f"{local.outbox[0].code} — ваш код для testserver."


def test_challenges_cannot_be_guessed(post, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    identifiers = {post("request", phone=PHONE).json()["challenge"] for _ in range(3)}
    assert len(identifiers) == 3
    assert min(map(len, identifiers)) == 32  # base64 of 192 random bits


def test_a_number_that_may_not_be_called_is_refused(post):
    response = post("request", phone="+7 809 200-00-00")  # premium rate
    assert (response.status_code, response.json()["code"]) == (400, "phone_not_allowed")
    assert not PhoneChallenge.objects.exists()


@pytest.mark.parametrize("phone", ["+447012345678", "+881612345678"])
def test_dear_numbers_that_are_nobodys_login_are_refused(post, phone):
    assert post("request", phone=phone).json()["code"] == "phone_not_allowed"


def test_a_region_that_is_not_allowed_is_refused(post, phone_otp):
    phone_otp(ALLOWED_REGIONS=["BY"])
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()) == (
        400,
        {"detail": "This phone number cannot be used here.", "code": "phone_not_allowed"},
    )


def test_a_number_that_no_provider_serves_is_refused(post, phone_otp):
    phone_otp(PROVIDERS={"calls": {"BACKEND": "telefon-ip-flash", "OPTIONS": {"token": "t" * 8}}})
    response = post("request", phone="+375291234567")
    assert response.json()["code"] == "phone_not_allowed"


def test_a_channel_that_is_not_offered_is_a_field_error(post):
    response = post("request", phone=PHONE, channel="flash_call")
    assert response.status_code == 400
    assert response.json() == {"channel": ["Codes are not sent this way to this number."]}


def test_the_channel_chooses_the_provider(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(texts={}, calls={"kind": "FakeCall", "code": "0427"}))
    response = post("request", phone=PHONE, channel="flash_call")
    assert (response.json()["channel"], response.json()["code_length"]) == ("flash_call", 4)
    assert [key for key, _request in fakes.asked] == ["fake-call"]


def test_a_second_request_has_to_wait(post, clock):
    post("request", phone=PHONE)
    clock.shift(10)
    response = post("request", phone=PHONE)
    assert (response.status_code, response.headers["Retry-After"]) == (429, "20")
    assert response.json() == {
        "detail": "Wait a moment before you ask for another code.",
        "code": "resend_too_soon",
        "retry_after": 20,
    }
    assert len(local.outbox) == 1


def test_the_waits_grow_and_retry_after_is_true(post, clock, phone_otp):
    phone_otp(LIMITS={"send_phone": "100/d", "request_ip": "1000/h"})
    waits = []
    for _ in range(7):
        assert post("request", phone=PHONE).status_code == 201
        waits.append(post("request", phone=PHONE).json()["retry_after"])
        clock.shift(waits[-1])
    assert waits == [30, 60, 120, 300, 600, 600, 600]


def test_a_phone_gets_five_messages_an_hour(post, clock, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    for _ in range(5):
        assert post("request", phone=PHONE).status_code == 201
    clock.shift(600)
    response = post("request", phone=PHONE)
    assert response.json()["code"] == "too_many_requests"
    assert response.json()["retry_after"] == 3000
    clock.shift(3000)
    assert post("request", phone=PHONE).status_code == 201


def test_one_phone_written_differently_is_one_phone(post):
    assert post("request", phone="8 924 450-10-03").status_code == 201
    for same in ("+7 924 4501003", "＋７９２４４５０１００３", "+7 (924) 450 10 03"):
        assert post("request", phone=same).json()["code"] == "resend_too_soon"


def test_an_address_gets_twenty_requests_an_hour(post, clock):
    for number in range(20):
        assert post("request", phone=f"+792445010{number:02}").status_code == 201
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (429, "too_many_requests")
    clock.shift(response.json()["retry_after"])
    assert post("request", phone=PHONE).status_code == 201


def test_a_cache_out_of_reach_lets_nobody_pass(post, settings):
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert not local.outbox


def test_a_disabled_phone_gets_nothing(post, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    post("request", phone=PHONE)
    PhoneLedger.objects.update(disabled_at="2026-01-01T00:00Z")
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (429, "locked")
    assert len(local.outbox) == 1


def test_rows_stand_beside_settings_and_win_over_them(post, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(first={"error": "ProviderUnavailable"}))
    ProviderAccount.objects.create(alias="first", backend="locmem")
    assert post("request", phone=PHONE).status_code == 201
    assert len(local.outbox) == 1


def test_a_disabled_row_takes_its_setting_along(post, phone_otp):
    phone_otp(PROVIDERS={"a": {"BACKEND": "locmem"}, **fakes.providers(b={})})
    ProviderAccount.objects.create(alias="a", backend="locmem", enabled=False)
    post("request", phone=PHONE)
    assert PhoneChallenge.objects.get().account == "b"


def test_a_broken_row_costs_nobody_a_login(post, caplog):
    account = ProviderAccount(alias="broken", backend="telefon-ip-flash", priority=1)
    account.options = {"tokn": "s3cret-value"}
    account.save()
    assert post("request", phone=PHONE).status_code == 201
    assert "account_broken account=broken" in caplog.text
    assert "s3cret-value" not in caplog.text


def test_a_test_phone_gets_no_message_and_knows_its_code(post, phone_otp):
    phone_otp(TEST_PHONES={PHONE: {"code": "012345", "until": "2999-01-01"}})
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert not local.outbox
    assert post("confirm", challenge=challenge, code="012345").status_code == 200


def test_a_test_phone_past_its_date_is_a_phone_like_any_other(post, phone_otp):
    phone_otp(TEST_PHONES={PHONE: {"code": "012345", "until": "2000-01-01"}})
    challenge = post("request", phone=PHONE).json()["challenge"]
    assert local.outbox[0].code != "012345"
    assert post("confirm", challenge=challenge, code="012345").status_code == 400


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        ("", 403, "captcha_required"),
        ("robot", 403, "captcha_failed"),
        ("silence", 503, "unavailable"),
    ],
)
def test_a_captcha_stands_before_the_message(post, phone_otp, token, status, code):
    phone_otp(CAPTCHA={"BACKEND": "tests.fakes.FakeCaptcha"})
    response = post("request", phone=PHONE, captcha_token=token)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert not local.outbox


def test_an_address_is_counted_before_its_captcha_is_asked_about(post, phone_otp):
    phone_otp(CAPTCHA={"BACKEND": "tests.fakes.FakeCaptcha"}, LIMITS={"request_ip": "1/h"})
    codes = [post("request", phone=PHONE, captcha_token="robot").json()["code"] for _ in range(2)]
    assert codes == ["captcha_failed", "too_many_requests"]


@pytest.mark.parametrize("token", ["human", "silence"])
def test_a_good_captcha_or_a_silent_one_that_may_be_lets_pass(post, phone_otp, token):
    phone_otp(CAPTCHA={"BACKEND": "tests.fakes.FakeCaptcha", "ON_ERROR": "allow"})
    assert post("request", phone=PHONE, captcha_token=token).status_code == 201


def test_no_answer_is_kept_by_a_cache(post):
    assert post("request", phone=PHONE)["Cache-Control"] == "no-store"
    assert post("request", phone=PHONE)["Cache-Control"] == "no-store"
    assert post("request")["Cache-Control"] == "no-store"
