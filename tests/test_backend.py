"""The authentication backend and the users that it finds or makes."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate

from django_phone_otp.flow import Client, confirm_code
from django_phone_otp.models import PhoneChallenge, UserPhone
from tests.conftest import PHONE
from tests.steps import answer, ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def verified() -> PhoneChallenge:
    return answer(ask("8 924 450-10-03", client=Client(ip="203.0.113.7")))


def test_spends_a_verified_challenge_once(verified):
    user: Any = authenticate(None, phone_challenge=verified)
    assert user.backend == "django_phone_otp.backends.PhoneOTPBackend"
    assert authenticate(None, phone_challenge=verified) is None


def test_another_copy_of_a_spent_challenge_is_spent_too(verified):
    copy = PhoneChallenge.objects.get()
    assert authenticate(None, phone_challenge=verified) is not None
    assert authenticate(None, phone_challenge=copy) is None


def test_refuses_a_challenge_that_nobody_has_answered():
    assert authenticate(None, phone_challenge=ask()) is None


def test_does_not_believe_what_an_object_says_of_itself():
    challenge = ask()
    challenge.state = "verified"
    assert authenticate(None, phone_challenge=challenge) is None


def test_a_wrong_answer_gives_nothing_to_authenticate_with(verified):
    refused = confirm_code(verified.public_id, "000000")
    assert (refused.refusal, refused.challenge) == ("challenge_closed", None)
    assert authenticate(None, phone_challenge=refused.challenge) is None


def test_a_verified_challenge_grows_stale(verified, clock):
    clock.shift(timedelta(seconds=300))
    assert authenticate(None, phone_challenge=verified) is None


def test_says_whether_it_made_the_user(verified, clock):
    authenticate(None, phone_challenge=verified)
    assert verified.created_user
    again = answer(ask())
    authenticate(None, phone_challenge=again)
    assert not again.created_user


def test_leaves_passwords_to_other_backends(django_user_model):
    django_user_model.objects.create_user("ann", password="secret")
    user: Any = authenticate(None, username="ann", password="secret")
    assert user.backend == "django.contrib.auth.backends.ModelBackend"


def test_does_not_take_over_a_user_named_like_the_phone(verified, django_user_model):
    squatter = django_user_model.objects.create_user(PHONE)
    assert authenticate(None, phone_challenge=verified) != squatter


def test_finds_the_user_by_a_field_of_the_model(verified, phone_otp, django_user_model):
    phone_otp(USER_PHONE_FIELD="username")
    owner = django_user_model.objects.create_user(PHONE)
    assert authenticate(None, phone_challenge=verified) == owner
    assert PhoneChallenge.objects.get().user == owner


def test_makes_the_user_with_a_field_of_the_model(verified, phone_otp):
    phone_otp(USER_PHONE_FIELD="username")
    user: Any = authenticate(None, phone_challenge=verified)
    assert user.username == PHONE
    assert not UserPhone.objects.exists()


def test_makes_nobody_while_sign_up_is_closed(verified, phone_otp, django_user_model):
    phone_otp(SIGNUP=False)
    assert authenticate(None, phone_challenge=verified) is None
    assert not django_user_model.objects.exists()
