"""A server's process that dies at the worst moment: when a try is taken and not yet judged."""

import pytest

from django_phone_otp.models import PhoneChallenge
from tests.conftest import PHONE

pytestmark = pytest.mark.django_db(transaction=True)


# Guards that `take_try` is committed by itself, before the answer is compared.
def test_s22_killed_worker_does_not_give_its_try_back(other_site):
    judge = {"BACKEND": "tests.parallel.judges.DeadlyJudge"}
    with other_site(PROVIDERS={"judge": judge}) as site:
        (asked,) = site([("request", {"phone": PHONE})])
        answer = ("confirm", {"challenge": asked.body["challenge"], "code": "012345"})
        statuses = []
        for _ in range(6):
            (got,) = site([answer])
            statuses.append(got.status)

    assert statuses == [0, 0, 0, 0, 0, 429]
    assert PhoneChallenge.objects.get().attempts_left == 0
