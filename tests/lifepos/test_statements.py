"""What a request costs the database: as much as one of the API, and for an answer one more read.

An app that knows the document keeps no identifier: its challenge has to be looked for.
"""

import pytest
from rest_framework.authtoken.models import Token

from django_phone_otp.models import PhoneLedger, UserPhone
from tests.conftest import PHONE
from tests.lifepos.conftest import right_code, wrong_code
from tests.test_statements import measured

pytestmark = pytest.mark.django_db(transaction=True)


def test_send(send):
    with measured() as cost:
        assert send(phone=PHONE).status_code == 204
    assert cost.counts == (6, 2)


def test_send_that_comes_too_soon_writes_nothing(send):
    send(phone=PHONE)
    with measured() as cost:
        assert send(phone=PHONE).status_code == 429
    assert cost.counts == (2, 0)


def test_send_that_does_not_fit_asks_for_nothing(send):
    with measured() as cost:
        assert send(phone="1").status_code == 422
    assert cost.counts == (0, 0)


def test_wrong_code(send, sign_in):
    send(phone=PHONE)
    with measured() as cost:
        assert sign_in(phone=PHONE, confirmation_code=wrong_code()).status_code == 422
    assert cost.counts == (6, 2)


def test_code_that_nobody_asked_for_writes_nothing(sign_in):
    with measured() as cost:
        assert sign_in(phone=PHONE, confirmation_code="012345").status_code == 422
    assert cost.counts == (2, 0)


def test_login_of_a_known_user(send, sign_in, django_user_model):
    user = django_user_model.objects.create_user("known")
    UserPhone.objects.create(user=user, phone=PHONE)
    Token.objects.create(user=user)
    send(phone=PHONE)
    PhoneLedger.objects.update(last_sent_at=None)
    with measured() as cost:
        assert sign_in(phone=PHONE, confirmation_code=right_code()).status_code == 200
    assert cost.counts == (10, 3)
