"""`auth/send-code-by-phone`: what is sent, to whom, and what it is refused for."""

import pytest

from django_phone_otp.models import PhoneChallenge, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from tests import fakes, fakes_queue
from tests.conftest import PHONE
from tests.lifepos.conftest import told

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

UNKNOWN = "+79244501004"
YANDEX = {"BACKEND": "yandex", "OPTIONS": {"secret": "s"}}
FAKE_CAPTCHA = {"BACKEND": "tests.fakes.FakeCaptcha"}
CALLS = {"kind": "FakeCall", "code": "0427"}


def test_a_code_goes_out(send):
    send(phone=PHONE)
    assert [(message.phone, len(message.code)) for message in local.outbox] == [(PHONE, 6)]


def test_a_second_code_has_to_wait(send):
    send(phone=PHONE)
    response = send(phone=PHONE)
    assert told(response) == (429, "TrySendCodeLater", "resend_too_soon")
    assert response["Retry-After"] == "30"
    assert len(local.outbox) == 1


def test_after_the_wait_there_is_a_new_challenge(send, clock):
    send(phone=PHONE)
    clock.shift(30)
    assert send(phone=PHONE).status_code == 204
    assert PhoneChallenge.objects.count() == len(local.outbox) == 2


def test_the_route_of_the_site_says_how(send, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(calls=CALLS, texts={}))
    send(phone=PHONE)
    assert PhoneChallenge.objects.get().channel == "flash_call"


@pytest.mark.parametrize(("send_sms", "channel"), [(True, "sms"), (False, "flash_call")])
def test_a_text_message_may_be_asked_for(send, phone_otp, send_sms, channel):
    phone_otp(PROVIDERS=fakes.providers(calls=CALLS, texts={}))
    send(phone=PHONE, send_sms=send_sms)
    assert PhoneChallenge.objects.get().channel == channel


def test_a_site_without_text_messages_says_so(send, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(calls=CALLS))
    response = send(phone=PHONE, send_sms=True)
    assert told(response) == (422, "RequestIsNotValid", "send_sms")
    assert response.json()["message"] == "Codes are not sent this way to this number."


def test_a_number_to_call_cannot_be_told_here(send, phone_otp, caplog):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakePresence"}))
    assert told(send(phone=PHONE)) == (500, "NotificationsAreOutOfService", "delivery_failed")
    assert "lifepos_without_code account=calls" in caplog.messages


def test_neither_can_one_that_a_worker_will_be_told(send, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakePresence"}), DISPATCH=fakes_queue.PATH)
    assert told(send(phone=PHONE)) == (500, "NotificationsAreOutOfService", "delivery_failed")


def test_a_phone_of_a_region_that_is_not_served_is_refused(send, phone_otp):
    phone_otp(ALLOWED_REGIONS=["BY"])
    assert told(send(phone=PHONE)) == (422, "NotAllowed", "phone_not_allowed")


def test_a_free_phone_number_is_refused(send):
    assert told(send(phone="88005553535")) == (422, "NotAllowed", "phone_not_allowed")


def test_a_locked_phone_is_refused(send, clock):
    send(phone=PHONE)
    PhoneLedger.objects.update(disabled_at=PhoneChallenge.objects.get().created_at)
    response = send(phone=PHONE)
    assert told(response) == (429, "TrySendCodeLater", "locked")
    assert response["Retry-After"] == "3600"


def test_an_address_that_asks_too_often_is_refused(send, phone_otp):
    phone_otp(LIMITS={"request_ip": "1/h"})
    send(phone=PHONE)
    response = send(phone=UNKNOWN)
    assert told(response) == (429, "TooManyRequests", "too_many_requests")
    assert int(response["Retry-After"]) > 0


def test_a_provider_that_is_down_is_told(send, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(only={"error": "ProviderUnavailable"}))
    assert told(send(phone=PHONE)) == (500, "NotificationsAreOutOfService", "delivery_failed")


def test_a_cache_out_of_reach_lets_nobody_in(send, settings):
    settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
    assert told(send(phone=PHONE)) == (500, "TryLater", "unavailable")


# Unknown phones


def test_an_unknown_phone_gets_a_code_where_it_may_sign_up(send):
    assert send(phone=UNKNOWN).status_code == 204
    assert len(local.outbox) == 1


def test_an_unknown_phone_is_answered_alike_where_it_may_not(send, phone_otp):
    phone_otp(SIGNUP=False)
    response = send(phone=UNKNOWN)
    assert (response.status_code, response.content) == (204, b"")
    assert not local.outbox


def test_a_site_may_tell_who_is_unknown(send, phone_otp, django_user_model):
    UserPhone.objects.create(user=django_user_model.objects.create_user("known"), phone=PHONE)
    phone_otp(SIGNUP=False, LIFEPOS={"TELL_UNKNOWN": True})
    response = send(phone=UNKNOWN)
    assert told(response) == (404, "PhoneIsNotFound", "unknown_phone")
    assert response.json()["message"] == "This phone is not known here."
    assert send(phone=PHONE).status_code == 204


def test_nobody_is_unknown_who_may_sign_up(send, phone_otp):
    phone_otp(LIFEPOS={"TELL_UNKNOWN": True})
    assert send(phone=UNKNOWN).status_code == 204


# Captcha


@pytest.mark.parametrize(
    ("token", "expected"),
    [
        ("human", None),
        (None, (422, "RequestIsNotValid", "captcha_required")),
        ("", (422, "RequestIsNotValid", "captcha_required")),
        ("robot", (422, "RequestIsNotValid", "captcha_failed")),
        ("silence", (500, "TryLater", "unavailable")),
    ],
)
@pytest.mark.parametrize("kind", [None, "YandexSmartCaptcha", "hCaptcha"])
def test_a_captcha_of_the_sites_own_reads_the_token(send, phone_otp, token, kind, expected):
    phone_otp(CAPTCHA=FAKE_CAPTCHA)
    response = send(phone=PHONE, token=token, captcha_type=kind)
    assert response.status_code == 204 if expected is None else told(response) == expected


def test_each_code_needs_a_captcha_of_its_own(send, phone_otp, clock):
    phone_otp(CAPTCHA=FAKE_CAPTCHA)
    send(phone=PHONE, token="human")
    clock.shift(30)
    assert told(send(phone=PHONE))[2] == "captcha_required"
    assert send(phone=PHONE, token="human").status_code == 204


@pytest.mark.parametrize(
    ("backend", "kind"),
    [("yandex", "hCaptcha"), ("hcaptcha", "YandexSmartCaptcha"), ("turnstile", "hCaptcha")],
)
def test_a_token_of_another_service_is_refused_unasked(send, phone_otp, backend, kind):
    phone_otp(CAPTCHA={**YANDEX, "BACKEND": backend})
    response = send(phone=PHONE, token="t", captcha_type=kind)
    assert told(response) == (422, "RequestIsNotValid", "captcha_type")
    assert not PhoneChallenge.objects.exists()


@pytest.mark.parametrize(
    ("backend", "kind"), [("yandex", "YandexSmartCaptcha"), ("hcaptcha", "hCaptcha")]
)
def test_a_token_of_the_sites_service_is_asked_about(send, phone_otp, backend, kind):
    # Without a token nobody need be asked: what comes back is the flow's.
    phone_otp(CAPTCHA={**YANDEX, "BACKEND": backend})
    assert told(send(phone=PHONE, captcha_type=kind))[2] == "captcha_required"


def test_a_token_is_ignored_where_there_is_no_captcha(send):
    assert send(phone=PHONE, token="t", captcha_type="hCaptcha").status_code == 204


# For whom it is asked


def test_the_address_in_the_body_of_a_stranger_is_ignored(send):
    send(phone=PHONE, ip="203.0.113.7")
    assert PhoneChallenge.objects.get().ip == "127.0.0.1"


@pytest.mark.parametrize(
    ("networks", "connection", "typed", "expected"),
    [
        (["10.0.0.0/8"], "10.1.2.3", "203.0.113.7", "203.0.113.7"),
        (["192.0.2.0/24", "10.1.2.3"], "10.1.2.3", "203.0.113.7", "203.0.113.7"),
        (["10.0.0.0/8"], "10.1.2.3", "2001:DB8::0:1", "2001:db8::1"),
        (["10.0.0.0/8"], "10.1.2.3", "::ffff:203.0.113.7", "203.0.113.7"),
        (["10.0.0.0/8"], "::ffff:10.1.2.3", "203.0.113.7", "203.0.113.7"),
        (["2001:db8::/32"], "2001:db8::9", "203.0.113.7", "203.0.113.7"),
        (["10.0.0.0/8"], "11.1.2.3", "203.0.113.7", "11.1.2.3"),
        (["10.0.0.0/8"], "2001:db8::9", "203.0.113.7", "2001:db8::9"),
        (["10.0.0.0/8"], "10.1.2.3", "", "10.1.2.3"),
        (["10.0.0.0/8"], "10.1.2.3", None, "10.1.2.3"),
        (["10.0.0.0/8"], "", "203.0.113.7", None),
    ],
)
def test_the_address_in_the_body_of_a_trusted_server_counts(
    send, phone_otp, networks, connection, typed, expected
):
    phone_otp(LIFEPOS={"TRUSTED_CALLERS": networks})
    assert send(phone=PHONE, ip=typed, environ={"REMOTE_ADDR": connection}).status_code == 204
    assert PhoneChallenge.objects.get().ip == expected


@pytest.mark.parametrize("ip", ["203.0.113", "203.0.113.7:5", "fe80::1%eth0", "a", 1, True, [], {}])
def test_what_is_no_address_is_refused_of_anybody(send, ip):
    assert told(send(phone=PHONE, ip=ip)) == (422, "RequestIsNotValid", "ip")
