"""`phone_otp_send`: a real test message, and what an operator is told of it."""

import re
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command, execute_from_command_line
from django.utils import timezone

from django_phone_otp.models import DeliveryAttempt, PhoneChallenge, PhoneLedger, ProviderAccount
from django_phone_otp.providers import local
from tests import fakes_admin
from tests.conftest import PHONE
from tests.fakes_admin import SECRET, make_account

pytestmark = pytest.mark.django_db

NAME = "phone_otp_send"
HINT = "Enter the code from the text message that we sent you.\n"


@pytest.fixture(autouse=True)
def _no_calls(phone_otp) -> None:
    fakes_admin.calls.clear()
    phone_otp(PROVIDERS={})


def run(phone: str = PHONE, *arguments: str) -> str:
    """Run it; durations are written as 0 ms."""
    out = StringIO()
    call_command(NAME, phone, *arguments, stdout=out)
    return re.sub(r"\d+ ms", "0 ms", out.getvalue())


def run_refused(phone: str = PHONE, *arguments: str) -> tuple[str, str]:
    """Run it where nothing goes out; gives what it wrote, and its last words."""
    out = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command(NAME, phone, *arguments, stdout=out)
    assert caught.value.returncode == 1
    return re.sub(r"\d+ ms", "0 ms", out.getvalue()), str(caught.value)


def questions() -> list[str]:
    return [question for question, _is_open in fakes_admin.calls]


class TestOneAccount:
    """With --provider one account is tried, and no other."""

    def test_a_message_goes_out(self):
        make_account()
        assert run(PHONE, "--provider", "texts") == (
            f"texts (service): sent, reference ref-1, 0 ms\n{HINT}"
        )
        assert questions() == ["start", "status ref-1"]

    def test_the_phone_is_read_as_people_write_it(self):
        make_account()
        run("8 924 450-10-03", "--provider", "texts")
        assert PhoneChallenge.objects.get().phone == PHONE

    @pytest.mark.parametrize(
        ("told", "words"),
        [("on its way", "on its way"), ("delivered=1.20", "delivered (1.20 RUB)")],
    )
    def test_the_services_word_on_the_delivery_is_told(self, told, words):
        make_account(options={"key": SECRET, "told": told})
        assert f"reference ref-1, 0 ms, {words}\n" in run(PHONE, "--provider", "texts")

    def test_the_number_to_call_is_told(self):
        make_account(kind="Calls")
        assert run(PHONE, "--provider", "texts") == (
            "texts (calls): sent, reference ref-3, 0 ms\n"
            "Call the number +7 800 555-35-35 from your phone. Nobody answers: the call alone is "
            "enough.\n"
        )

    def test_an_account_that_is_switched_off_can_be_tried(self):
        make_account("other")
        make_account(enabled=False)
        assert run(PHONE, "--provider", "texts").startswith("texts (service): sent")

    def test_the_only_account_can_be_tried_before_it_is_switched_on(self):
        make_account(enabled=False, options={"key": SECRET, "told": "delivered"})
        assert run(PHONE, "--provider", "texts") == (
            f"texts (service): sent, reference ref-1, 0 ms, delivered\n{HINT}"
        )

    def test_an_account_can_be_tried_beside_a_broken_entry_of_the_settings(self, phone_otp):
        phone_otp(PROVIDERS={"calls": {"BACKEND": "telefon-ip-flash"}})
        make_account()
        assert run(PHONE, "--provider", "texts").startswith("texts (service): sent")

    @pytest.mark.parametrize(
        ("error", "words"),
        [
            ("InvalidRecipient", "the number cannot work"),
            ("RecipientLimited", "the provider's limit for this number"),
        ],
    )
    def test_a_number_that_the_service_refuses_is_told_with_its_words(self, error, words):
        make_account(options={"key": SECRET, "error": error, "words": "HTTP 400 format"})
        out, _last = run_refused()
        assert out == f"texts (service): {words}, HTTP 400 format, 0 ms\n"

    def test_an_account_of_the_settings_can_be_tried(self, phone_otp):
        phone_otp(PROVIDERS={"memory": {"BACKEND": "locmem"}})
        assert run(PHONE, "--provider", "memory") == f"memory (locmem): sent, 0 ms\n{HINT}"

    def test_no_other_account_steps_in(self, phone_otp):
        phone_otp(PROVIDERS={"memory": {"BACKEND": "locmem"}})
        make_account(options={"key": SECRET, "error": "ProviderUnavailable", "words": "no route"})
        assert run_refused(PHONE, "--provider", "texts") == (
            "texts (service): provider not reachable, no route, 0 ms\n",
            "The code could not be delivered. Try again in 30 seconds.",
        )
        assert not local.outbox

    @pytest.mark.parametrize(
        ("error", "word"),
        [
            ("Misconfigured", "credentials or address refused"),
            ("InsufficientFunds", "no money in the account"),
            ("RecipientUnreachable", "not reachable by this channel"),
        ],
    )
    def test_a_broken_account_says_why(self, error, word):
        make_account(options={"key": SECRET, "error": error, "words": "HTTP 401"})
        out, _last = run_refused(PHONE, "--provider", "texts")
        assert out == f"texts (service): {word}, HTTP 401, 0 ms\n"

    def test_an_account_that_cannot_be_used_says_why(self):
        make_account(options={"tokn": SECRET})
        _out, last = run_refused(PHONE, "--provider", "texts")
        assert '"tokn" is not an option' in last
        assert '"key" is missing.' in last
        assert SECRET not in last

    def test_what_no_key_opens_says_so(self, settings):
        make_account()
        settings.SECRET_KEY = "another" * 10
        assert run_refused(PHONE, "--provider", "texts") == (
            "",
            'account "texts": neither SECRET_KEY nor SECRET_KEY_FALLBACKS opens these options',
        )

    @pytest.mark.parametrize("alias", ["unknown", "", "\x00", "Texts"])
    def test_an_account_that_is_not_there(self, alias):
        make_account()
        make_account("calls")
        assert run_refused(PHONE, "--provider", alias) == (
            "",
            f'There is no account "{alias}". Accounts: calls, texts.',
        )

    def test_without_any_account(self):
        assert run_refused(PHONE, "--provider", "texts") == (
            "",
            'There is no account "texts". Accounts: none.',
        )

    def test_a_number_that_the_provider_cannot_serve(self):
        make_account(backend="telefon-ip-flash", options={"token": SECRET})
        assert run_refused("+375291234567", "--provider", "texts") == (
            "",
            "This phone number cannot be used here.",
        )

    def test_what_was_made_at_the_service_is_used(self):
        make_account(kind="Needy")
        call_command("phone_otp_providers", stdout=StringIO())
        run(PHONE, "--provider", "texts")
        assert questions()[-1] == "start object of hun"

    def test_nothing_is_made_for_a_message(self):
        make_account(kind="Needy")
        run(PHONE, "--provider", "texts")
        assert questions() == ["start "]


class TestRoute:
    """Without --provider the phone's route is gone along, as in a login."""

    def test_each_try_is_told(self):
        failing = {"key": SECRET, "error": "ProviderUnavailable", "words": "refused"}
        make_account("first", options=failing, priority=1)
        make_account("second", kind="Called", priority=2)
        make_account("third", priority=3)
        assert run() == (
            "first (service): provider not reachable, refused, 0 ms\n"
            "second (called): sent, reference ref-2, 0 ms\n"
            f"{HINT}"
        )

    def test_accounts_that_are_switched_off_are_not_tried(self):
        make_account("first", enabled=False, priority=1)
        make_account("second", priority=2)
        assert run().startswith("second (service): sent")

    def test_the_route_of_the_region_is_gone_along(self, phone_otp):
        phone_otp(ROUTES={"BY": ["texts"], "*": ["calls"]})
        make_account("texts")
        make_account("calls")
        assert run("+375291234567").startswith("texts (service): sent")
        assert run().startswith("calls (service): sent")

    def test_a_broken_account_says_why_and_the_next_is_tried(self, caplog):
        make_account("broken", options={}, priority=1)
        make_account("texts", priority=2)
        assert run().startswith("texts (service): sent")
        assert "account_broken account=broken" in caplog.text

    def test_where_all_fail_each_says_why(self):
        options = {"key": SECRET, "error": "ProviderRejected"}
        make_account("a", options={**options, "words": "this"})
        make_account("b", options={**options, "words": "that"})
        out, last = run_refused()
        assert out == (
            "a (service): rejected by the provider, this, 0 ms\n"
            "b (service): rejected by the provider, that, 0 ms\n"
        )
        assert last.startswith("The code could not be delivered.")

    def test_an_uncertain_delivery_is_told_as_such(self):
        make_account(options={"key": SECRET, "error": "DeliveryUncertain", "words": "timeout"})
        assert run() == f"texts (service): uncertain: maybe sent, timeout, 0 ms\n{HINT}"

    def test_without_any_account_it_says_so(self):
        assert run_refused() == ("", "PHONE_OTP['PROVIDERS'] is empty and there is no account.")

    def test_a_phone_of_the_tests_gets_no_message(self, phone_otp):
        phone_otp(TEST_PHONES={PHONE: {"code": "012345", "until": "2999-01-01"}})
        make_account()
        out = run()
        assert out == f"test-phone (test-phone): not sent: a test phone, 0 ms\n{HINT}"
        assert questions() == []


class TestRefusals:
    """Each ends with status 1, and says what to do."""

    @pytest.mark.parametrize(
        ("phone", "message"),
        [
            ("12", "This phone number does not exist. Check its digits."),
            ("nonsense", "Enter a phone number, with digits, spaces and + only."),
            ("", "Enter a phone number, with digits, spaces and + only."),
            ("+7924\x00", "Enter a phone number, with digits, spaces and + only."),
            ("+7 800 100-00-00", "This phone number cannot be used here."),
        ],
    )
    @pytest.mark.parametrize("arguments", [[], ["--provider", "texts"]], ids=str)
    def test_a_phone_that_cannot_be_used(self, phone, message, arguments):
        make_account()
        assert run_refused(phone, *arguments) == ("", message)
        assert questions() == []

    def test_the_phones_wait_holds(self, clock):
        make_account()
        run()
        clock.shift(10)
        assert run_refused() == (
            "",
            "A code was sent a moment ago. Try again in 20 seconds.",
        )

    def test_the_phones_budget_holds(self, clock, phone_otp):
        phone_otp(RESEND_WAITS=[0], LIMITS={"send_phone": "1/h"})
        make_account()
        run()
        assert run_refused() == (
            "",
            "Too many requests. Try again in 1 hour.",
        )

    def test_the_accounts_budgets_hold(self, clock, phone_otp):
        phone_otp(RESEND_WAITS=[0])
        make_account(daily_limit=1)
        run()
        out, _last = run_refused()
        assert out == (
            "texts (service): not asked: the account's own limit is reached, "
            "1 messages through this account today, 0 ms\n"
        )

    def test_the_accounts_budget_for_the_phone_holds(self, clock, phone_otp):
        phone_otp(RESEND_WAITS=[0])
        make_account(phone_daily_limit=1)
        run()
        out, last = run_refused()
        assert "1 messages to this phone in 24 hours" in out
        assert last == "Too many requests. Try again in 24 hours."
        assert questions().count("start") == 1

    def test_a_phone_that_is_locked_stays_so(self):
        make_account()
        PhoneLedger.objects.create(phone=PHONE, disabled_at=timezone.now())
        assert run_refused()[1].startswith("Too many wrong codes.")

    def test_a_command_has_no_hourly_count_of_an_operator(self, phone_otp):
        phone_otp(RESEND_WAITS=[0], LIMITS={"send_phone": "1000/h"})
        make_account()
        for _ in range(11):
            run()
        assert questions().count("start") == 11

    @pytest.mark.django_db(transaction=True)
    def test_the_shell_is_told(self, capsys, phone_otp):
        phone_otp(PROVIDERS=None)  # what the checks want to hear
        with pytest.raises(SystemExit) as caught:
            execute_from_command_line(["manage.py", NAME, "12"])
        assert caught.value.code == 1
        assert capsys.readouterr() == (
            "",
            "CommandError: This phone number does not exist. Check its digits.\n",
        )

    @pytest.mark.django_db(transaction=True)
    def test_the_services_are_asked_outside_of_transactions(self):
        make_account()
        run()
        assert fakes_admin.calls == [("start", False), ("status ref-1", False)]


class TestSecrets:
    """Nothing that is written holds a code or a secret, and no word of a service forges a line."""

    @pytest.mark.parametrize("kind", ["Service", "Called"])
    def test_s13_no_code_is_written(self, capsys, caplog, kind):
        make_account(kind=kind)
        caplog.set_level("DEBUG")
        out = run()
        assert "012345" not in out + capsys.readouterr().out + caplog.text

    def test_s13_no_code_of_ours_is_written(self, phone_otp):
        phone_otp(PROVIDERS={"memory": {"BACKEND": "locmem"}})
        assert local.outbox == []
        out = run()
        assert local.outbox[0].code not in out

    @pytest.mark.parametrize(
        ("error", "words"), [("DeliveryUncertain", "GET /***/"), ("a mistake", "RuntimeError")]
    )
    def test_s13_a_secret_in_the_services_words_is_redacted(self, error, words):
        make_account(options={"key": SECRET, "error": error, "words": f"GET /{SECRET}/"})
        assert run().startswith(f"texts (service): uncertain: maybe sent, {words}, 0 ms\n")

    def test_s13_a_secret_in_the_services_word_on_the_delivery_is_redacted(self):
        make_account(options={"key": SECRET, "told": f"by {SECRET}"})
        assert "0 ms, by ***\n" in run()

    def test_s20_a_services_words_forge_no_line(self):
        words = "no\ntexts (service): sent\r"
        make_account(options={"key": SECRET, "error": "ProviderRejected", "words": words})
        out, _last = run_refused()
        assert out == (
            "texts (service): rejected by the provider, no texts (service): sent , 0 ms\n"
        )

    def test_s20_a_services_word_on_the_delivery_forges_no_line(self):
        make_account(options={"key": SECRET, "told": "x\ncalls (service): sent"})
        assert len(run().splitlines()) == 2

    def test_the_phone_is_masked_in_the_services_words(self):
        options: dict[str, Any] = {"key": SECRET, "error": "ProviderRejected", "words": PHONE}
        make_account(options=options)
        assert "4501003" not in run_refused()[0]

    def test_nobody_can_log_in_with_its_code(self, phone_otp, post):
        phone_otp(PROVIDERS={"memory": {"BACKEND": "locmem"}})
        run()
        challenge = PhoneChallenge.objects.get()
        assert (challenge.purpose, challenge.user_id) == ("trial", None)
        answer = post("confirm", challenge=challenge.public_id, code=local.outbox[0].code)
        assert (answer.status_code, answer.json()["code"]) == (400, "unknown_challenge")


def test_the_row_is_left_as_it_is():
    before = make_account(enabled=False)
    make_account("other")
    run(PHONE, "--provider", "texts")
    account = ProviderAccount.objects.get(alias="texts")
    assert (account.enabled, account.sealed_options) == (False, before.sealed_options)
    assert DeliveryAttempt.objects.get().account == "texts"
