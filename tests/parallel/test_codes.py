"""Many codes at one moment: how many are compared, and how often the right one is good."""

from collections import Counter

import pytest
from django.contrib.auth import get_user_model
from rest_framework.authtoken.models import Token

from django_phone_otp.flow import request_code
from django_phone_otp.models import ConfirmAttempt, PhoneChallenge, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from tests.conftest import PHONE

pytestmark = pytest.mark.django_db(transaction=True)


def ask() -> tuple[PhoneChallenge, str]:
    """Ask for a code, here and not at the site: the outbox is one of each process."""
    challenge = request_code(PHONE).challenge
    assert challenge
    return challenge, local.outbox[-1].code


def wrong(code: str) -> str:
    """Write a code of the same length that is another."""
    return code[:-1] + str((int(code[-1]) + 1) % 10)


# Guards the condition in `PhoneChallenge.objects.take_try`: a try is taken before anybody compares.
def test_s04_of_200_parallel_wrong_codes_five_are_compared(site):
    challenge, code = ask()
    answers = site([("confirm", {"challenge": challenge.public_id, "code": wrong(code)})] * 200)

    assert Counter((each.status, each.code) for each in answers) == {
        (400, "wrong_code"): 5,
        (429, "locked"): 195,
    }
    assert len({each.process for each in answers}) > 1
    assert ConfirmAttempt.objects.filter(challenge=challenge, refusal="wrong_code").count() == 5
    assert ConfirmAttempt.objects.count() == 5
    challenge.refresh_from_db()
    assert challenge.attempts_left == 0
    assert PhoneLedger.objects.get().failures_in_row == 5

    (late,) = site([("confirm", {"challenge": challenge.public_id, "code": code})])
    assert (late.status, late.code) == (429, "locked")
    assert not get_user_model().objects.exists()


# Guards the conditions in `PhoneChallenge.objects.verify` and `.spend`: either happens once.
def test_s03_of_50_parallel_right_codes_one_logs_in(site):
    challenge, code = ask()
    answers = site([("confirm", {"challenge": challenge.public_id, "code": code})] * 50)

    (login,) = [each for each in answers if each.status == 200]
    refused = {(each.status, each.code) for each in answers if each is not login}
    assert refused <= {(400, "challenge_closed"), (429, "locked")}
    assert len({each.process for each in answers}) > 1
    user = get_user_model().objects.get()
    token = Token.objects.get()
    assert login.body == {
        "user": {"id": user.pk, "phone": PHONE, "created": True},
        "token": token.key,
        "device": login.body["device"],
    }
    assert (token.user, UserPhone.objects.get().user) == (user, user)
    assert ConfirmAttempt.objects.get().refusal == ""


# Guards the revision in `PhoneLedger.objects.write`, and that `_settle` looks at the budget again.
def test_s06_parallel_wrong_codes_of_five_challenges_stay_within_the_budget(site, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    asked = [ask() for _ in range(5)]  # with five tries each: 25 could be compared
    answers = site(
        [
            ("confirm", {"challenge": challenge.public_id, "code": wrong(code)})
            for challenge, code in asked
        ]
        * 10
    )

    found = Counter((each.status, each.code) for each in answers)
    assert found.pop((400, "wrong_code")) == 10
    assert set(found) <= {(429, "too_many_requests"), (429, "locked")}
    assert ConfirmAttempt.objects.count() == 10
    ledger = PhoneLedger.objects.get()
    assert (len(ledger.failures), ledger.failures_in_row) == (10, 10)

    late = site(
        [("confirm", {"challenge": challenge.public_id, "code": code}) for challenge, code in asked]
    )
    assert {each.status for each in late} == {429}
    assert not get_user_model().objects.exists()
