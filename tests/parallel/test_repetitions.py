"""Repeated requests, and changes of a user's phones, at one moment."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.contrib.auth import get_user_model
from django.db import connection

from django_phone_otp.flow import unlink_phone
from django_phone_otp.models import DeliveryAttempt, PhoneChallenge, PhoneLedger, UserPhone
from tests.conftest import PHONE

pytestmark = pytest.mark.django_db(transaction=True)

KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


# Guards the unique `request_digest`, and that whoever lost looks for the winner's challenge.
@pytest.mark.parametrize("waits", [[30], [0]], ids=["ladder", "no-ladder"])
def test_forty_repetitions_get_one_challenge_and_one_message(other_site, waits):
    with other_site(RESEND_WAITS=waits) as site:
        answers = site([("request", {"phone": PHONE}, KEY)] * 40)

    assert Counter(each.status for each in answers) == {201: 40}
    assert {each.body["challenge"] for each in answers} == {PhoneChallenge.objects.get().public_id}
    assert DeliveryAttempt.objects.count() == 1
    assert PhoneLedger.objects.get().ladder_step == 1


# Guards the UPDATE of all of the user's phones in `unlink_phone`.
@pytest.mark.parametrize("round_", range(5))
def test_phones_that_are_unlinked_at_one_moment_leave_one(round_):
    user = get_user_model().objects.create(username="owner")
    user.set_unusable_password()
    user.save()
    phones = [
        UserPhone.objects.create(user=user, phone=f"+7924450100{number}") for number in range(4)
    ]

    def unlink(phone):
        try:
            return unlink_phone(user, phone.pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(unlink, phones))

    assert Counter(outcomes) == {None: 3, "last_phone": 1}
    assert UserPhone.objects.count() == 1
