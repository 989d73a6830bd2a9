"""`Idempotency-Key`: a request that is repeated gets the same challenge, and one message."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from django_phone_otp.flow import request_code
from django_phone_otp.models import PhoneChallenge, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

KEY = "8e03978e-40d5-43dd-bc93-6894a57f9324"
OTHER = "+79244501004"


@pytest.fixture
def ask(api) -> Callable[..., Any]:
    def send(key: str = KEY, client: APIClient = api, **body: Any) -> Any:
        return client.post(
            "/api/phone/request/",
            {"phone": PHONE, **body},
            format="json",
            headers={"Idempotency-Key": key},
        )

    return send


def test_a_repeated_request_gets_the_same_challenge(ask):
    first, second = ask(), ask()
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.json() == first.json()


def test_and_sends_one_message(ask):
    ask()
    ask()
    assert len(local.outbox) == 1
    assert PhoneLedger.objects.get().ladder_step == 1


def test_however_the_phone_is_written(ask):
    assert ask().json() == ask(phone="8 (924) 450-10-03").json()


def test_it_is_told_how_the_challenge_stands_by_then(ask, clock):
    ask()
    clock.shift(100)
    assert (ask().json()["expires_in"], ask().json()["resend_in"]) == (200, 0)
    clock.shift(200)
    assert ask().json()["state"] == "expired"


def test_a_late_repetition_does_not_open_a_challenge_again(ask, post):
    challenge = ask().json()["challenge"]
    post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert (ask().json()["challenge"], ask().json()["state"]) == (challenge, "verified")
    assert len(local.outbox) == 1


@pytest.mark.parametrize(
    "changed",
    [{"key": "another"}, {"phone": OTHER}, {"channel": "sms"}],
    ids=["key", "phone", "channel"],
)
def test_another_request_is_another(ask, phone_otp, changed):
    phone_otp(RESEND_WAITS=[0])
    assert ask().json()["challenge"] != ask(**changed).json()["challenge"]
    assert len(local.outbox) == 2


def test_s17_a_link_is_of_its_user(ask, phone_otp, django_user_model):
    phone_otp(RESEND_WAITS=[0])
    challenges = set()
    for name in ("owner", "stranger"):
        client = APIClient()
        client.force_login(django_user_model.objects.create_user(name))
        challenges.add(ask(client=client, purpose="link").json()["challenge"])
    challenges.add(ask().json()["challenge"])
    assert len(challenges) == 3


def test_without_a_key_each_request_is_another(ask, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    assert ask(key="").json()["challenge"] != ask(key="").json()["challenge"]


def test_a_repetition_needs_no_second_captcha(ask, phone_otp):
    phone_otp(CAPTCHA={"BACKEND": "tests.fakes.FakeCaptcha"})
    first = ask(captcha_token="human")
    assert ask(captcha_token="used up").json() == first.json()


def test_repetitions_count_for_their_address(ask, phone_otp):
    phone_otp(LIMITS={"request_ip": "2/h"})
    assert [ask().status_code for _ in range(3)] == [201, 201, 429]


def test_what_was_refused_before_anything_was_stored_is_asked_anew(ask, clock):
    ask(key="earlier")
    assert ask().json()["code"] == "resend_too_soon"
    clock.shift(30)
    assert ask().status_code == 201


def test_what_a_guard_blocked_is_asked_anew(ask, phone_otp):
    phone_otp(DENIED_REGIONS=["RU"])
    assert ask().json()["code"] == "phone_not_allowed"
    phone_otp(DENIED_REGIONS=[])
    assert ask().json()["state"] == "sent"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        ("ProviderRejected", 503, "delivery_failed"),
        ("InvalidRecipient", 400, "phone_not_allowed"),
        ("RecipientLimited", 429, "too_many_requests"),
    ],
)
def test_a_failed_delivery_is_told_again_and_not_tried_again(ask, phone_otp, error, status, code):
    phone_otp(PROVIDERS=fakes.providers(bad={"error": error}))
    first, second = ask(), ask()
    assert (first.status_code, first.json()["code"]) == (status, code)
    assert (second.status_code, second.json()) == (status, first.json())
    assert len(fakes.asked) == 1


def test_so_is_an_account_that_has_had_its_messages_for_the_phone(ask, phone_otp, clock):
    phone_otp(PROVIDERS=fakes.accounts(one={"PHONE_DAILY_LIMIT": 1}))
    ask(key="earlier")
    clock.shift(60)
    first, second = ask(), ask()
    assert (first.status_code, first.json()["code"]) == (429, "too_many_requests")
    assert (second.status_code, second.json()["code"]) == (429, "too_many_requests")
    assert len(fakes.asked) == 1


def test_an_uncertain_delivery_is_not_tried_again(ask, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(bad={"error": "DeliveryUncertain"}))
    assert [ask().json()["state"] for _ in range(2)] == ["sending", "sending"]
    assert len(fakes.asked) == 1


def test_while_the_first_is_being_sent_the_second_sees_it(ask, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(slow={"kind": "FakeSlow"}))
    seen: list[Any] = []
    fakes.meanwhile.append(lambda: seen.append(ask(client=APIClient()).json()))
    first = ask().json()
    assert (seen[0]["challenge"], seen[0]["state"]) == (first["challenge"], "sending")
    assert len(fakes.asked) == 1


def let_others_ask(**_told: Any) -> str:
    fakes.let_others_act()
    return "allow"


# One is found by the wait that it has started, the other by its row alone.
@pytest.mark.parametrize("waits", [[30], [0]], ids=["ladder", "no-ladder"])
def test_whoever_loses_the_race_gets_the_winners_challenge(ask, phone_otp, waits):
    phone_otp(SEND_HOOK=f"{__name__}.let_others_ask", RESEND_WAITS=waits)
    won: list[Any] = []
    fakes.meanwhile.append(lambda: won.append(ask(client=APIClient())))
    lost = ask()
    assert (lost.status_code, lost.json()) == (201, won[0].json())
    assert len(local.outbox) == 1


def test_s11_a_repetition_of_what_is_under_way_tells_nothing(ask, phone_otp, django_user_model):
    phone_otp(SIGNUP=False, PROVIDERS=fakes.providers(slow={"kind": "FakeSlow"}))
    UserPhone.objects.create(user=django_user_model.objects.create_user("owner"), phone=PHONE)
    seen: list[Any] = []
    fakes.meanwhile.append(lambda: seen.append(ask(client=APIClient()).json()))
    assert ask().json() == seen[0]
    assert seen[0]["state"] == "sent"


def test_after_a_day_the_key_is_as_good_as_new(ask, clock):
    first = ask().json()["challenge"]
    clock.shift(timedelta(hours=24) - timedelta(seconds=1))
    assert ask().json()["challenge"] == first
    clock.shift(1)
    assert ask().json()["challenge"] != first
    assert ask().json()["challenge"] != first
    assert len(local.outbox) == 2


def test_s12_the_key_is_not_stored(ask):
    ask()
    stored = PhoneChallenge.objects.values().get()
    assert KEY not in str(stored)


def test_a_key_may_have_255_characters(ask):
    assert ask(key="k" * 255).status_code == 201
    response = ask(key="k" * 256)
    assert (response.status_code, response.json()) == (
        400,
        {"idempotency_key": ["Idempotency-Key may have 255 characters at most."]},
    )


def test_s11_with_sign_up_closed_an_unknown_phone_is_told_the_same(ask, phone_otp):
    phone_otp(SIGNUP=False)
    assert ask().json() == ask().json()
    assert not local.outbox


def test_the_python_api_takes_it_too():
    first, second = (request_code(PHONE, idempotency_key=KEY) for _ in range(2))
    assert first.challenge
    assert first.challenge == second.challenge


def test_statements_of_a_repetition(ask, django_assert_num_queries):
    ask()
    with django_assert_num_queries(1):
        ask()
