"""How much a request costs the database: statements, and transactions that write.

The numbers are exact, so that a change is seen; the bars that they must stay below are named beside
them. BEGIN, COMMIT and the like are no statements. A transaction that writes costs a flush to disk:
a block from BEGIN to COMMIT with an INSERT, UPDATE or DELETE in it, or one of these on its own.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.authtoken.models import Token

from django_phone_otp.models import PhoneLedger, UserPhone
from django_phone_otp.providers import local
from tests.conftest import PHONE

# Without real transactions there would be nothing to count.
pytestmark = pytest.mark.django_db(transaction=True)

CONTROL = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")
WRITING = ("INSERT", "UPDATE", "DELETE", "REPLACE")


@dataclass
class Cost:
    """What the database had to do; all of it is there after the block of `measured`."""

    statements: list[str] = field(default_factory=list)
    writing_transactions_count: int = 0

    @property
    def counts(self) -> tuple[int, int]:
        """Give the number of statements and of transactions that write."""
        return len(self.statements), self.writing_transactions_count

    def read(self, log: list[str]) -> None:
        """Count what stands in Django's log of queries, on whatever database.

        Savepoints neither begin nor end a transaction, and what is rolled back is not flushed.
        """
        is_open = has_written = False
        for sql in log:
            word = sql.split(maxsplit=1)[0].rstrip(";").upper()
            if word == "BEGIN":
                is_open, has_written = True, False
            elif word == "COMMIT" or (word == "ROLLBACK" and " TO " not in sql.upper()):
                self.writing_transactions_count += word == "COMMIT" and has_written
                is_open = has_written = False
            elif word not in CONTROL:
                self.statements.append(sql)
                if word in WRITING and is_open:
                    has_written = True
                elif word in WRITING:
                    self.writing_transactions_count += 1


@contextmanager
def measured() -> Iterator[Cost]:
    cost = Cost()
    with CaptureQueriesContext(connection) as captured:
        yield cost
    cost.read([each["sql"] for each in captured.captured_queries])


@pytest.fixture
def challenge(post):
    """A challenge that waits for its code, of a phone that waits for nothing."""
    asked = post("request", phone=PHONE).json()["challenge"]
    PhoneLedger.objects.update(last_sent_at=None)
    return asked


@pytest.fixture
def user():
    user = get_user_model().objects.create_user("somebody")
    UserPhone.objects.create(user=user, phone=PHONE, verified_at=timezone.now() - timedelta(days=1))
    return user


# The measure itself


def test_savepoints_are_part_of_their_transaction():
    with measured() as cost, transaction.atomic():
        PhoneLedger.objects.create(phone=PHONE)
        with transaction.atomic():
            PhoneLedger.objects.update(ladder_step=1)
    assert cost.counts == (2, 1)


def test_writes_without_a_transaction_are_one_each():
    with measured() as cost:
        PhoneLedger.objects.update(ladder_step=1)
        PhoneLedger.objects.update(ladder_step=2)
        PhoneLedger.objects.exists()
    assert cost.counts == (3, 2)


def test_transactions_that_read_or_are_rolled_back_write_nothing():
    with measured() as cost:
        with transaction.atomic():
            PhoneLedger.objects.exists()
        with transaction.atomic():
            PhoneLedger.objects.update(ladder_step=1)
            transaction.set_rollback(True)
    assert cost.counts == (2, 0)


# Asking. The bar: 6 statements, 2 transactions that write, with a provider called inline.


def test_request_for_a_phone_with_a_ledger(post):
    PhoneLedger.objects.create(phone=PHONE)
    with measured() as cost:
        assert post("request", phone=PHONE).status_code == 201
    assert cost.counts == (6, 2)


def test_request_for_the_phone_of_a_user(post, user):
    PhoneLedger.objects.create(phone=PHONE)
    with measured() as cost:
        assert post("request", phone=PHONE).status_code == 201
    assert cost.counts == (6, 2)


def test_request_for_a_new_phone(post):
    with measured() as cost:
        assert post("request", phone=PHONE).status_code == 201
    assert cost.counts == (6, 2)


def test_request_that_comes_too_soon_writes_nothing(post, challenge):
    post("resend", challenge=challenge)
    with measured() as cost:
        assert post("request", phone=PHONE).status_code == 429
    assert cost.counts == (2, 0)


def test_resend(post, challenge):
    """Two more than a request: a row tells the sweep of it, should its process die."""
    with measured() as cost:
        assert post("resend", challenge=challenge).status_code == 200
    assert cost.counts == (8, 2)


def test_look_at_a_challenge_writes_nothing(api, challenge):
    with measured() as cost:
        assert api.get(f"/api/phone/challenges/{challenge}/").status_code == 200
    assert cost.counts == (1, 0)


# Answering. The bar: 9 statements, 3 transactions that write, for a known user with a DRF token.


def test_wrong_code(post, challenge):
    wrong = str(int(local.outbox[-1].code) + 1).zfill(6)[-6:]
    with measured() as cost:
        assert post("confirm", challenge=challenge, code=wrong).status_code == 400
    assert cost.counts == (5, 2)


def test_code_for_an_unknown_challenge_writes_nothing(post):
    with measured() as cost:
        assert post("confirm", challenge="none", code="012345").status_code == 400
    assert cost.counts == (1, 0)


def test_login_of_a_known_user(post, challenge, user):
    Token.objects.create(user=user)
    with measured() as cost:
        answer = post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert answer.json()["user"] == {"id": user.pk, "phone": PHONE, "created": False}
    assert cost.counts == (9, 3)


def test_login_of_a_known_user_without_a_token(post, challenge, user):
    with measured() as cost:
        answer = post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert answer.json()["token"]
    assert cost.counts == (10, 3)


def test_each_transaction_of_a_login_begins_with_a_write(post, challenge, user):
    # SQLite refuses at once to write after a read, where somebody else has written meanwhile.
    with CaptureQueriesContext(connection) as captured:
        post("confirm", challenge=challenge, code=local.outbox[-1].code)
    words = [each["sql"].split(maxsplit=1)[0].rstrip(";") for each in captured]
    first = [after for word, after in pairwise(words) if word == "BEGIN"]
    assert first == ["UPDATE", "UPDATE"]


def test_login_writes_to_the_user_before_it_writes_what_refers_to_the_user(post, challenge, user):
    # A row that refers to the user's locks that one, on MariaDB, for reading; two logins at one
    # moment, each about to note `last_login`, would then wait for each other.
    with measured() as cost:
        post("confirm", challenge=challenge, code=local.outbox[-1].code)
    tables = [get_user_model()._meta.db_table, Token._meta.db_table]
    written = [
        table
        for sql in cost.statements
        for table in tables
        if sql.replace("`", '"').startswith((f'UPDATE "{table}"', f'INSERT INTO "{table}"'))
    ]
    assert written == tables


def test_login_of_a_new_user(post, challenge):
    with measured() as cost:
        answer = post("confirm", challenge=challenge, code=local.outbox[-1].code)
    assert answer.json()["user"]["created"] is True
    assert cost.counts == (13, 3)
