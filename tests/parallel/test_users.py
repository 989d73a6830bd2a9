"""Logins and links of one phone at one moment, each with a challenge and right code of its own."""

from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.db import connection, connections
from rest_framework.authtoken.models import Token

from django_phone_otp.flow import request_code
from django_phone_otp.models import PhoneChallenge, UserPhone
from django_phone_otp.providers import local
from tests import steps
from tests.conftest import PHONE
from tests.parallel.conftest import Call

pytestmark = pytest.mark.django_db(transaction=True)

# Several people at once: the moment in which two logins of one of them meet is short.
NEW_PHONES = [f"+7924450200{last}" for last in range(10)]
KNOWN_PHONES = [f"+7924450300{last}" for last in range(10)]
# MariaDB ends one of two that insert a phone which was deleted a moment ago, as by the test before.
LINKED_PHONES = [f"+7924450400{last}" for last in range(10)]


@pytest.fixture
def ask(phone_otp):
    """Write five right answers for each phone, to five challenges."""
    phone_otp(RESEND_WAITS=[0], LIMITS={"request_ip": "1000/h", "send_phone": "6/h"})

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


def answer_link(phone: str) -> Call:
    """Write the right answer of a new user who links a phone."""
    name = f"member{phone}"
    user = get_user_model().objects.create_user(name, password="hunter2-key")
    challenge = steps.ask(phone, purpose="link", user=user)
    body = {"challenge": challenge.public_id, "code": local.outbox[-1].code}
    proof = b64encode(f"{name}:hunter2-key".encode()).decode()
    return "confirm", body, {"Authorization": f"Basic {proof}"}


# Guards that `flow.users` notes a user whom spending the challenge could not see yet.
def test_logins_beside_a_link_of_the_same_phone_note_whom_they_logged_in(site, ask):
    of_phones = [[answer_link(phone), *ask([phone])] for phone in LINKED_PHONES]
    answers = site([call for of_phone in of_phones for call in of_phone])

    owners = dict(UserPhone.objects.values_list("phone", "user_id"))
    assert {each.code for each in answers if each.status != 200} <= {"phone_not_allowed"}
    told = [each.body["user"] for each in answers if each.status == 200]
    assert [each for each in told if each["id"] != owners[each["phone"]]] == []
    spent = PhoneChallenge.objects.filter(purpose="login", spent_at__isnull=False)
    assert spent.count() == 5 * len(LINKED_PHONES)
    assert [each for each in spent if each.user_id != owners[each.phone]] == []


if connection.vendor != "sqlite":  # where nobody else writes while a login does

    def give_phone(user: Any) -> None:
        UserPhone.objects.create(user=user, phone=PHONE)

    def take_phone(_user: Any) -> None:
        UserPhone.objects.filter(phone=PHONE).delete()

    def move_phone(user: Any) -> None:
        take_phone(user)
        give_phone(user)

    def run_elsewhere(change: Callable[[Any], None], user: Any) -> None:
        """Run in this thread, which has a connection of its own."""
        try:
            change(user)
        finally:
            connections.close_all()

    @pytest.mark.parametrize(
        ("is_known", "change"),
        [(False, give_phone), (True, take_phone), (True, move_phone)],
        ids=["linked", "unlinked", "moved"],
    )
    def test_a_phone_changes_hands_while_its_challenge_is_spent(
        is_known: bool, change: Callable[[Any], None]
    ) -> None:
        before, after = map(get_user_model().objects.create_user, ("before", "after"))
        if is_known:
            give_phone(before)
        challenge = steps.answer(steps.ask())

        def change_when_spent(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
            done = execute(sql, *rest)
            if sql.startswith("UPDATE") and "spent_at" in sql:
                pool.submit(run_elsewhere, change, after).result()
            return done

        with ThreadPoolExecutor(1) as pool, connection.execute_wrapper(change_when_spent):
            user = authenticate(None, phone_challenge=challenge)

        assert user
        assert user != before
        challenge.refresh_from_db()
        assert challenge.user_id == user.pk == UserPhone.objects.get(phone=PHONE).user_id
