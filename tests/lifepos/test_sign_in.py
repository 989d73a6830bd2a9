"""`auth/sign-in-by-code`: what a login gives, and what it is refused for."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.exceptions import PermissionDenied
from django.utils import timezone
from rest_framework.authtoken.models import Token

from django_phone_otp.issuers import Issuer
from django_phone_otp.models import PhoneChallenge, UserPhone
from django_phone_otp.signals import phone_verified
from tests import fakes
from tests.conftest import PHONE
from tests.lifepos.conftest import right_code, told, wrong_code

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

OTHER = "+79244501004"
NOT_SENT = (422, "ConfirmationCodeWasNotSend", "unknown_challenge")
WRONG = (422, "InvalidConfirmationCode", "wrong_code")


class Pair(Issuer):
    """Gives what simplejwt gives."""

    answers = ("access", "refresh")

    def issue(self, request: Any, user: Any) -> dict[str, str]:
        return {"access": "a", "refresh": "r"}


class Silent(Issuer):
    """Gives nothing, and does not say so before."""

    def issue(self, request: Any, user: Any) -> dict[str, str]:
        return {}


class Ticketing(Issuer):
    """Gives something else."""

    answers = ("ticket",)

    def issue(self, request: Any, user: Any) -> dict[str, str]:
        return {"ticket": "t"}


class Strict(Issuer):
    """Has nothing for this user."""

    answers = ("token",)

    def issue(self, request: Any, user: Any) -> dict[str, str]:
        raise PermissionDenied


@pytest.fixture
def heard():
    """Collect what Django's signals say about logins."""
    found: list[str] = []

    def hear(signal: Any, **_arguments: Any) -> None:
        found.append("in" if signal is user_logged_in else "failed")

    for signal in (user_logged_in, user_login_failed):
        signal.connect(hear)
    yield found
    for signal in (user_logged_in, user_login_failed):
        signal.disconnect(hear)


def test_a_right_code_gives_a_token_and_nothing_else(send, sign_in, heard):
    send(phone=PHONE)
    response = sign_in(phone=PHONE, confirmation_code=right_code())
    token = Token.objects.get()
    assert (response.status_code, response.json()) == (200, {"token": token.key})
    assert UserPhone.objects.get().user == token.user
    assert heard == ["in"]


def test_no_cookie_is_set_and_none_is_read(send, sign_in, api, django_user_model):
    api.force_login(django_user_model.objects.create_user("somebody-else"))
    send(phone=PHONE)
    response = sign_in(phone=PHONE, confirmation_code=right_code())
    assert (response.status_code, dict(response.cookies)) == (200, {})
    assert Token.objects.get().user.username != "somebody-else"


def test_the_phone_may_be_written_in_another_way(send, sign_in):
    send(phone="8(924)450-10-03")
    assert sign_in(phone="+7-924-450-10-03", confirmation_code=right_code()).status_code == 200


def test_a_wrong_code_is_refused(send, sign_in, heard):
    send(phone=PHONE)
    assert told(sign_in(phone=PHONE, confirmation_code=wrong_code())) == WRONG
    assert PhoneChallenge.objects.get().attempts_left == 4
    assert heard == ["failed"]


def test_a_code_that_nobody_asked_for_is_refused(sign_in, heard):
    assert told(sign_in(phone=PHONE, confirmation_code="012345")) == NOT_SENT
    assert heard == ["failed"]


def test_a_code_of_another_phone_is_refused(send, sign_in):
    send(phone=PHONE)
    assert told(sign_in(phone=OTHER, confirmation_code=right_code())) == NOT_SENT


def test_a_code_works_once(send, sign_in):
    send(phone=PHONE)
    code = right_code()
    sign_in(phone=PHONE, confirmation_code=code)
    assert told(sign_in(phone=PHONE, confirmation_code=code)) == NOT_SENT


@pytest.mark.django_db(transaction=True)
def test_a_code_that_was_used_at_the_same_moment_is_refused(send, sign_in):
    def be_faster(challenge: PhoneChallenge, **_arguments: Any) -> None:
        PhoneChallenge.objects.filter(pk=challenge.pk).update(spent_at=timezone.now())

    phone_verified.connect(be_faster)
    send(phone=PHONE)
    response = sign_in(phone=PHONE, confirmation_code=right_code())
    phone_verified.disconnect(be_faster)
    assert told(response) == (422, "ConfirmationCodeWasCanceled", "challenge_closed")
    assert not Token.objects.exists()


def test_an_old_code_is_refused(send, sign_in, clock):
    send(phone=PHONE)
    clock.shift(300)
    response = sign_in(phone=PHONE, confirmation_code=right_code())
    assert told(response) == (422, "ConfirmationCodeWasCanceled", "expired")


def test_the_newest_code_counts(send, sign_in, clock):
    send(phone=PHONE)
    first = right_code()
    clock.shift(30)
    send(phone=PHONE)
    if first != right_code():
        assert told(sign_in(phone=PHONE, confirmation_code=first)) == WRONG
    assert sign_in(phone=PHONE, confirmation_code=right_code()).status_code == 200


def test_a_code_that_was_asked_for_elsewhere_is_not_known_here(post, sign_in):
    post("request", phone=PHONE)
    assert told(sign_in(phone=PHONE, confirmation_code=right_code())) == NOT_SENT


@pytest.mark.parametrize("code", [None, "", " ", "x" * 65, [], {}, "0\0", "\ud800"])
def test_what_can_be_no_code_takes_no_try(send, sign_in, code):
    send(phone=PHONE)
    response = sign_in(phone=PHONE, confirmation_code=code)
    assert told(response) == (422, "RequestIsNotValid", "confirmation_code")
    assert PhoneChallenge.objects.get().attempts_left == 5


def test_a_code_may_have_lost_its_zeros_as_a_number(send, sign_in, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakeCall", "code": "0427"}))
    send(phone=PHONE)
    assert sign_in(phone=PHONE, confirmation_code=427).status_code == 200


def test_an_address_answers_sixty_times_an_hour(send, sign_in, phone_otp):
    phone_otp(LIMITS={"confirm_ip": "2/h"})
    for _ in range(2):
        sign_in(phone=PHONE, confirmation_code="012345")
    response = sign_in(phone=PHONE, confirmation_code="012345")
    assert told(response) == (429, "TooManyRequests", "too_many_requests")
    assert int(response["Retry-After"]) > 0


def test_a_trusted_server_answers_for_its_people(sign_in, phone_otp):
    phone_otp(LIMITS={"confirm_ip": "1/h"}, LIFEPOS={"TRUSTED_CALLERS": ["127.0.0.1"]})
    for number in range(3):
        response = sign_in(phone=PHONE, confirmation_code="1", ip=f"203.0.113.{number}")
        assert told(response) == NOT_SENT


def test_a_call_that_is_awaited_elsewhere_is_no_answer_here(send, sign_in, phone_otp):
    phone_otp(PROVIDERS=fakes.providers(calls={"kind": "FakePresence", "is_called": True}))
    send(phone=PHONE)
    assert told(sign_in(phone=PHONE, confirmation_code="012345")) == NOT_SENT
    assert not get_user_model().objects.exists()


# Issuers


def test_a_pair_of_tokens_has_names_of_its_own(send, sign_in, phone_otp):
    phone_otp(TOKEN_ISSUER=f"{__name__}.Pair")
    send(phone=PHONE)
    response = sign_in(phone=PHONE, confirmation_code=right_code())
    assert response.json() == {"token": "a", "refresh_token": "r"}


@pytest.mark.parametrize("issuer", ["session", f"{__name__}.Ticketing"])
def test_where_there_is_no_token_no_code_is_used_up(send, sign_in, api, phone_otp, caplog, issuer):
    api.raise_request_exception = False
    phone_otp(TOKEN_ISSUER=issuer)
    send(phone=PHONE)
    response = sign_in(phone=PHONE, confirmation_code=right_code())
    assert told(response) == (500, "InternalServerError", "")
    assert PhoneChallenge.objects.get().attempts_left == 5
    (record,) = [each for each in caplog.records if each.name == "django.request"]
    assert record.getMessage() == "Internal Server Error: /lifepos/auth/sign-in-by-code"
    assert "PHONE_OTP['TOKEN_ISSUER'] gives no token" in str(record.exc_info)


def test_an_issuer_that_gives_nothing_spends_nothing(send, sign_in, api, phone_otp):
    api.raise_request_exception = False
    phone_otp(TOKEN_ISSUER=f"{__name__}.Silent")
    send(phone=PHONE)
    response = sign_in(phone=PHONE, confirmation_code=right_code())
    assert told(response) == (500, "InternalServerError", "")
    assert PhoneChallenge.objects.get().spent_at is None
    assert not get_user_model().objects.exists()


def test_a_user_who_gets_no_token_is_told_so(send, sign_in, phone_otp):
    phone_otp(TOKEN_ISSUER=f"{__name__}.Strict")
    send(phone=PHONE)
    response = sign_in(phone=PHONE, confirmation_code=right_code())
    assert told(response) == (403, "NoPermissions", "permission_denied")
    assert not get_user_model().objects.exists()
