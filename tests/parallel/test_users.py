"""Logins of one person at one moment, each with a challenge and a right code of its own."""

import pytest
from django.contrib.auth import get_user_model
from rest_framework.authtoken.models import Token

from django_phone_otp.flow import request_code
from django_phone_otp.models import UserPhone
from django_phone_otp.providers import local

pytestmark = pytest.mark.django_db(transaction=True)

# Several people at once: the moment in which two logins of one of them meet is short.
NEW_PHONES = [f"+7924450200{last}" for last in range(10)]
KNOWN_PHONES = [f"+7924450300{last}" for last in range(10)]


@pytest.fixture
def ask(phone_otp):
    """Write five right answers for each phone, to five challenges."""
    phone_otp(RESEND_WAITS=[0], LIMITS={"request_ip": "1000/h"})

    def answer(phone: str) -> tuple[str, dict[str, str]]:
        challenge = request_code(phone).challenge
        assert challenge
        return "confirm", {"challenge": challenge.public_id, "code": local.outbox[-1].code}

    return lambda phones: [answer(phone) for phone in phones for _ in range(5)]


# Guards the unique phone of `UserPhone`, and that `flow.users` finds the user who was faster.
def test_parallel_first_logins_make_one_user(site, ask):
    answers = site(ask(NEW_PHONES))

    assert {each.status for each in answers} == {200}
    for phone in NEW_PHONES:
        logins = [each.body for each in answers if each.body["user"]["phone"] == phone]
        assert sorted(each["user"]["created"] for each in logins) == [False] * 4 + [True]
        assert len({each["user"]["id"] for each in logins}) == 1
        assert len({each["token"] for each in logins}) == 1
    assert get_user_model().objects.count() == len(NEW_PHONES)
    assert UserPhone.objects.count() == Token.objects.count() == len(NEW_PHONES)


# Guards the order in which a login locks its rows: MariaDB ends one of two that wait crosswise.
def test_parallel_logins_of_a_known_user_all_succeed(site, ask):
    for phone in KNOWN_PHONES:
        user = get_user_model().objects.create_user(f"user{phone}")
        UserPhone.objects.create(user=user, phone=phone)
    answers = site(ask(KNOWN_PHONES))

    assert {each.status for each in answers} == {200}
    assert not any(each.body["user"]["created"] for each in answers)
    assert (
        len({each.body["token"] for each in answers}) == Token.objects.count() == len(KNOWN_PHONES)
    )
