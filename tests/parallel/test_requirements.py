"""Requirements of `docs/compliance.md` that speak of many requests at one moment."""

from collections import Counter

import pytest
from django.contrib.auth import get_user_model

from django_phone_otp.flow import request_code
from django_phone_otp.models import ConfirmAttempt, DeliveryAttempt, PhoneChallenge, PhoneLedger
from django_phone_otp.providers import local
from tests.conftest import PHONE

pytestmark = pytest.mark.django_db(transaction=True)

OTHER = "+79244501004"
SPELLINGS = [
    "+79244501003",
    "8 924 450-10-03",
    "+7 (924) 450 10 03",
    "+７９２４４５０１００３",
    "8-924-450-10-03",
]


def ask(phone: str = PHONE) -> tuple[PhoneChallenge, str]:
    """Ask for a code, here and not at the site: the outbox is one of each process."""
    challenge = request_code(phone).challenge
    assert challenge
    return challenge, local.outbox[-1].code


def wrong(code: str) -> str:
    """Write a code of the same length that is another."""
    return code[:-1] + str((int(code[-1]) + 1) % 10)


# Guards `Least` in `PhoneChallenge.objects.record_code`: a resend never gives a try back.
def test_s05_resends_among_wrong_codes_give_no_try_back(other_site):
    challenge, code = ask()
    resend = ("resend", {"challenge": challenge.public_id})
    answer = ("confirm", {"challenge": challenge.public_id, "code": wrong(code)})
    with other_site(RESEND_WAITS=[0]) as site:
        site([answer] * 2)
        answers = site([answer, answer, resend, answer, answer] * 8)

    told = Counter(each.code for each in answers if "attempts_left" in each.body)
    assert told == {"wrong_code": 3}
    assert ConfirmAttempt.objects.count() == 5
    challenge.refresh_from_db()
    assert challenge.attempts_left == 0


def test_s08_requests_of_strangers_leave_the_owners_challenge_alone(other_site):
    challenge, code = ask()
    request = ("request", {"phone": PHONE})
    with other_site(RESEND_WAITS=[0]) as site:
        answers = site(
            [*[request] * 20, ("confirm", {"challenge": challenge.public_id, "code": code})]
        )

    assert [each.body["user"]["phone"] for each in answers if each.status == 200] == [PHONE]
    assert Counter(each.status for each in answers) == {200: 1, 201: 4, 429: 16}


def test_s10_the_code_of_one_challenge_is_wrong_for_another(site):
    _challenge, code = ask(OTHER)
    challenge, own_code = ask()
    assert code != own_code  # once in a million runs they are the same
    answers = site([("confirm", {"challenge": challenge.public_id, "code": code})] * 40)

    assert Counter(each.code for each in answers) == {"wrong_code": 5, "locked": 35}
    assert not get_user_model().objects.exists()


def test_s18_spellings_of_one_phone_share_one_message(site):
    answers = site([("request", {"phone": each}) for each in SPELLINGS] * 8)

    assert Counter((each.status, each.code) for each in answers) == {
        (201, ""): 1,
        (429, "resend_too_soon"): 39,
    }
    assert DeliveryAttempt.objects.filter(outcome="sent").count() == 1
    assert PhoneLedger.objects.get().phone == PHONE
