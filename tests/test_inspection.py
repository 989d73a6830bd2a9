"""Inspections: what the services say of our accounts, and what is made of it."""

from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import translation

from django_phone_otp import conf
from django_phone_otp.exceptions import Misconfigured
from django_phone_otp.flow import try_account
from django_phone_otp.flow.accounts import list_entries, load_account
from django_phone_otp.flow.breakers import Breaker
from django_phone_otp.flow.inspection import (
    Inspection,
    ask_status,
    describe,
    inspect_accounts,
    prepare_account,
)
from django_phone_otp.models import AccountLedger, DeliveryAttempt, PhoneChallenge, ProviderAccount
from django_phone_otp.providers.base import Balance
from tests import fakes_admin
from tests.conftest import NOW, PHONE
from tests.fakes_admin import SECRET, make_account

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _no_calls(phone_otp) -> None:
    fakes_admin.calls.clear()
    phone_otp(PROVIDERS={})


def questions() -> list[str]:
    return [question for question, _is_open in fakes_admin.calls]


def inspect(kind: str = "Service", **options: str) -> Inspection:
    """Inspect the one account there is."""
    make_account(kind=kind, options={"key": SECRET, **options})
    (inspection,) = inspect_accounts(conf.read())
    return inspection


def inspect_again() -> Inspection:
    (inspection,) = inspect_accounts(conf.read())
    return inspection


class TestAsking:
    """Each account that is to be used is asked, once."""

    def test_without_accounts_there_is_nothing_to_say(self):
        assert list(inspect_accounts(conf.read())) == []

    def test_rows_and_settings_are_inspected(self, phone_otp):
        phone_otp(PROVIDERS={"memory": {"BACKEND": "locmem"}, "texts": {"BACKEND": "locmem"}})
        make_account()
        found = {each.entry.alias: each.entry.is_row for each in inspect_accounts(conf.read())}
        assert found == {"memory": False, "texts": True}
        assert questions() == ["balance"]

    def test_one_of_them_alone(self):
        make_account("a")
        make_account("b")
        (inspection,) = inspect_accounts(conf.read(), alias="b")
        assert inspection.entry.alias == "b"
        assert questions() == ["balance"]

    def test_one_that_is_not_there(self):
        make_account()
        assert list(inspect_accounts(conf.read(), alias="unknown")) == []

    def test_one_that_is_switched_off_is_listed_and_not_asked(self):
        make_account(enabled=False)
        inspection = inspect_again()
        assert (inspection.problem, inspection.is_broken) == ("", False)
        assert questions() == []

    def test_one_that_is_switched_off_and_cannot_be_used_is_not_broken(self):
        make_account(enabled=False, options={})
        inspection = inspect_again()
        assert inspection.problem == "account 'texts'['OPTIONS']: \"key\" is missing."
        assert not inspection.is_broken

    def test_one_that_cannot_be_used_is_broken(self):
        make_account(options={})
        assert inspect_again().is_broken

    def test_what_no_key_opens_is_broken(self, settings):
        make_account()
        settings.SECRET_KEY = "another" * 10
        inspection = inspect_again()
        assert inspection.is_broken
        assert inspection.problem == (
            'account "texts": neither SECRET_KEY nor SECRET_KEY_FALLBACKS opens these options'
        )

    def test_an_entry_of_the_settings_that_cannot_be_used_is_broken(self, phone_otp):
        phone_otp(PROVIDERS={"calls": {"BACKEND": "telefon-ip-flash", "OPTIONS": {"tokn": SECRET}}})
        inspection = inspect_again()
        assert inspection.is_broken
        assert '"tokn" is not an option' in inspection.problem
        assert SECRET not in inspection.problem

    def test_one_that_fails_does_not_hide_the_others(self):
        make_account("a", options={"key": SECRET, "error": "Misconfigured"})
        make_account("b")
        assert [each.is_broken for each in inspect_accounts(conf.read())] == [True, False]

    def test_nothing_is_sent(self):
        inspect()
        assert "start" not in questions()
        assert not PhoneChallenge.objects.exists()

    def test_an_inspection_does_not_close_the_breaker(self, clock):
        inspection = inspect()
        assert inspection.breaker == Breaker()


class TestBalance:
    """What is left, in money or in messages."""

    @pytest.mark.parametrize(
        ("told", "balance"),
        [
            ("7.50 RUB", Balance(amount=Decimal("7.50"), currency="RUB")),
            ("12", Balance(amount=Decimal(12))),
            ("", None),
        ],
    )
    def test_what_the_service_tells(self, told, balance):
        inspection = inspect(balance=told)
        assert (inspection.balance, inspection.problem) == (balance, "")

    @pytest.mark.parametrize("told", ["0 RUB", "0", "-3.10 RUB", "-0"])
    def test_nothing_left_is_broken(self, told):
        inspection = inspect(balance=told)
        assert inspection.is_broken
        assert inspection.problem == "no money in the account"
        assert inspection.balance is not None

    def test_the_last_kopeck_is_something(self):
        assert not inspect(balance="0.01 RUB").is_broken


class TestWords:
    """What a service says is fit for operators: no secret, one line, not too long."""

    @pytest.mark.parametrize("error", ["Misconfigured", "ProviderUnavailable", "DeliveryUncertain"])
    def test_an_error_is_named_with_the_services_words(self, error):
        assert inspect(error=error, words="HTTP 401 no").problem == f"{error}: HTTP 401 no"

    def test_s13_a_mistake_of_the_class_is_named_without_its_words(self):
        assert inspect(error="mistake", words=f"KeyError {SECRET}").problem == "RuntimeError"

    def test_s13_a_secret_in_them_is_redacted(self):
        inspection = inspect(error="Misconfigured", words=f"{SECRET.upper()} {SECRET}.")
        assert inspection.problem == "Misconfigured: *** ***."

    def test_s20_they_stay_on_one_line(self):
        inspection = inspect(error="Misconfigured", words="a\nb\r\x1b[31mc\u2028d")
        assert inspection.problem == "Misconfigured: a b  [31mc d"

    def test_they_are_cut(self):
        inspection = inspect(error="Misconfigured", words="x" * 5_000)
        assert inspection.problem == "Misconfigured: " + "x" * 200

    def test_s13_they_are_redacted_before_they_are_cut(self):
        words = "x" * 195 + SECRET
        assert SECRET[:5] not in inspect(error="Misconfigured", words=words).problem


class TestPreparing:
    """What has to be there before the first message is made once, and kept."""

    def test_it_is_made_before_the_service_is_asked(self):
        inspection = inspect("Needy")
        assert questions() == ["prepare", "balance"]
        assert inspection.made == {"object_id": "object of hun"}

    def test_a_second_time_nothing_is_made(self):
        inspect("Needy")
        assert inspect_again().made == {}
        assert questions().count("prepare") == 1

    def test_a_changed_option_that_it_depends_on_makes_it_anew(self):
        inspect("Needy")
        account = ProviderAccount.objects.get()
        account.options = {"key": "another-key"}
        account.save()
        assert inspect_again().made == {"object_id": "object of ano"}

    def test_a_changed_option_that_it_does_not_depend_on_does_not(self):
        inspect("Needy")
        account = ProviderAccount.objects.get()
        account.options = {"key": SECRET, "balance": "5"}
        account.save()
        assert inspect_again().made == {}

    def test_where_the_operator_gave_it_nothing_is_made(self):
        assert inspect("Needy", object_id="mine").made == {}
        assert questions() == ["balance"]

    def test_a_provider_without_needs_is_not_asked(self):
        inspect()
        assert questions() == ["balance"]
        assert AccountLedger.objects.get().sealed_kept == ""

    def test_messages_go_out_with_what_was_made(self):
        inspect("Needy")
        try_account("texts", PHONE)
        assert questions()[-1] == "start object of hun"

    def test_s13_it_is_kept_sealed(self):
        inspect("Needy")
        kept = AccountLedger.objects.values_list("sealed_kept", flat=True).get()
        assert b"object of" not in fakes_admin.read_token(kept)
        assert SECRET.encode() not in fakes_admin.read_token(kept)

    def test_the_count_of_the_day_stays_when_it_is_kept(self):
        AccountLedger.objects.create(alias="texts", day="2026-03-01", sent_count=7)
        inspect("Needy")
        assert AccountLedger.objects.get().sent_count == 7

    def test_what_no_key_opens_is_made_anew(self, settings, caplog):
        inspect("Needy")
        old_key, settings.SECRET_KEY = settings.SECRET_KEY, "another" * 10
        account = ProviderAccount.objects.get()
        account.options = {"key": SECRET}
        account.save()
        assert inspect_again().made == {"object_id": "object of hun"}
        assert "account_broken account=texts" in caplog.text
        assert old_key not in caplog.text

    def test_a_failure_to_make_it_is_a_problem_without_the_secret(self):
        inspection = inspect("Needy", words="prepare")
        assert inspection.problem == "Misconfigured: HTTP 401 ***"
        assert (inspection.made, questions()) == ({}, ["prepare"])

    def test_what_was_made_is_told_although_the_service_then_fails(self):
        inspection = inspect("Needy", error="ProviderUnavailable")
        assert inspection.made == {"object_id": "object of hun"}
        assert inspection.problem == "ProviderUnavailable: no"

    def test_alone_it_gives_what_was_made_and_raises_what_went_wrong(self):
        make_account(kind="Needy")
        account = load_account("texts", conf.read())
        assert prepare_account(account) == {"object_id": "object of hun"}
        assert prepare_account(account) == {}
        make_account("bad", kind="Needy", options={"key": SECRET, "words": "prepare"})
        with pytest.raises(Misconfigured):
            prepare_account(load_account("bad", conf.read()))


class TestDescribing:
    """A few words for an operator, in the language that is active."""

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({}, "works"),
            ({"balance": "7.50 RUB"}, "works, 7.50 RUB left"),
            ({"balance": "12"}, "works, 12 messages left"),
            ({"balance": "0"}, "BROKEN: no money in the account"),
            ({"error": "Misconfigured"}, "BROKEN: Misconfigured: no"),
        ],
        ids=str,
    )
    def test_an_account_that_is_to_be_used(self, options, words):
        assert describe(inspect(**options)) == words

    @pytest.mark.parametrize("options", [{"key": SECRET}, {}], ids=["in-order", "broken"])
    def test_an_account_that_is_switched_off(self, options):
        make_account(enabled=False, options=options)
        assert describe(inspect_again()) == "switched off"

    def test_in_russian_too(self):
        inspection = inspect(balance="7.50 RUB")
        with translation.override("ru"):
            assert "7.50 RUB" in describe(inspection)

    def test_the_balance_is_written_as_the_service_told_it(self):
        inspection = inspect(balance="1000000.10 RUB")
        with translation.override("ru"):
            assert "1000000.10 RUB" in describe(inspection)

    def test_an_inspection_that_is_printed_holds_no_secret(self):
        assert SECRET not in repr(inspect(balance="5"))


class TestStatus:
    """What became of a delivery, as far as the service tells."""

    def deliver(self, **options: str) -> DeliveryAttempt:
        make_account(options={"key": SECRET, **options})
        try_account("texts", PHONE)
        return DeliveryAttempt.objects.get()

    @pytest.mark.parametrize(
        ("told", "words"),
        [
            ("delivered", "delivered"),
            ("delivered=1.20", "delivered (1.20 RUB)"),
            ("on its way=0", "on its way (0 RUB)"),
            ("", ""),
        ],
    )
    def test_what_the_service_tells(self, told, words):
        attempt = self.deliver(told=told)
        assert ask_status(attempt) == words
        assert questions()[-1] == "status ref-1"

    def test_s13_a_secret_in_its_words_is_redacted(self):
        assert ask_status(self.deliver(told=f"to {SECRET}")) == "to ***"

    def test_s20_its_words_stay_on_one_line(self):
        assert ask_status(self.deliver(told="sent\nroot: all is well")) == "sent root: all is well"

    def test_its_words_are_cut(self):
        assert ask_status(self.deliver(told="x" * 5_000)) == "x" * 200

    def test_a_mistake_of_the_class_costs_nothing(self):
        assert ask_status(self.deliver(told="RuntimeError")) == ""

    def test_without_a_reference_nobody_is_asked(self):
        attempt = self.deliver(told="delivered")
        attempt.provider_ref = ""
        assert ask_status(attempt) == ""
        assert questions() == ["start"]

    def test_an_account_that_is_gone_is_not_asked(self):
        attempt = self.deliver(told="delivered")
        make_account("other")
        ProviderAccount.objects.filter(alias="texts").delete()
        assert ask_status(attempt) == ""


def test_entries_tell_nothing_secret_when_they_are_printed():
    make_account()
    assert SECRET not in repr(list_entries(conf.read()))


class TestMistakes:
    """What one account's class does wrong costs the others nothing, and shows nothing."""

    @pytest.mark.parametrize(
        "balance",
        [
            pytest.param("Balance(amount=Decimal('NaN'))", id="not-a-number"),
            pytest.param("Balance(amount='7')", id="text"),
            pytest.param("7", id="no-balance"),
        ],
    )
    def test_a_balance_that_is_none_breaks_one_account_alone(self, balance):
        make_account("a", kind="Odd", options={"key": SECRET, "balance": balance})
        make_account("b")
        first, second = inspect_accounts(conf.read())
        assert (first.is_broken, second.is_broken) == (True, False)

    def test_s20_a_currency_forges_no_line(self):
        inspection = inspect("Odd", balance="Balance(amount=Decimal(1), currency='R\\nb: works')")
        assert "\n" not in describe(inspection)

    def test_s13_a_secret_in_a_currency_is_redacted(self):
        inspection = inspect("Odd", balance=f"Balance(amount=Decimal(1), currency='{SECRET}')")
        assert SECRET not in describe(inspection)

    @pytest.mark.parametrize(
        "status",
        [
            pytest.param("DeliveryStatus(words=7)", id="words"),
            pytest.param("'delivered'", id="no-status"),
        ],
    )
    def test_a_status_that_is_none_costs_nothing(self, status):
        make_account(kind="Odd", options={"key": SECRET, "told": status})
        try_account("texts", PHONE)
        assert ask_status(DeliveryAttempt.objects.get()) == ""

    def test_s20_a_price_forges_no_line(self):
        told = "DeliveryStatus(words='sent', cost=Decimal(1), currency='R\\nb: sent')"
        make_account(kind="Odd", options={"key": SECRET, "told": told})
        try_account("texts", PHONE)
        assert "\n" not in ask_status(DeliveryAttempt.objects.get())

    def test_an_account_that_is_switched_off_is_asked_for_its_word(self):
        make_account("other")
        make_account(options={"key": SECRET, "told": "delivered"}, enabled=False)
        try_account("texts", PHONE)
        assert ask_status(DeliveryAttempt.objects.get()) == "delivered"

    def test_what_was_kept_for_an_older_schema_costs_nobody_a_login(self, post):
        make_account(kind="Needy")
        AccountLedger.primary().keep("texts", {"object_number": "1"}, {"key": SECRET})
        assert post("request", phone=PHONE).status_code == 201

    def test_a_mistake_of_a_class_in_the_settings_breaks_one_account_alone(self, phone_otp):
        entry = {"BACKEND": "tests.fakes_admin.Unmade", "OPTIONS": {"key": SECRET}}
        phone_otp(PROVIDERS={"a": entry, "memory": {"BACKEND": "locmem"}})
        first, second = inspect_accounts(conf.read())
        assert (first.problem, second.problem) == ("RuntimeError", "")


@pytest.mark.usefixtures("clock")
class TestLedger:
    """What a service said is kept, to be looked at without asking it again."""

    def said(self) -> tuple[Decimal | None, str, str]:
        ledger = AccountLedger.objects.get(alias="texts")
        assert ledger.inspected_at == NOW
        return ledger.balance, ledger.currency, ledger.problem

    @pytest.mark.parametrize(
        ("told", "balance", "currency"),
        [
            ("12.5 EUR", Decimal("12.5"), "EUR"),
            ("7", Decimal(7), ""),
            ("0.00009 RUB", Decimal(0), "RUB"),
            ("9999999999.99999 RUB", Decimal("9999999999.9999"), "RUB"),
            ("10000000000 RUB", None, "RUB"),
            ("Infinity RUB", None, "RUB"),
            ("", None, ""),
        ],
    )
    def test_what_is_left(self, told, balance, currency):
        inspect(balance=told)
        assert self.said() == (balance, currency, "")

    @pytest.mark.parametrize("amount", ["1.5", "True", "10**40"])
    def test_what_no_service_may_say_costs_nobody_the_inspection(self, amount):
        assert inspect("Odd", balance=f"Balance(amount={amount})").was_asked
        assert self.said()[0] is None

    def test_a_problem_and_no_more_of_the_balance_before(self):
        make_account(options={"key": SECRET, "balance": "5 EUR"})
        inspect_again()
        account = ProviderAccount.objects.get()
        account.options = {"key": SECRET, "error": "Misconfigured", "words": "x" * 500}
        account.save()
        inspect_again()
        balance, currency, problem = self.said()
        assert (balance, currency) == (None, "")
        assert problem == ("Misconfigured: " + "x" * 200)[:200]

    def test_what_was_sent_today_stays(self):
        AccountLedger.objects.create(alias="texts", sent_count=5, day=NOW.date())
        inspect(balance="12")
        ledger = AccountLedger.objects.get(alias="texts")
        assert (ledger.sent_count, ledger.day, ledger.balance) == (5, NOW.date(), Decimal(12))

    def test_of_one_that_was_not_asked_nothing_is_kept(self):
        make_account(enabled=False)
        inspect_again()
        assert not AccountLedger.objects.exists()

    def test_a_database_that_refuses_costs_nobody_the_inspection(self, caplog):
        def refuse(execute: Any, sql: str, *rest: Any) -> Any:
            if "accountledger" in sql and sql.startswith(("INSERT", "UPDATE")):
                raise OperationalError("read-only")
            return execute(sql, *rest)

        with connection.execute_wrapper(refuse):
            assert inspect(balance="12").balance == Balance(amount=Decimal(12))
        assert caplog.messages == ["inspection_not_kept account=texts error=OperationalError"]
        assert not AccountLedger.objects.exists()
