"""`resend/` and `challenges/<challenge>/`: another code for a challenge, and how it stands."""

from datetime import timedelta

import pytest

from django_phone_otp.models import PhoneChallenge
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def challenge(post) -> str:
    return post("request", phone=PHONE).json()["challenge"]


def wrong(code: str) -> str:
    return "".join(str((int(digit) + 1) % 10) for digit in code)


def test_sends_another_code_for_the_same_challenge(post, challenge, clock):
    clock.shift(30)
    response = post("resend", challenge=challenge)
    assert response.status_code == 200
    assert response.json()["challenge"] == challenge
    assert (response.json()["expires_in"], response.json()["resend_in"]) == (300, 60)
    assert len(local.outbox) == 2


def test_has_to_wait(post, challenge):
    response = post("resend", challenge=challenge)
    assert (response.status_code, response.json()["code"]) == (429, "resend_too_soon")
    assert response["Retry-After"] == "30"


@pytest.mark.parametrize("newest_first", [0, 1])
def test_the_two_newest_codes_count(post, challenge, clock, newest_first):
    clock.shift(30)
    post("resend", challenge=challenge)
    code = local.outbox[newest_first].code
    assert post("confirm", challenge=challenge, code=code).status_code == 200


def test_the_third_newest_code_does_not_count(post, challenge, clock):
    for wait in (30, 60):
        clock.shift(wait)
        post("resend", challenge=challenge)
    first, *newer = (message.code for message in local.outbox)
    assert first not in newer
    assert post("confirm", challenge=challenge, code=first).json()["code"] == "wrong_code"


def test_each_code_lives_its_own_time(post, challenge, clock):
    clock.shift(100)
    post("resend", challenge=challenge)
    clock.shift(200)
    first, second = (message.code for message in local.outbox)
    assert post("confirm", challenge=challenge, code=first).json()["code"] == "wrong_code"
    assert post("confirm", challenge=challenge, code=second).status_code == 200


def test_of_codes_of_four_digits_the_newest_alone_counts(post, phone_otp, clock):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeCall", "code": "0427"}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeCall", "code": "5555"}))
    clock.shift(30)
    post("resend", challenge=challenge)
    assert post("confirm", challenge=challenge, code="0427").json()["code"] == "wrong_code"
    assert post("confirm", challenge=challenge, code="5555").status_code == 200


def test_a_short_code_drops_the_long_one_before_it(post, challenge, phone_otp, clock):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeCall", "code": "0427"}))
    clock.shift(30)
    post("resend", challenge=challenge)
    long_code = local.outbox[0].code
    assert post("confirm", challenge=challenge, code=long_code).json()["code"] == "wrong_code"


def test_wrong_codes_survive_a_resend(post, challenge, clock):
    for _ in range(4):
        post("confirm", challenge=challenge, code=wrong(local.outbox[0].code))
    clock.shift(30)
    post("resend", challenge=challenge)
    codes = {message.code for message in local.outbox}
    other = next(code for code in ("000000", "111111", "222222") if code not in codes)
    assert post("confirm", challenge=challenge, code=other).json()["attempts_left"] == 0
    response = post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert response.json()["code"] == "locked"


def test_a_shorter_code_leaves_fewer_tries(post, challenge, phone_otp, clock):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeCall", "code": "0427"}))
    clock.shift(30)
    post("resend", challenge=challenge)
    answer = post("confirm", challenge=challenge, code="1111")
    assert answer.json()["attempts_left"] == 2


def test_a_locked_challenge_gets_no_more_codes(post, challenge, clock):
    PhoneChallenge.objects.update(attempts_left=0)
    clock.shift(30)
    response = post("resend", challenge=challenge)
    assert (response.status_code, response.json()["code"]) == (429, "locked")
    assert len(local.outbox) == 1


def test_an_expired_challenge_gets_no_more_codes(post, challenge, clock):
    clock.shift(300)
    response = post("resend", challenge=challenge)
    assert (response.status_code, response.json()["code"]) == (400, "expired")


def test_an_answered_challenge_gets_no_more_codes(post, challenge):
    post("confirm", challenge=challenge, code=local.outbox[0].code)
    response = post("resend", challenge=challenge)
    assert (response.status_code, response.json()["code"]) == (400, "challenge_closed")


def test_an_unknown_challenge_is_refused(post):
    assert post("resend", challenge="x").json()["code"] == "unknown_challenge"


def test_the_ladder_is_the_phones_and_not_the_challenges(post, challenge, clock):
    clock.shift(30)
    post("request", phone=PHONE)
    clock.shift(30)
    assert post("resend", challenge=challenge).json()["retry_after"] == 30


def test_the_channel_picks_another_way(post, phone_otp, clock):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeCall", "code": "0427"}, texts={}))
    challenge = post("request", phone=PHONE).json()["challenge"]
    clock.shift(30)
    response = post("resend", challenge=challenge, channel="sms")
    assert (response.json()["channel"], response.json()["code_length"]) == ("sms", 6)


def test_a_failed_challenge_may_be_sent_again(post, phone_otp, clock):
    phone_otp(PROVIDERS=fakes.providers(texts={"error": "ProviderUnavailable"}))
    refused = post("request", phone=PHONE)
    assert (refused.status_code, refused.json()["code"]) == (503, "delivery_failed")
    assert refused.json()["resend_in"] == 30
    phone_otp(PROVIDERS={"memory": {"BACKEND": "locmem"}})
    clock.shift(30)
    challenge = refused.json()["challenge"]
    assert post("resend", challenge=challenge).json()["state"] == "sent"
    code = local.outbox[0].code
    assert post("confirm", challenge=challenge, code=code).status_code == 200


def test_a_resend_that_fails_leaves_the_code_before_it(post, challenge, phone_otp, clock):
    phone_otp(PROVIDERS=fakes.providers(texts={"error": "ProviderUnavailable"}))
    clock.shift(30)
    assert post("resend", challenge=challenge).json()["code"] == "delivery_failed"
    assert PhoneChallenge.objects.get().state == "sent"
    code = local.outbox[0].code
    assert post("confirm", challenge=challenge, code=code).status_code == 200


class TestState:
    """What `challenges/<challenge>/` says."""

    @pytest.fixture
    def show(self, api, challenge):
        return lambda: api.get(f"/api/phone/challenges/{challenge}/")

    def test_is_the_body_of_the_request(self, show, challenge, clock):
        clock.shift(10)
        assert show().status_code == 200
        assert show().json() == {
            "challenge": challenge,
            "phone": "+7•••••••003",
            "channel": "sms",
            "state": "sent",
            "code_length": 6,
            "expires_in": 290,
            "resend_in": 20,
            "hint": "Enter the code from the text message that we sent you.",
        }

    def test_becomes_verified(self, show, post, challenge):
        post("confirm", challenge=challenge, code=local.outbox[0].code)
        assert show().json()["state"] == "verified"

    def test_becomes_expired_by_the_clock(self, show, clock):
        clock.shift(300)
        assert (show().json()["state"], show().json()["expires_in"]) == ("expired", 0)

    def test_becomes_locked_without_tries(self, show):
        PhoneChallenge.objects.update(attempts_left=0)
        assert show().json()["state"] == "locked"
        assert show().json()["hint"] == "Too many wrong codes. Ask for a new code later."

    def test_becomes_cancelled(self, show):
        assert PhoneChallenge.objects.cancel(PhoneChallenge.objects.get().pk)
        assert show().json()["state"] == "cancelled"

    def test_rounds_seconds_up(self, show, clock):
        clock.shift(timedelta(seconds=10, milliseconds=1))
        assert show().json()["expires_in"] == 290

    def test_of_an_unknown_challenge_is_refused(self, api):
        response = api.get("/api/phone/challenges/nothing/")
        assert (response.status_code, response.json()["code"]) == (400, "unknown_challenge")

    def test_is_kept_by_no_cache(self, show):
        assert show()["Cache-Control"] == "no-store"
