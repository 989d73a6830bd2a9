"""Many at one moment, each in a thread with a connection of its own."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connections
from rest_framework.authtoken.models import Token
from rest_framework.test import APIClient

from django_phone_otp.models import ConfirmAttempt, PhoneChallenge
from django_phone_otp.providers import local
from tests.conftest import PHONE
from tests.lifepos.conftest import SEND, SIGN_IN, right_code, told, wrong_code

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long]

PATIENCE_SECONDS = 60


@pytest.fixture
def at_once(phone_otp) -> Callable[..., Any]:
    """Post the same body so many times at one moment, and give the answers."""
    phone_otp(LIMITS={"request_ip": "1000/h", "confirm_ip": "1000/h"})

    def post_all(count: int, path: str, **body: str) -> list[Any]:
        barrier = Barrier(count)

        def post() -> Any:
            try:
                barrier.wait(PATIENCE_SECONDS)
                return APIClient().post(path, body, format="json")
            finally:
                connections.close_all()

        with ThreadPoolExecutor(count) as pool:
            asking = [pool.submit(post) for _ in range(count)]
            return [each.result(PATIENCE_SECONDS) for each in asking]

    return post_all


def test_s03_of_parallel_right_codes_one_logs_in(at_once, send):
    send(phone=PHONE)
    answers = at_once(12, SIGN_IN, phone=PHONE, confirmation_code=right_code())
    (login,) = [each for each in answers if each.status_code == 200]
    assert login.json() == {"token": Token.objects.get().key}
    words = {told(each)[1] for each in answers if each is not login}
    assert words <= {
        "ConfirmationCodeWasCanceled",
        "ConfirmationCodeWasNotSend",
        "TrySendCodeLater",
    }
    assert get_user_model().objects.count() == 1
    assert ConfirmAttempt.objects.get().refusal == ""


def test_s04_of_parallel_wrong_codes_five_are_compared(at_once, send):
    send(phone=PHONE)
    answers = at_once(24, SIGN_IN, phone=PHONE, confirmation_code=wrong_code())
    assert Counter(told(each) for each in answers) == {
        (422, "InvalidConfirmationCode", "wrong_code"): 5,
        (429, "TrySendCodeLater", "locked"): 19,
    }
    assert PhoneChallenge.objects.get().attempts_left == 0


def test_s09_of_parallel_requests_one_sends_a_message(at_once):
    answers = at_once(12, SEND, phone=PHONE)
    assert Counter(each.status_code for each in answers) == {204: 1, 429: 11}
    assert len(local.outbox) == PhoneChallenge.objects.count() == 1
