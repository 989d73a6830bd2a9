"""`SIGNUP_HOOK` and `SEND_HOOK`: what a site decides itself."""

import logging
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured

from django_phone_otp.flow import Client, request_code, resend_code
from django_phone_otp.models import DeliveryAttempt, PhoneChallenge, UserPhone
from django_phone_otp.providers import local
from tests.conftest import PHONE
from tests.steps import answer, ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

OTHER = "+79244501004"
CLIENT = Client(ip="203.0.113.7", user_agent="App 1.0")
CAPTCHA = {"BACKEND": "tests.fakes.FakeCaptcha"}

# What the hooks below were told, and what they say next; emptied before each test.
told: list[dict[str, Any]] = []
said: list[Any] = []


def may_sign_up(**arguments: Any) -> Any:
    told.append(arguments)
    return said[0]


def before_send(**arguments: Any) -> Any:
    told.append(arguments)
    return said[0]


@pytest.fixture(autouse=True)
def _fresh_hooks():
    told.clear()
    said.clear()


@pytest.fixture
def say(phone_otp, request):
    """Have one of the hooks say something: `say(before_send, "deny")`."""

    def set_(hook, word):
        key = "SEND_HOOK" if hook is before_send else "SIGNUP_HOOK"
        phone_otp(**{key: f"{__name__}.{hook.__name__}"})
        said[:] = [word]

    return set_


# Who may sign up


def test_whom_the_hook_lets_in_signs_up(say, post):
    say(may_sign_up, True)
    challenge = post("request", phone=PHONE).json()["challenge"]
    response = post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert response.json()["user"]["created"] is True


def test_whom_it_does_not_gets_no_message(say):
    say(may_sign_up, False)
    ask()
    assert not local.outbox
    assert DeliveryAttempt.objects.get().outcome == "withheld"


def test_s11_and_the_same_answer(say, post, django_user_model):
    say(may_sign_up, False)
    owner = django_user_model.objects.create_user("owner")
    UserPhone.objects.create(user=owner, phone=OTHER)
    unknown, known = (post("request", phone=each).json() for each in (PHONE, OTHER))
    assert [each.phone for each in local.outbox] == [OTHER]
    for body in (unknown, known):
        del body["challenge"], body["phone"]
    assert unknown == known


def test_s11_the_hook_is_asked_about_known_phones_too(say, django_user_model):
    say(may_sign_up, False)
    owner = django_user_model.objects.create_user("owner")
    UserPhone.objects.create(user=owner, phone=PHONE)
    ask()
    assert len(told) == 1
    assert local.outbox


def test_who_has_an_account_logs_in_whatever_the_hook_says(say, post, django_user_model):
    say(may_sign_up, False)
    owner = django_user_model.objects.create_user("owner")
    UserPhone.objects.create(user=owner, phone=PHONE)
    challenge = post("request", phone=PHONE).json()["challenge"]
    response = post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert response.json()["user"]["id"] == owner.pk


def test_it_is_told_who_asks(say):
    say(may_sign_up, True)
    ask(client=CLIENT)
    assert told == [{"phone": PHONE, "region": "RU", "client": CLIENT}]


def test_it_is_asked_again_when_the_user_is_made(say, post):
    say(may_sign_up, True)
    challenge = post("request", phone=PHONE).json()["challenge"]
    say(may_sign_up, False)
    response = post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert (response.status_code, response.json()["code"]) == (400, "phone_not_allowed")
    assert not get_user_model().objects.exists()


def test_with_sign_up_closed_it_is_not_asked(say, phone_otp):
    say(may_sign_up, True)
    phone_otp(SIGNUP=False)
    ask()
    assert (told, local.outbox) == ([], [])


@pytest.mark.parametrize("word", ["deny", "", None, 1])
def test_what_is_no_bool_lets_nobody_in(say, word):
    say(may_sign_up, word)
    with pytest.raises(ImproperlyConfigured, match="SIGNUP_HOOK'] must give True or False, not "):
        request_code(PHONE)
    assert not local.outbox


def test_a_link_does_not_ask_it(say, django_user_model):
    say(may_sign_up, False)
    user = django_user_model.objects.create_user("owner")
    answer(ask(purpose="link", user=user), user=user)
    assert told == []


def test_what_it_raises_goes_on(phone_otp):
    phone_otp(SIGNUP_HOOK="tests.test_hooks.nobody")
    with pytest.raises(ImproperlyConfigured, match="SIGNUP_HOOK'] names"):
        request_code(PHONE)


# Before a message


def test_what_it_allows_is_sent(say):
    say(before_send, "allow")
    ask()
    assert len(local.outbox) == 1


def test_what_it_denies_is_not(say, post):
    say(before_send, "deny")
    response = post("request", phone=PHONE)
    assert (response.status_code, response.json()["code"]) == (400, "phone_not_allowed")
    assert not local.outbox
    assert not PhoneChallenge.objects.exists()


def test_a_denial_is_logged_without_the_phone(say, caplog):
    caplog.set_level(logging.INFO, "django_phone_otp")
    say(before_send, "deny")
    request_code(PHONE)
    assert "message_deny_by_hook region=RU purpose=login" in caplog.messages


def test_it_may_ask_for_a_captcha(say, phone_otp, post):
    phone_otp(CAPTCHA={**CAPTCHA, "WHEN": "suspicious"})
    say(before_send, "captcha")
    assert post("request", phone=PHONE).json()["code"] == "captcha_required"
    assert post("request", phone=PHONE, captcha_token="robot").json()["code"] == "captcha_failed"
    assert post("request", phone=PHONE, captcha_token="human").status_code == 201


def test_of_a_known_device_too(say, phone_otp, post):
    challenge = post("request", phone=PHONE).json()["challenge"]
    confirmed = post("confirm", challenge=challenge, code=local.outbox[-1].code)
    phone_otp(CAPTCHA={**CAPTCHA, "WHEN": "suspicious"})
    say(before_send, "captcha")
    response = post("request", phone=PHONE, device=confirmed.json()["device"])
    assert response.json()["code"] == "captcha_required"


def test_a_captcha_that_does_not_exist_lets_nobody_pass(say, post, caplog):
    say(before_send, "captcha")
    response = post("request", phone=PHONE, captcha_token="human")
    assert (response.status_code, response.json()["code"]) == (503, "unavailable")
    assert 'captcha_misconfigured reason="SEND_HOOK asks for one and there is none"' in (
        caplog.messages
    )


def test_it_is_told_what_is_asked(say):
    say(before_send, "allow")
    request_code("8 924 450-10-03", channel="sms", client=CLIENT)
    assert told == [
        {
            "phone": PHONE,
            "region": "RU",
            "purpose": "login",
            "channel": "sms",
            "client": CLIENT,
            "user": None,
        }
    ]


def test_and_who_links(say, django_user_model):
    say(before_send, "allow")
    user = django_user_model.objects.create_user("owner")
    ask(purpose="link", user=user)
    assert (told[0]["purpose"], told[0]["user"]) == ("link", user)


def test_a_resend_asks_it_too(say, clock):
    say(before_send, "allow")
    challenge = ask()
    clock.shift(30)
    say(before_send, "deny")
    assert resend_code(challenge.public_id).refusal == "phone_not_allowed"
    assert len(local.outbox) == 1


def test_a_resend_of_a_login_has_no_user(say, clock, django_user_model):
    say(before_send, "allow")
    challenge = ask()
    clock.shift(30)
    resend_code(challenge.public_id, user=django_user_model.objects.create_user("somebody"))
    assert told[1]["user"] is None


def test_a_resend_may_need_a_captcha(say, clock, phone_otp, post):
    phone_otp(CAPTCHA=CAPTCHA)
    say(before_send, "captcha")
    challenge = post("request", phone=PHONE, captcha_token="human").json()["challenge"]
    clock.shift(30)
    assert post("resend", challenge=challenge).json()["code"] == "captcha_required"
    assert post("resend", challenge=challenge, captcha_token="human").status_code == 200


@pytest.mark.parametrize("word", [None, True, "maybe", ["deny"]])
def test_what_is_no_decision_is_the_sites_mistake(say, word):
    say(before_send, word)
    with pytest.raises(ImproperlyConfigured, match="must give one of 'allow', 'deny', 'captcha'"):
        request_code(PHONE)
    assert not local.outbox


def test_it_is_asked_after_the_address_was_counted(say, phone_otp):
    phone_otp(LIMITS={"request_ip": "1/h"})
    say(before_send, "deny")
    request_code(PHONE, client=CLIENT)
    assert request_code(PHONE, client=CLIENT).refusal == "too_many_requests"
    assert len(told) == 1
