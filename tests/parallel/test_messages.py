"""Many requests for one phone at one moment: how many messages are sent.

Each process of the site has an outbox of its own, so messages are counted in the table of
deliveries, which has a row for each.

All of these guard the revision in `PhoneLedger.objects.write`: who does not get to write the
phone's row has not taken a message from its budget, and reads again what is left.
"""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from django_phone_otp.flow import request_code
from django_phone_otp.models import DeliveryAttempt, PhoneChallenge, PhoneLedger
from tests.conftest import PHONE

pytestmark = pytest.mark.django_db(transaction=True)

LONG_AGO = timedelta(hours=2)


def sent_count() -> int:
    return DeliveryAttempt.objects.filter(outcome="sent").count()


def test_s09_parallel_requests_for_a_new_phone_send_one_message(site):
    answers = site([("request", {"phone": PHONE})] * 50)

    assert Counter((each.status, each.code) for each in answers) == {
        (201, ""): 1,
        (429, "resend_too_soon"): 49,
    }
    assert len({each.process for each in answers}) > 1
    assert sent_count() == DeliveryAttempt.objects.count() == 1
    assert PhoneChallenge.objects.count() == 1
    assert len(PhoneLedger.objects.get().sends) == 1


# Guards that a request is done anew which MariaDB has ended for the sake of another one.
@pytest.mark.usefixtures("_deleted_rows_stay")
def test_s09_parallel_requests_for_phones_whose_rows_went_a_moment_ago_send_one_message(site):
    phones = [f"+7924450100{last}" for last in range(10)]
    PhoneLedger.objects.bulk_create(PhoneLedger(phone=phone) for phone in phones)
    PhoneLedger.objects.all().delete()
    answers = site([("request", {"phone": phone}) for phone in phones for _ in range(8)])

    assert Counter((each.status, each.code) for each in answers) == {
        (201, ""): 10,
        (429, "resend_too_soon"): 70,
    }
    assert sent_count() == PhoneChallenge.objects.count() == PhoneLedger.objects.count() == 10


def test_s09_parallel_requests_for_a_known_phone_send_one_message(site):
    before = timezone.now() - LONG_AGO
    PhoneLedger.objects.create(
        phone=PHONE, sends=[before.timestamp()], ladder_step=1, last_sent_at=before
    )
    answers = site([("request", {"phone": PHONE})] * 50)

    assert Counter((each.status, each.code) for each in answers) == {
        (201, ""): 1,
        (429, "resend_too_soon"): 49,
    }
    assert sent_count() == DeliveryAttempt.objects.count() == 1
    assert PhoneChallenge.objects.count() == 1
    ledger = PhoneLedger.objects.get()
    assert (len(ledger.sends), ledger.ladder_step) == (2, 2)


def test_s09_requests_and_resends_share_one_cooldown(site):
    challenge = request_code(PHONE).challenge
    assert challenge
    PhoneLedger.objects.update(last_sent_at=timezone.now() - LONG_AGO)
    calls = [("request", {"phone": PHONE}), ("resend", {"challenge": challenge.public_id})]
    answers = site(calls * 15)

    found = Counter((each.status, each.code) for each in answers)
    assert found.pop((429, "resend_too_soon")) == 29
    assert list(found) in ([(201, "")], [(200, "")])
    assert sent_count() == 2  # the first one, and one of these thirty


def test_s09_parallel_requests_stay_within_the_budget(other_site):
    with other_site(RESEND_WAITS=[0]) as site:
        answers = site([("request", {"phone": PHONE})] * 30)

    assert Counter((each.status, each.code) for each in answers) == {
        (201, ""): 5,
        (429, "too_many_requests"): 25,
    }
    assert sent_count() == PhoneChallenge.objects.count() == 5
    assert len(PhoneLedger.objects.get().sends) == 5
