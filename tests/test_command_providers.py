"""`phone_otp_providers`: what it writes for people and for programs, and how it ends."""

from contextlib import suppress
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command, execute_from_command_line

from django_phone_otp import conf
from django_phone_otp.choices import DeliveryOutcome
from django_phone_otp.flow.accounts import load_account
from django_phone_otp.flow.breakers import FAILURES_COUNT, OPEN_SECONDS, Breakers
from django_phone_otp.models import ProviderAccount
from tests import fakes_admin
from tests.fakes_admin import SECRET, make_account, read_json

pytestmark = pytest.mark.django_db

NAME = "phone_otp_providers"
NONE = "There is no account that is switched on."


@pytest.fixture(autouse=True)
def _no_calls(phone_otp) -> None:
    fakes_admin.calls.clear()
    phone_otp(PROVIDERS={})


def run(*arguments: str) -> str:
    out = StringIO()
    call_command(NAME, *arguments, stdout=out)
    return out.getvalue()


def run_broken(*arguments: str) -> tuple[str, str]:
    """Run it where something is wrong; gives what it wrote, and its last words."""
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(NAME, *arguments, stdout=out)
    assert caught.value.returncode == 1
    return out.getvalue(), str(caught.value)


def fail(alias: str, count: int) -> None:
    account = load_account(alias, conf.read())
    breakers = Breakers([account])
    for _ in range(count):
        breakers.note(account, DeliveryOutcome.UNAVAILABLE)


class TestText:
    """A line for each account."""

    def test_accounts_that_work(self, phone_otp):
        phone_otp(PROVIDERS={"memory": {"BACKEND": "locmem"}})
        make_account(options={"key": SECRET, "balance": "7.50 RUB"})
        make_account("calls", kind="Called", options={"key": SECRET, "balance": "12"})
        assert run() == (
            "memory (locmem): works\n"
            "calls (tests.fakes_admin.Called): works, 12 messages left\n"
            "texts (tests.fakes_admin.Service): works, 7.50 RUB left\n"
        )

    def test_what_was_made_is_told_once(self):
        make_account(kind="Needy")
        line = "texts (tests.fakes_admin.Needy): works"
        made = "; made at the service and kept: object_id=object of hun"
        assert run() == f"{line}{made}\n"
        assert run() == f"{line}\n"

    def test_an_account_that_is_passed_over(self, clock):
        make_account()
        fail("texts", FAILURES_COUNT)
        line = "texts (tests.fakes_admin.Service): works"
        assert run() == f"{line}; passed over after 5 failures\n"
        clock.shift(OPEN_SECONDS)
        assert run() == f"{line}\n"

    def test_an_account_that_is_switched_off(self, phone_otp):
        phone_otp(PROVIDERS={"memory": {"BACKEND": "locmem"}})
        make_account(enabled=False)
        assert run() == (
            "memory (locmem): works\ntexts (tests.fakes_admin.Service): switched off\n"
        )
        assert fakes_admin.calls == []

    @pytest.mark.parametrize(
        ("options", "problem"),
        [
            ({"key": SECRET, "error": "Misconfigured"}, "Misconfigured: no"),
            ({"key": SECRET, "balance": "0 RUB"}, "no money in the account"),
            ({}, "account 'texts'['OPTIONS']: \"key\" is missing."),
            ({"key": SECRET, "error": "mistake"}, "RuntimeError"),
        ],
        ids=str,
    )
    def test_an_account_that_is_broken(self, options, problem):
        make_account(options=options)
        assert run_broken() == (
            f"texts (tests.fakes_admin.Service): BROKEN: {problem}\n",
            "1 account is broken.",
        )

    def test_s20_a_services_words_forge_no_line(self):
        words = "no\nmemory (locmem): works\r\nx"
        make_account(options={"key": SECRET, "error": "Misconfigured", "words": words})
        out, _last = run_broken()
        assert out == (
            "texts (tests.fakes_admin.Service): BROKEN: "
            "Misconfigured: no memory (locmem): works  x\n"
        )

    @pytest.mark.parametrize("arguments", [[], ["--json"]], ids=str)
    def test_s13_a_secret_that_was_made_is_not_written(self, arguments):
        make_account(kind="Ticketed")
        out = run(*arguments)
        assert "t1cket-of-the-service" not in out
        assert "***" in out

    @pytest.mark.parametrize("arguments", [[], ["--json"]], ids=str)
    @pytest.mark.parametrize("error", ["Misconfigured", "mistake"])
    def test_s13_nothing_shows_a_secret(self, arguments, error):
        make_account(options={"key": SECRET, "error": error, "words": f"GET /{SECRET}/ no"})
        out, last = run_broken(*arguments)
        assert SECRET not in out + last


class TestEnd:
    """Status 1 where a login may fail for want of an account, 0 otherwise."""

    def test_all_is_well(self):
        make_account()
        run()

    def test_several_broken_accounts_are_counted(self):
        for alias in "ab":
            make_account(alias, options={"key": SECRET, "error": "Misconfigured"})
        make_account("c")
        out, last = run_broken()
        assert len(out.splitlines()) == 3
        assert last == "2 accounts are broken."

    def test_a_broken_account_that_is_switched_off_does_no_harm(self):
        make_account("off", enabled=False, options={})
        make_account()
        assert "off (tests.fakes_admin.Service): switched off\n" in run()

    def test_no_account_in_production(self):
        assert run_broken() == ("", NONE)

    def test_accounts_that_are_all_switched_off_in_production(self):
        make_account(enabled=False)
        assert run_broken() == ("texts (tests.fakes_admin.Service): switched off\n", NONE)

    def test_accounts_that_are_all_switched_off_in_development(self, settings):
        settings.DEBUG = True
        make_account(enabled=False)
        assert run() == "texts (tests.fakes_admin.Service): switched off\n"

    def test_no_account_in_development(self, settings):
        settings.DEBUG = True
        assert run() == ""

    def test_accounts_that_are_rows_alone(self, phone_otp):
        phone_otp(PROVIDERS=None)
        make_account()
        assert run() == "texts (tests.fakes_admin.Service): works\n"

    @pytest.mark.django_db(transaction=True)
    def test_the_shell_is_told(self, capsys, phone_otp):
        phone_otp(PROVIDERS=None)  # what the checks want to hear
        with pytest.raises(SystemExit) as caught:
            execute_from_command_line(["manage.py", NAME])
        assert caught.value.code == 1
        assert capsys.readouterr().err == f"CommandError: {NONE}\n"


class TestJSON:
    """One object for each account, with the same keys whatever is the matter."""

    def test_an_account_that_works(self):
        make_account(options={"key": SECRET, "balance": "7.50 RUB"})
        assert read_json(run("--json")) == [
            {
                "account": "texts",
                "provider": "tests.fakes_admin.Service",
                "source": "row",
                "enabled": True,
                "ok": True,
                "problem": "",
                "balance": "7.50",
                "currency": "RUB",
                "made": {},
                "failures_in_a_row": 0,
                "passed_over": False,
            }
        ]

    def test_an_account_of_the_settings(self, phone_otp):
        phone_otp(PROVIDERS={"память": {"BACKEND": "locmem"}})
        text = run("--json")
        assert read_json(text) == [
            {
                "account": "память",
                "provider": "locmem",
                "source": "settings",
                "enabled": True,
                "ok": True,
                "problem": "",
                "balance": None,
                "currency": None,
                "made": {},
                "failures_in_a_row": 0,
                "passed_over": False,
            }
        ]
        assert '"память"' in text

    @pytest.mark.parametrize(
        ("columns", "expected"),
        [
            ({"options": {"key": "k", "balance": "12"}}, {"balance": "12", "currency": ""}),
            (
                {"options": {"key": "k", "balance": "0 RUB"}},
                {
                    "ok": False,
                    "problem": "no money in the account",
                    "balance": "0",
                    "currency": "RUB",
                },
            ),
            (
                {"options": {"key": "k", "error": "ProviderUnavailable"}},
                {"ok": False, "problem": "ProviderUnavailable: no", "balance": None},
            ),
            ({"enabled": False}, {"enabled": False, "ok": True, "problem": "", "balance": None}),
            (
                {"enabled": False, "options": {}},
                {
                    "enabled": False,
                    "ok": False,
                    "problem": "account 'texts'['OPTIONS']: \"key\" is missing.",
                },
            ),
            ({"kind": "Needy"}, {"ok": True, "made": {"object_id": "object of hun"}}),
        ],
        ids=str,
    )
    def test_what_is_the_matter(self, columns, expected):
        make_account(**columns)
        (found,) = self.run_anyhow()
        assert {name: found[name] for name in expected} == expected
        assert len(found) == 11

    def test_failures(self, clock):
        make_account()
        fail("texts", 2)
        (found,) = read_json(run("--json"))
        assert (found["failures_in_a_row"], found["passed_over"]) == (2, False)
        fail("texts", FAILURES_COUNT - 2)
        (found,) = read_json(run("--json"))
        assert (found["failures_in_a_row"], found["passed_over"]) == (5, True)

    def test_nothing_but_json_is_written_although_an_account_is_broken(self):
        make_account("a", options={})
        make_account("b")
        out, last = run_broken("--json")
        assert [each["ok"] for each in read_json(out)] == [False, True]
        assert last == "1 account is broken."

    def test_no_account_is_an_empty_list(self):
        out, last = run_broken("--json")
        assert (read_json(out), last) == ([], NONE)

    def run_anyhow(self) -> Any:
        out = StringIO()
        with suppress(CommandError):
            call_command(NAME, "--json", stdout=out)
        return read_json(out.getvalue())


class TestPreparing:
    """What has to be there is made by this command, once."""

    def count(self) -> int:
        return [question for question, _is_open in fakes_admin.calls].count("prepare")

    def test_two_runs_make_it_once(self):
        make_account(kind="Needy")
        run()
        run()
        assert self.count() == 1

    def test_a_changed_option_makes_it_anew(self):
        account = make_account(kind="Needy")
        run()
        account.options = {"key": "another-key"}
        account.save()
        assert "object_id=object of ano" in run()
        assert self.count() == 2

    def test_an_account_that_is_switched_off_makes_nothing(self):
        make_account("other")
        make_account(kind="Needy", enabled=False)
        run()
        assert self.count() == 0
        ProviderAccount.objects.update(enabled=True)
        run()
        assert self.count() == 1

    @pytest.mark.django_db(transaction=True)
    def test_the_services_are_asked_outside_of_transactions(self):
        make_account(kind="Needy")
        run()
        assert fakes_admin.calls == [("prepare", False), ("balance", False)]
