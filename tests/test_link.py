"""`purpose: "link"`: attaching a phone to the user who is logged in."""

import pytest
from django.contrib.auth import authenticate
from rest_framework.test import APIClient

from django_phone_otp.flow import confirm_code, link_phone, request_code
from django_phone_otp.models import PhoneChallenge, UserPhone
from django_phone_otp.providers import local
from django_phone_otp.signals import phone_linked
from tests.conftest import PHONE
from tests.steps import answer, ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]


@pytest.fixture
def user(django_user_model):
    return django_user_model.objects.create_user("owner")


@pytest.fixture
def member(user) -> APIClient:
    client = APIClient()
    client.force_login(user)
    return client


@pytest.fixture
def challenge(post, member) -> str:
    response = post("request", client=member, phone=PHONE, purpose="link")
    return response.json()["challenge"]


def test_needs_a_user(post):
    response = post("request", phone=PHONE, purpose="link")
    assert (response.status_code, response.json()["code"]) == (403, "not_authenticated")
    assert not local.outbox


def test_attaches_the_phone_and_issues_nothing(post, member, user, challenge):
    response = post("confirm", client=member, challenge=challenge, code=local.outbox[0].code)
    assert response.status_code == 200
    assert response.json() == {"user": {"id": user.pk, "phone": PHONE, "created": False}}
    assert UserPhone.objects.get(phone=PHONE).user == user


def test_is_answered_by_the_user_who_asked_alone(post, challenge, django_user_model):
    stranger = APIClient()
    stranger.force_login(django_user_model.objects.create_user("stranger"))
    for client in (stranger, APIClient()):
        response = post("confirm", client=client, challenge=challenge, code=local.outbox[0].code)
        assert response.json()["code"] == "unknown_challenge"
        assert post("resend", client=client, challenge=challenge).json()["code"] == (
            "unknown_challenge"
        )
    assert PhoneChallenge.objects.get().attempts_left == 5


def test_s17_refuses_a_phone_that_another_user_has(post, member, challenge, django_user_model):
    other = django_user_model.objects.create_user("other")
    UserPhone.objects.create(user=other, phone=PHONE)
    response = post("confirm", client=member, challenge=challenge, code=local.outbox[0].code)
    assert (response.status_code, response.json()["code"]) == (400, "phone_not_allowed")
    assert UserPhone.objects.get().user == other


def test_a_verified_link_does_not_log_in(post, member, user, challenge):
    confirmed = confirm_code(challenge, local.outbox[0].code, user=user)
    assert confirmed.challenge
    assert authenticate(None, phone_challenge=confirmed.challenge) is None


def test_a_verified_login_does_not_link(user):
    assert link_phone(answer(ask())) == "challenge_closed"
    assert not UserPhone.objects.exists()


def test_works_once(user):
    verified = answer(ask(purpose="link", user=user), user=user)
    assert link_phone(verified) is None
    assert link_phone(verified) == "challenge_closed"


def test_goes_to_nobody_when_the_user_is_deleted_meanwhile(user):
    verified = answer(ask(purpose="link", user=user), user=user)
    user.delete()
    assert link_phone(PhoneChallenge.objects.get(pk=verified.pk)) == "challenge_closed"
    assert not UserPhone.objects.exists()


def test_is_announced(user, django_capture_on_commit_callbacks):
    heard = []

    def hear(**arguments):
        heard.append((arguments["user"], arguments["phone"], arguments["previous_phone"]))

    phone_linked.connect(hear)
    verified = answer(ask(purpose="link", user=user), user=user)
    with django_capture_on_commit_callbacks(execute=True):
        link_phone(verified)
    assert heard == [(user, PHONE, None)]


def test_a_field_of_the_user_model_is_told_with_the_number_before(
    user, phone_otp, django_capture_on_commit_callbacks
):
    heard = []

    def hear(**arguments):
        heard.append(arguments["previous_phone"])

    phone_linked.connect(hear)
    phone_otp(USER_PHONE_FIELD="username")
    verified = answer(ask(purpose="link", user=user), user=user)
    with django_capture_on_commit_callbacks(execute=True):
        link_phone(verified)
    user.refresh_from_db()
    assert (user.username, heard) == (PHONE, ["owner"])


def test_asking_without_a_user_is_the_callers_mistake():
    with pytest.raises(ValueError, match="needs the user"):
        request_code(PHONE, purpose="link")
