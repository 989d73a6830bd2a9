"""The settings of knox, as its own login view keeps them. `test_user_models` runs this."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.db import connection
from django.test import RequestFactory
from django.utils import timezone
from knox.models import get_token_model
from rest_framework.test import APIClient

from django_phone_otp.flow import request_code
from django_phone_otp.issuers.knox import KnoxIssuer
from django_phone_otp.providers import local

HOUR = timedelta(hours=1)
PHONES = [f"+7924450200{last}" for last in range(4)]
LOGINS_COUNT = 5


def make_user(**columns: Any) -> Any:
    # The two models that this runs for have this in common: a user name of 30 characters.
    model = get_user_model()
    return model._default_manager.create(**{model.USERNAME_FIELD: "ann", **columns})


@pytest.fixture
def user(db) -> Any:
    return make_user()


@pytest.fixture
def issue(clock):
    """Issue a token, each a minute after the one before."""

    def run(user: Any) -> str:
        clock.shift(60)
        return KnoxIssuer().issue(RequestFactory().post("/"), user)["token"]

    return run


def is_let_in(token: str) -> bool:
    headers = {"Authorization": f"Token {token}"}
    return APIClient().get("/knox/who/", headers=headers).status_code == 200


def test_token_has_the_prefix_and_the_life_that_the_settings_say(settings, issue, user):
    settings.REST_KNOX = {"TOKEN_PREFIX": "shop-", "TOKEN_TTL": 3 * HOUR}
    assert issue(user).startswith("shop-")
    assert get_token_model().objects.get().expiry == timezone.now() + 3 * HOUR


def test_token_may_live_for_ever(settings, issue, user):
    settings.REST_KNOX = {"TOKEN_TTL": None}
    issue(user)
    assert get_token_model().objects.get().expiry is None


def test_each_login_has_a_token_where_there_is_no_limit(issue, user):
    assert [is_let_in(each) for each in [issue(user) for _ in range(12)]] == [True] * 12


def test_oldest_token_goes_where_the_limit_is_reached(settings, issue, user):
    settings.REST_KNOX = {"TOKEN_LIMIT_PER_USER": 2}
    tokens = [issue(user) for _ in range(4)]
    assert [is_let_in(each) for each in tokens] == [False, False, True, True]


def test_limit_that_was_lowered_holds_from_the_next_login(settings, issue, user):
    tokens = [issue(user) for _ in range(3)]
    settings.REST_KNOX = {"TOKEN_LIMIT_PER_USER": 1}
    tokens.append(issue(user))
    assert [is_let_in(each) for each in tokens] == [False, False, False, True]


def test_token_that_never_expires_counts_as_live(settings, issue, user):
    settings.REST_KNOX = {"TOKEN_LIMIT_PER_USER": 1, "TOKEN_TTL": None}
    tokens = [issue(user) for _ in range(2)]
    assert [is_let_in(each) for each in tokens] == [False, True]


def test_expired_token_takes_nobodys_place(settings, issue, user):
    settings.REST_KNOX = {"TOKEN_LIMIT_PER_USER": 2, "TOKEN_TTL": 10 * HOUR}
    kept = issue(user)
    # Newer than the one that is kept: the oldest of all is not the one to go.
    settings.REST_KNOX = {"TOKEN_LIMIT_PER_USER": 2, "TOKEN_TTL": timedelta(seconds=30)}
    issue(user)
    settings.REST_KNOX = {"TOKEN_LIMIT_PER_USER": 2, "TOKEN_TTL": 10 * HOUR}
    assert is_let_in(issue(user))
    assert is_let_in(kept)


def test_limit_is_each_users_own(settings, issue, user):
    settings.REST_KNOX = {"TOKEN_LIMIT_PER_USER": 1}
    others = issue(make_user(**{get_user_model().USERNAME_FIELD: "bob"}))
    issue(user)
    assert is_let_in(others)


def test_limit_of_none_at_all_is_a_mistake(settings, issue, user):
    settings.REST_KNOX = {"TOKEN_LIMIT_PER_USER": 0}
    with pytest.raises(ImproperlyConfigured, match="TOKEN_LIMIT_PER_USER'] must be 1 at least"):
        issue(user)
    assert not get_token_model().objects.exists()


# Guards the lock on the user's row: each of two logins would count without the other's token.
@pytest.mark.django_db(transaction=True)
def test_limit_holds_for_logins_at_one_moment(settings, phone_otp):
    settings.REST_KNOX = {"TOKEN_LIMIT_PER_USER": 2}
    phone_otp(TOKEN_ISSUER="knox", RESEND_WAITS=[0], LIMITS={"request_ip": "1000/h"})
    answers = []
    for phone in PHONES * LOGINS_COUNT:
        challenge = request_code(phone).challenge
        assert challenge
        answers.append({"challenge": challenge.public_id, "code": local.outbox[-1].code})
    everybody = Barrier(len(answers))

    def confirm(answer: dict[str, str]) -> int:
        try:
            connection.ensure_connection()
            everybody.wait(60)
            return APIClient().post("/api/phone/confirm/", answer, format="json").status_code
        finally:
            connection.close()

    with ThreadPoolExecutor(len(answers)) as threads:
        assert set(threads.map(confirm, answers)) == {200}
    users = get_user_model()._default_manager.all()
    assert [get_token_model().objects.filter(user=each).count() for each in users] == [2] * 4


# Guards the transaction: without one the lock would be nobody's.
@pytest.mark.django_db(transaction=True)
def test_issues_outside_a_transaction_too(settings, issue):
    settings.REST_KNOX = {"TOKEN_LIMIT_PER_USER": 1}
    assert is_let_in(issue(make_user()))
