"""What PostgreSQL reads for a request: by an index one row, however many old ones there are.

A small table is rightly read whole, and its rows are too few to be slow. So the plans are those of
a database that is told to avoid that; each statement is explained as it is executed, by the server
itself, and what that execution wrote is taken back.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test.utils import CaptureQueriesContext

from django_phone_otp import conf
from django_phone_otp.flow import find_latest, request_code
from django_phone_otp.flow.privacy import erase, export
from django_phone_otp.models import PhoneChallenge, PhoneLedger, UserPhone
from django_phone_otp.providers import local
from tests.conftest import NOW, PHONE
from tests.fakes import providers
from tests.rows import DAY, make_challenge, make_challenges, make_device, make_ledger

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]
__test__ = connection.vendor == "postgresql"  # elsewhere there is nothing to skip

# What grows with each request; accounts and blocked prefixes are as many as operators have made.
GROWING = (
    *("phone_otp_phonechallenge", "phone_otp_phoneledger", "phone_otp_deviceledger"),
    *("phone_otp_deliveryattempt", "phone_otp_confirmattempt", "phone_otp_guardobjection"),
    *("phone_otp_pendingdelivery", "phone_otp_userphone", "auth_user", "authtoken_token"),
)
OLD_COUNT = 200
BYSTANDER = "+79245000007"  # one of those others, with one challenge


@dataclass
class Plans:
    """What was read of tables that grow, and how; `misses` is what looked at more than one row."""

    lookups: set[str] = field(default_factory=set)
    misses: list[str] = field(default_factory=list)
    is_explaining: bool = False

    def __call__(
        self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any
    ) -> Any:
        if not self.is_explaining and sql.startswith(("SELECT", "UPDATE", "DELETE")):
            self.is_explaining = True
            for node in _walk(_explain(sql, params)):
                self._judge(node, sql)
            self.is_explaining = False
        return execute(sql, params, many, context)

    def _judge(self, node: Mapping[str, Any], sql: str) -> None:
        table = node.get("Relation Name")
        if table not in GROWING or node["Node Type"] == "ModifyTable":
            return
        left_out = node.get("Rows Removed by Filter", 0)
        if "Index Cond" not in node or node["Actual Rows"] + left_out > 1:
            self.misses.append(f"{node['Node Type']} of {table}: {sql}")
        self.lookups.add(table)


def _explain(sql: str, params: Any) -> Mapping[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SAVEPOINT explained")
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", params)
        (found,) = cursor.fetchone()
        cursor.execute("ROLLBACK TO SAVEPOINT explained")
    plan: Mapping[str, Any] = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
    return plan


def _walk(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield node
    for each in node.get("Plans", ()):
        yield from _walk(each)


@pytest.fixture
def _crowd(phone_otp) -> None:
    """Users, and a past: of the phone that asks, and of others."""
    phone_otp(RESEND_WAITS=[0])
    users = get_user_model()
    ledger = make_ledger(DAY)
    make_challenges(40 * DAY, ledger, OLD_COUNT)
    for number in range(OLD_COUNT):
        phone = f"+79245{number:06}"
        other = make_ledger(DAY, phone)
        make_challenge(timedelta(hours=number), other, device=make_device(DAY, other))
        UserPhone.objects.create(user=users.objects.create_user(f"user-{number}"), phone=phone)
    UserPhone.objects.create(user=users.objects.create_user("somebody"), phone=PHONE)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")


@pytest.fixture
def plans(_crowd) -> Iterator[Plans]:
    plans = Plans()
    with connection.execute_wrapper(plans):
        yield plans


@pytest.mark.parametrize("phone", [PHONE, "+79244501004"], ids=["known", "new"])
def test_a_login_looks_at_its_own_rows_alone(plans, post, api, phone):
    asked = post("request", phone=phone).json()["challenge"]
    assert post("resend", challenge=asked).status_code == 200
    assert api.get(f"/api/phone/challenges/{asked}/").status_code == 200
    code = local.outbox[-1].code
    wrong = "000000" if code != "000000" else "111111"
    assert post("confirm", challenge=asked, code=wrong).status_code == 400
    assert post("confirm", challenge=asked, code=code).status_code == 200
    assert plans.misses == []
    assert {"phone_otp_phonechallenge", "phone_otp_phoneledger"} <= plans.lookups


def test_so_does_one_of_a_known_device(plans, post):
    device = ""
    for _number in range(3):  # gets a string, uses it for the first time, uses it again
        asked = post("request", phone=PHONE, device=device).json()["challenge"]
        answer = post("confirm", challenge=asked, code=local.outbox[-1].code)
        device = answer.json()["device"]
    assert plans.misses == []
    assert "phone_otp_deviceledger" in plans.lookups


def test_so_does_a_request_that_is_repeated(plans, api):
    for _number in range(2):
        answer = api.post(
            "/api/phone/request/",
            {"phone": PHONE},
            format="json",
            headers={"Idempotency-Key": "a key of the client's own"},
        )
        assert answer.status_code == 201
    assert plans.misses == []


# https://www.postgresql.org/docs/current/storage-hot.html
@pytest.mark.parametrize("phone", [PHONE, "+79244501004"], ids=["known", "new"])
@pytest.mark.usefixtures("_crowd")
def test_what_a_login_changes_is_in_no_index(post, phone):
    with CaptureQueriesContext(connection) as queries:
        asked = post("request", phone=phone).json()["challenge"]
        post("resend", challenge=asked)
        assert post("confirm", challenge=asked, code=local.outbox[-1].code).status_code == 200
    for table in ("phone_otp_phonechallenge", "phone_otp_phoneledger"):
        changed = _columns_changed(table, queries)
        assert changed, f"nothing was changed in {table}"
        assert not changed & _columns_indexed(table)


def _columns_changed(table: str, queries: CaptureQueriesContext) -> set[str]:
    updates = [each["sql"] for each in queries if each["sql"].startswith(f'UPDATE "{table}"')]
    # Up to the last WHERE: one may stand in a subquery, whose columns have a table before them.
    found = (re.findall(r'(?<!\.)"(\w+)" = ', sql.rpartition(" WHERE ")[0]) for sql in updates)
    return {column for columns in found for column in columns}


def _columns_indexed(table: str) -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT attname, indpred IS NULL AND indexprs IS NULL FROM pg_index JOIN pg_attribute "
            "ON attrelid = indrelid AND attnum = ANY(indkey) WHERE indrelid = %s::regclass",
            [table],
        )
        found = cursor.fetchall()
    assert all(is_plain for _column, is_plain in found), "an index may have more columns than these"
    return {column for column, _is_plain in found}


def test_so_does_whatever_looks_for_a_phone(plans, phone_otp):
    phone_otp(PROVIDERS=providers(calls={"kind": "FakePresence"}))
    assert request_code("+79244501004").challenge  # no other one may await a call of this phone
    assert find_latest(BYSTANDER, "a client") is None
    newest = PhoneChallenge.objects.to_phone(BYSTANDER).order_by("-created_at")
    plans.lookups.clear()
    assert newest[0].phone == BYSTANDER
    assert plans.lookups == {"phone_otp_phonechallenge", "phone_otp_phoneledger"}
    assert plans.misses == []


def test_erasing_a_phone_looks_at_its_own_rows_alone(plans):
    assert export(BYSTANDER, conf.read(), NOW)["challenges"]
    assert erase(BYSTANDER, conf.read())
    # Deliveries that wait are few, and here there is none: how they are read says nothing.
    assert not [each for each in plans.misses if " of phone_otp_pendingdelivery" not in each]
    assert not PhoneLedger.objects.filter(phone=BYSTANDER).exists()


def test_what_reads_more_is_found(plans):
    assert PhoneLedger.objects.filter(ladder_step=0).count() > 1
    assert [each.split(":")[0] for each in plans.misses] == ["Seq Scan of phone_otp_phoneledger"]
