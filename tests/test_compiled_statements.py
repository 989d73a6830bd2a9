"""Statements that are compiled once do what the ORM would do: each time, on each database."""

import inspect
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.contrib.auth import get_user_model
from django.core.exceptions import FieldDoesNotExist
from django.db import DatabaseError, connection, connections, models, transaction
from django.forms import model_to_dict
from django.test.utils import CaptureQueriesContext
from django.utils.connection import ConnectionDoesNotExist

from django_phone_otp import models as ours
from django_phone_otp.choices import Channel, Custody, Purpose, State
from django_phone_otp.models import (
    DeviceLedger,
    IssuedCode,
    PendingDelivery,
    PhoneChallenge,
    PhoneLedger,
    ProviderAccount,
    UserPhone,
)
from django_phone_otp.statements import Update, compiled_select, compiled_update
from tests.conftest import NOW, PHONE

pytestmark = pytest.mark.django_db

OTHER_PHONE = "+79244501004"
MINUTE = timedelta(minutes=1)


class Ledgers:
    """Phones' ledgers with statements of their own, and a list of those that were written."""

    def __init__(self) -> None:
        written: list[str] = []

        class Rows(models.QuerySet[PhoneLedger]):
            @compiled_update(before=models.DateTimeField())
            def climb(self, phone: str, ladder_step: int, before: datetime) -> Update:
                written.append("climb")
                return self.filter(phone=phone, created_at__lt=before), {"ladder_step": ladder_step}

            @compiled_update()
            def change(self, /, phone: str, **changes: Any) -> Update:
                written.append(" ".join(changes))
                return self.filter(phone=phone), changes

            @compiled_update(step=None)
            def descend(self, phone: str, step: int) -> Update:
                written.append(f"descend {step}")
                change = models.F("ladder_step") - step
                return self.filter(phone=phone), {"ladder_step": change}

            @compiled_select()
            def of_step(self, ladder_step: int) -> "models.QuerySet[PhoneLedger]":
                written.append("of_step")
                return self.filter(ladder_step=ladder_step).order_by("phone")

        self.rows: Any = Rows(PhoneLedger)
        self.written = written


@pytest.fixture
def ledgers() -> Ledgers:
    return Ledgers()


@pytest.fixture
def ledger() -> PhoneLedger:
    return PhoneLedger.objects.create(phone=PHONE, ladder_step=3, created_at=NOW)


def store_challenge(ledger: PhoneLedger) -> PhoneChallenge:
    return PhoneChallenge.objects.create(
        phone=PHONE,
        ledger=ledger,
        state=State.SENT,
        attempts_left=5,
        code_digest="digits$6$first",
        code_length=6,
        channel=Channel.SMS,
        custody=Custody.LOCAL,
        sent_at=NOW,
        expires_at=NOW + 5 * MINUTE,
    )


@pytest.fixture
def challenge(ledger: PhoneLedger) -> PhoneChallenge:
    return store_challenge(ledger)


@pytest.fixture
def second(transactional_db: Any) -> Iterator[str]:
    """The alias of a second connection to the same database; PostgreSQL binds its values there."""
    other = connection.copy("second")
    if other.vendor == "postgresql":
        other.settings_dict["OPTIONS"] = {"server_side_binding": True}
    connections["second"] = other
    yield "second"
    other.close()
    del connections["second"]


def stored(ledger: PhoneLedger) -> PhoneLedger:
    return PhoneLedger.objects.get(pk=ledger.pk)


# Ours

CODE: dict[str, Any] = {
    "state": State.SENT,
    "sent_at": NOW,
    "expires_at": NOW + MINUTE,
    "code_digest": "digits$6$second",
    "attempts_left": 3,
    "account": "texts",
    "provider": "locmem",
    "provider_ref": "7",
    "channel": Channel.SMS,
    "custody": Custody.LOCAL,
    "call_to": "",
}
PROVEN: dict[str, Any] = {"purpose": Purpose.LOGIN, "verified_after": NOW - MINUTE, "now": NOW}
UPDATES: list[tuple[type[models.Model], str, dict[str, Any]]] = [
    (PhoneChallenge, "take_try", {"now": NOW}),
    (PhoneChallenge, "verify", {"now": NOW}),
    (PhoneChallenge, "spend", {**PROVEN, "user_id": None}),
    (PhoneChallenge, "spend_for_owner", PROVEN),
    (PhoneChallenge, "note_user", {"user_id": None}),
    (PhoneChallenge, "_replace_code", {**CODE, "code_length": 0}),
    (PhoneChallenge, "_replace_code", {**CODE, "code_length": 4}),
    (PhoneChallenge, "_replace_code", {**CODE, "code_length": 6}),
    (PhoneLedger, "replace", {"revision": 0, "disabled_at": None, "sends": [1.5, 2.25]}),
    (PhoneLedger, "replace", {"revision": 0, "account_sends": {"a'b": [1.5]}}),
    (DeviceLedger, "replace", {"revision": 0, "last_sent_at": NOW, "failures": []}),
    (PendingDelivery, "_take", {"claimed_at": NOW}),
]
SELECTS: list[tuple[type[models.Model], str, list[str]]] = [
    (PhoneChallenge, "_find", ["public_id"]),
    (PhoneLedger, "_find", ["phone"]),
    (DeviceLedger, "_find", ["ledger_id", "key"]),
    (DeviceLedger, "of_pk", ["pk"]),
    (UserPhone, "of_phone", ["phone"]),
    (PendingDelivery, "_of_pk", ["pk"]),
    (ProviderAccount, "in_order", []),
]


@pytest.fixture
def find(challenge: PhoneChallenge) -> Any:
    """Give the one row of a model, as a plain SELECT reads it."""
    DeviceLedger.objects.create(ledger=challenge.ledger, key="k1", failures=[1.5])
    user = get_user_model().objects.create_user("somebody")
    UserPhone.objects.create(user=user, phone=PHONE, verified_at=NOW)
    PendingDelivery.objects.create(challenge=challenge, route=["texts"], language="en")
    ProviderAccount.objects.create(alias="texts", backend="locmem", regions=["RU"])
    return lambda model: model.objects.get()


def test_all_of_ours_are_tried_here():
    compiled = {
        (model, name)
        for model in apps.get_app_config("phone_otp").get_models()
        for name, method in inspect.getmembers(type(model._default_manager.all()))
        if hasattr(method, "__wrapped__") and method.__module__.startswith(ours.__name__)
    }
    assert compiled == {(model, name) for model, name, _arguments in [*UPDATES, *SELECTS]}


@pytest.mark.parametrize(("model", "name", "values"), UPDATES)
def test_update_is_that_of_the_orm(find, model, name, values):
    pk = find(model).pk
    done = []
    for _ in range(2):
        rows = model.objects.all()
        with CaptureQueriesContext(connection) as compiled, transaction.atomic():
            happened = getattr(rows, name)(pk=pk, **values)
            found = model_to_dict(find(model))
            transaction.set_rollback(True)
        with CaptureQueriesContext(connection) as plain, transaction.atomic():
            chosen, changes = getattr(type(rows), name).__wrapped__(rows, pk=pk, **values)
            assert bool(chosen.update(**changes)) is happened
            assert model_to_dict(find(model)) == found
            transaction.set_rollback(True)
        done.append([updates_in(compiled), updates_in(plain)])
    for first, second in done:
        assert first == second
    assert all(len(first) == 1 for first, _second in done)


@pytest.mark.parametrize(("model", "name", "fields"), SELECTS)
def test_select_is_that_of_the_orm(find, model, name, fields):
    values = {field: getattr(find(model), field) for field in fields}
    rows = model.objects.all()
    (plain,) = getattr(type(rows), name).__wrapped__(rows, **values)
    for _ in range(2):
        answer = getattr(rows, name)(**values)
        (found,) = answer if isinstance(answer, list) else [answer]
        with CaptureQueriesContext(connection) as queries:
            assert_is_that_of_the_orm(found, plain)
        assert len(queries) == 0


@pytest.mark.parametrize(("model", "name", "fields"), SELECTS)
def test_select_of_nothing_gives_nothing(model, name, fields):
    assert not getattr(model.objects.all(), name)(**dict.fromkeys(fields, "7"))


def assert_is_that_of_the_orm(found: models.Model, plain: models.Model) -> None:
    """Compare an object, and those that are joined to it."""
    assert values_of(found) == values_of(plain)
    assert (found._state.adding, found._state.db) == (False, "default")
    for field, joined in plain._state.fields_cache.items():
        assert_is_that_of_the_orm(getattr(found, field), joined)


def updates_in(captured: CaptureQueriesContext) -> list[str]:
    """Give the UPDATE statements without parentheses: the ORM writes some more around a place."""
    log = [each["sql"] for each in captured]
    return [re.sub("[()]", "", sql) for sql in log if sql.startswith("UPDATE")]


def values_of(row: models.Model) -> dict[str, Any]:
    return {each.attname: getattr(row, each.attname) for each in row._meta.concrete_fields}


# The values


def test_statement_is_executed_with_the_values_of_each_call(ledgers, ledger):
    assert ledgers.rows.climb(PHONE, 4, NOW + MINUTE)
    assert ledgers.rows.climb(phone=PHONE, ladder_step=5, before=NOW + MINUTE)
    assert not ledgers.rows.climb(PHONE, 6, before=NOW)
    assert not ledgers.rows.climb(OTHER_PHONE, 7, NOW + MINUTE)
    assert stored(ledger).ladder_step == 5


@pytest.mark.parametrize(
    "changes",
    [
        {"sends": [1.5, 2.25], "account_sends": {"мой \"счёт'": [0.1]}},
        {"last_sent_at": datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)},
        {"last_sent_at": None, "disabled_at": NOW},
        {"failures_in_row": 7, "sends": []},
    ],
    ids=lambda changes: " ".join(changes),
)
def test_values_are_stored_as_the_orm_stores_them(ledgers, ledger, changes):
    assert ledgers.rows.change(PHONE, **changes)
    found = ledgers.rows.of_step(3)
    assert {name: getattr(found, name) for name in changes} == changes
    assert PhoneLedger.objects.filter(**changes).exists() or "sends" in changes


def test_value_cannot_be_sql(ledgers, ledger):
    assert not ledgers.rows.climb("' OR ''='", 9, NOW + MINUTE)
    assert stored(ledger).ladder_step == 3


def test_user_is_noted_by_its_key(challenge):
    user = get_user_model().objects.create_user("somebody")
    PhoneChallenge.objects.update(state=State.VERIFIED, verified_at=NOW)
    assert PhoneChallenge.objects.spend(challenge.pk, **PROVEN, user_id=user.pk)
    assert PhoneChallenge.objects.get().user == user


@pytest.mark.parametrize("arguments", [(None, 4, NOW), (PHONE, 4, None), (PHONE, None, NOW)])
def test_none_is_refused_where_the_field_is_never_null(ledgers, ledger, arguments):
    name = ("phone", "ladder_step", "before")[arguments.index(None)]
    with CaptureQueriesContext(connection) as queries, pytest.raises(ValueError, match=name):
        ledgers.rows.climb(*arguments)
    assert len(queries) == 0


def test_select_gives_the_first_in_the_order_of_the_method(ledgers, ledger):
    PhoneLedger.objects.create(phone="+79244501001", ladder_step=3)
    assert ledgers.rows.of_step(3).phone == "+79244501001"


# What is compiled, and when


def test_statement_is_written_once(ledgers, ledger):
    for step in range(3):
        ledgers.rows.climb(PHONE, step, NOW + MINUTE)
        ledgers.rows.all().of_step(step)
    assert ledgers.written == ["climb", "of_step"]


def test_each_set_of_names_is_a_statement(ledgers, ledger):
    for step in range(2):
        assert ledgers.rows.change(PHONE, ladder_step=step)
        assert ledgers.rows.change(PHONE, ladder_step=step, failures_in_row=step)
    assert ledgers.written == ["ladder_step", "ladder_step failures_in_row"]
    assert (stored(ledger).ladder_step, stored(ledger).failures_in_row) == (1, 1)


def test_each_value_of_a_constant_is_a_statement(ledgers, ledger):
    for step in (1, -5, 1):
        assert ledgers.rows.descend(PHONE, step=step)
    assert ledgers.written == ["descend 1", "descend -5"]
    assert stored(ledger).ladder_step == 6


def test_each_model_has_its_own(ledgers, ledger):
    device = DeviceLedger.objects.create(ledger=ledger, key="k1")
    assert [each.write({"ladder_step": 8}) for each in (ledger, device)] == [True, True]
    assert [stored(ledger).ladder_step, DeviceLedger.objects.get().ladder_step] == [8, 8]


def test_each_database_has_its_own(second, ledgers):
    PhoneLedger.objects.create(phone=PHONE, ladder_step=3, created_at=NOW)
    for using in ("default", second, "default", second):
        rows = ledgers.rows.using(using)
        with CaptureQueriesContext(connections[using]) as queries:
            assert rows.climb(PHONE, 4, NOW + MINUTE)
            assert rows.change(PHONE, sends=[1.5], last_sent_at=NOW)
            assert rows.descend(PHONE, 1)
            found = rows.of_step(3)
        assert len(queries) == 4
        assert (found._state.db, found.sends, found.last_sent_at) == (using, [1.5], NOW)
    assert ledgers.written == 2 * ["climb", "sends last_sent_at", "descend 1", "of_step"]


def test_our_own_work_on_each_database(second, clock):
    PhoneLedger.objects.create(phone=PHONE)
    challenge = store_challenge(PhoneLedger.objects.get())
    challenges: Any = PhoneChallenge.objects.using(second)
    code = IssuedCode(**CODE, code_length=4)
    assert challenges.record_code(challenge, code)
    assert challenges.take_try(challenge.pk, NOW)
    assert challenges.verify(challenge.pk, NOW)
    assert challenges.spend(challenge.pk, **PROVEN, user_id=None)
    found = challenges.of_public_id(challenge.public_id)
    assert (found.code_length, found.attempts_left, found.state) == (4, 2, State.VERIFIED)
    assert (found.spent_at, found.ledger.phone) == (NOW, PHONE)


@pytest.mark.django_db(transaction=True)
def test_threads_share_statements_and_no_values(ledgers):
    phones = [f"+7924450{number}" for number in range(1000, 1040)]
    for number, phone in enumerate(phones):
        PhoneLedger.objects.create(phone=phone, ladder_step=number, last_sent_at=NOW)

    def work(number: int) -> tuple[str, datetime | None, bool]:
        try:
            found = ledgers.rows.of_step(number)
            return found.phone, found.last_sent_at, ledgers.rows.change(found.phone, sends=[number])
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(40))) == [(phone, NOW, True) for phone in phones]
    stored_sends = PhoneLedger.objects.order_by("phone").values_list("sends", flat=True)
    assert list(stored_sends) == [[number] for number in range(40)]


# What the statement cannot be


def test_rows_that_are_chosen_already_are_refused(challenge):
    chosen = PhoneChallenge.objects.filter(phone=OTHER_PHONE)
    with pytest.raises(TypeError, match=r"^take_try\(\) chooses its rows by itself\.$"):
        chosen.take_try(challenge.pk, NOW)


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        ((PHONE, 4), {}),
        ((PHONE, 4, NOW, 5), {}),
        ((PHONE, 4, NOW), {"before": NOW}),
        ((PHONE, 4, NOW), {"colour": "red"}),
    ],
    ids=["missing", "too-many", "twice", "unknown"],
)
def test_arguments_are_those_of_the_method(ledgers, ledger, args, kwargs):
    for _ in range(2):
        with pytest.raises(TypeError):
            ledgers.rows.climb(*args, **kwargs)
        assert ledgers.rows.climb(PHONE, 4, NOW + MINUTE)


def test_argument_without_a_field_is_refused(ledgers, ledger):
    with pytest.raises(FieldDoesNotExist, match="colour"):
        ledgers.rows.change(PHONE, colour="red")


# How it is executed


def test_wrappers_and_the_log_of_queries_see_each_statement(ledgers, ledger):
    seen = []

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        seen.append((sql.split()[0], params[0], context["connection"].alias))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch), CaptureQueriesContext(connection) as queries:
        ledgers.rows.change(PHONE, ladder_step=4)
        ledgers.rows.of_step(4)
    assert seen == [("UPDATE", 4, "default"), ("SELECT", 4, "default")]
    assert [each["sql"].split()[0] for each in queries] == ["UPDATE", "SELECT"]


def test_error_spoils_the_transaction_as_one_of_the_orm_does(ledgers, ledger):
    with transaction.atomic():
        with pytest.raises(DatabaseError):
            ledgers.rows.descend(PHONE, 7)  # below 0
        assert transaction.get_rollback()
        transaction.set_rollback(True)
    assert stored(ledger).ladder_step == 3


def test_error_is_taken_back_to_the_savepoint(ledgers, ledger):
    with transaction.atomic():
        with pytest.raises(DatabaseError), transaction.atomic():
            ledgers.rows.descend(PHONE, 7)  # below 0
        assert ledgers.rows.change(PHONE, ladder_step=4)
    assert stored(ledger).ladder_step == 4


def test_update_goes_where_is_written(settings, ledgers, ledger):
    settings.DATABASE_ROUTERS = ["tests.test_replicas.ReplicaRouter"]
    assert ledgers.rows.change(PHONE, ladder_step=4)
    with pytest.raises(ConnectionDoesNotExist):
        ledgers.rows.of_step(4)
    assert ledgers.rows.using("default").of_step(4).phone == PHONE
