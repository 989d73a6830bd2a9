"""Known devices under many requests at one moment: their budgets hold, and so do their phones'.

A device string is signed, and the servers have the key of this process: it is made here.
"""

from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from django_phone_otp import devices
from django_phone_otp.flow import request_code
from django_phone_otp.models import (
    ConfirmAttempt,
    DeliveryAttempt,
    DeviceLedger,
    PhoneChallenge,
    PhoneLedger,
)
from django_phone_otp.providers import local
from tests.conftest import PHONE

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "k" * 22


def device(key: str = KEY) -> str:
    return devices.make_device(key, PHONE)


def request(text: str = "") -> tuple[str, dict[str, str]]:
    return "request", {"phone": PHONE, "device": text}


def wrong_answer(text: str = "") -> tuple[str, dict[str, str]]:
    """Ask for a code, here and not at the site, and write a wrong answer."""
    challenge = request_code(PHONE, device=text).challenge
    assert challenge
    code = local.outbox[-1].code
    wrong = code[:-1] + str((int(code[-1]) + 1) % 10)
    return "confirm", {"challenge": challenge.public_id, "code": wrong}


def know_phone() -> None:
    PhoneLedger.objects.create(phone=PHONE)


def know_device() -> None:
    ledger = PhoneLedger.objects.create(phone=PHONE)
    DeviceLedger.objects.create(ledger=ledger, key=KEY)


# Guards the unique constraint of `DeviceLedger`, and its revision: as those of a phone's ledger.
@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(know_device, id="used-before"),
        pytest.param(know_phone, id="first-use"),
        pytest.param(lambda: None, id="phone-purged"),
    ],
)
def test_s09_parallel_requests_with_one_device_send_one_message(site, begin):
    begin()
    answers = site([request(device())] * 50)

    assert Counter((each.status, each.code) for each in answers) == {
        (201, ""): 1,
        (429, "resend_too_soon"): 49,
    }
    assert len({each.process for each in answers}) > 1
    assert DeliveryAttempt.objects.filter(outcome="sent").count() == 1
    found = DeviceLedger.objects.get()
    assert (found.key, len(found.sends)) == (KEY, 1)
    assert PhoneChallenge.objects.get().device == found
    assert PhoneLedger.objects.get().sends == []


def test_s09_parallel_requests_stay_within_the_budget_of_each_device(other_site):
    names = ["a" * 22, "b" * 22]
    with other_site(RESEND_WAITS=[0]) as site:
        answers = site([request(device(name)) for name in names] * 15 + [request()] * 15)

    assert Counter((each.status, each.code) for each in answers) == {
        (201, ""): 15,
        (429, "too_many_requests"): 30,
    }
    assert Counter(PhoneChallenge.objects.values_list("device__key", flat=True)) == {
        names[0]: 5,
        names[1]: 5,
        None: 5,
    }
    assert [len(each.sends) for each in DeviceLedger.objects.all()] == [5, 5]
    assert len(PhoneLedger.objects.get().sends) == 5


def test_s07_a_crowd_of_strangers_does_not_keep_a_device_out(site):
    answers = site([request()] * 40 + [request(device())])

    assert Counter(each.status for each in answers) == {201: 2, 429: 39}
    assert PhoneChallenge.objects.filter(device__key=KEY).count() == 1


# Guards that both rows are written with their revisions, and that `settle` looks at them again.
def test_s07_parallel_wrong_codes_of_a_device_and_of_strangers_stay_in_their_budgets(
    site, phone_otp
):
    phone_otp(RESEND_WAITS=[0])
    answers_of = [wrong_answer(text) for text in [device(), ""] for _ in range(5)]
    answers = site(answers_of * 8)  # with five tries each: 25 of either could be compared

    found = Counter((each.status, each.code) for each in answers)
    assert found.pop((400, "wrong_code")) == 20
    assert set(found) <= {(429, "too_many_requests"), (429, "locked")}
    assert len({each.process for each in answers}) > 1
    assert ConfirmAttempt.objects.count() == 20
    ledger, of_device = PhoneLedger.objects.get(), DeviceLedger.objects.get()
    assert (len(of_device.failures), len(ledger.failures), ledger.failures_in_row) == (10, 10, 20)


def test_s06_parallel_wrong_codes_of_devices_count_in_one_row(other_site, phone_otp):
    phone_otp(RESEND_WAITS=[0])
    texts = [device(letter * 22) for letter in "abc"]
    answers_of = [wrong_answer(text) for text in texts for _ in range(2)]
    limits = {"confirm_ip": "100000/h", "fail_phone_total": 12}
    with other_site(LIMITS=limits) as site:
        answers = site(answers_of * 6)

    assert Counter(each.code for each in answers)["wrong_code"] == 12
    ledger = PhoneLedger.objects.get()
    assert (ledger.failures_in_row, ledger.disabled_at is None) == (12, False)


# Guards that a device which was idle takes its place in the phone's row as well.
def test_s09_of_many_idle_devices_at_one_moment_ten_count(site):
    ledger = PhoneLedger.objects.create(phone=PHONE)
    keys = [f"{number:022}" for number in range(24)]
    yesterday = timezone.now() - timedelta(hours=25)
    for key in keys:
        DeviceLedger.objects.create(ledger=ledger, key=key, last_sent_at=yesterday)
    answers = site([request(device(key)) for key in keys])

    assert Counter(each.status for each in answers) == {201: 11, 429: 13}  # ten, and the phone's
    assert DeviceLedger.objects.filter(last_sent_at__gt=yesterday).count() == 10
