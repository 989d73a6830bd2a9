"""No log line tells a whole phone, however a provider or a person writes it."""

import logging
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test import TestCase

from django_phone_otp import signals
from django_phone_otp.exceptions import DeliveryError
from django_phone_otp.flow import confirm_code, request_code
from django_phone_otp.models import (
    ConfirmAttempt,
    DeliveryAttempt,
    DeviceLedger,
    PhoneChallenge,
    PhoneLedger,
    UserPhone,
)
from django_phone_otp.providers import local
from tests import fakes
from tests.conftest import PHONE
from tests.rows import DAY, make_challenge, make_device, make_ledger
from tests.steps import ask

pytestmark = pytest.mark.django_db

NATIONAL = "9244501003"
WRITTEN = [
    PHONE,
    PHONE.removeprefix("+"),
    f"8{NATIONAL}",
    NATIONAL,
    "+7 924 450-10-03",
    "8 (924) 450-10-03",
]
ERRORS = sorted(each.__name__ for each in DeliveryError.__subclasses__())
OURS = "django_phone_otp"


class Records(logging.Handler):
    """Keeps what is logged, as a log's reader gets it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[tuple[str, str]] = []  # the logger's name, and all that it was told

    def emit(self, record: logging.LogRecord) -> None:
        # The variables too: what a handler that writes JSON makes of a record.
        told = f"{logging.Formatter().format(record)} {vars(record)!r}"
        self.lines.append((record.name, told))

    @property
    def events(self) -> list[str]:
        """Name what the app has logged beside the life of a challenge."""
        return [line.split()[0] for name, line in self.lines if is_ours(name)]


@pytest.fixture(autouse=True)
def records() -> Iterator[Records]:
    """Everything that is logged, at every level; no line of it may tell the phone."""
    root, kept = logging.getLogger(), Records()
    level = root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    yield kept
    root.removeHandler(kept)
    root.setLevel(level)
    assert [line for _name, line in kept.lines if tells(line)] == []


def is_ours(name: str) -> bool:
    """Say whether a logger is the app's; that of the audit log speaks all the time."""
    return name.startswith(OURS) and name != f"{OURS}.audit"


def tells(line: str) -> bool:
    """Say whether the whole phone stands in a line, in whatever way it is written."""
    return NATIONAL in re.sub(r"\D", "", line)


class TestProviders:
    """What a provider says is logged, the phone in it is not."""

    @pytest.mark.parametrize("error", [*ERRORS, "mistake"])
    def test_s13_each_way_to_fail(self, post, phone_otp, records, error):
        options = {"error": error, "words": f"no way to {PHONE}"}
        phone_otp(PROVIDERS=fakes.providers(first=options, second=options))
        post("request", phone=PHONE)
        assert "delivery_failed" in records.events

    @pytest.mark.parametrize("written", WRITTEN)
    def test_s13_however_it_writes_the_phone(self, post, phone_otp, records, written):
        words = f"no way to {written}, sorry"
        phone_otp(PROVIDERS=fakes.providers(only={"error": "ProviderRejected", "words": words}))
        post("request", phone=PHONE)
        assert records.events == ["delivery_failed"]
        assert not tells(DeliveryAttempt.objects.get().detail)

    def test_s20_what_it_says_begins_no_line(self, post, phone_otp, records):
        words = "no\r\nforged account=first\u2028forged\x1b[2J"
        phone_otp(PROVIDERS=fakes.providers(only={"error": "ProviderRejected", "words": words}))
        post("request", phone=PHONE)
        (line,) = [line for name, line in records.lines if is_ours(name)]
        assert line.isprintable()

    def test_s13_a_breaker_that_opens(self, post, phone_otp, records):
        trouble = {"error": "ProviderUnavailable", "words": PHONE}
        phone_otp(PROVIDERS=fakes.providers(only=trouble), RESEND_WAITS=[0])
        for _ in range(5):
            post("request", phone=PHONE)
        assert "breaker_opened" in records.events

    def test_s13_a_budget_that_is_used_up(self, post, phone_otp, records):
        phone_otp(PROVIDERS=fakes.accounts(only={"DAILY_LIMIT": 1}), RESEND_WAITS=[0])
        post("request", phone=PHONE)
        post("request", phone=PHONE)
        assert "budget_used_up" in records.events

    def test_s13_no_account_in_use(self, post, phone_otp, records):
        phone_otp(PROVIDERS=None)
        post("request", phone=PHONE)
        assert "no_account_in_use" in records.events

    def test_s13_a_judge_in_trouble(self, post, phone_otp, records):
        judge = {"kind": "FakeJudge", "verdict": "mistake", "code": "012345"}
        phone_otp(PROVIDERS=fakes.providers(only=judge))
        challenge = post("request", phone=PHONE).json()["challenge"]
        post("confirm", challenge=challenge, code="012345")
        assert records.events == ["judge_unavailable"]

    def test_s13_a_call_that_nobody_can_judge(self, post, phone_otp, records):
        calls = {"kind": "FakePresence", "trouble": "mistake"}
        phone_otp(PROVIDERS=fakes.providers(only=calls))
        challenge = post("request", phone=PHONE).json()["challenge"]
        post("confirm", challenge=challenge)
        assert records.events == ["judge_unavailable"]


class TestPeople:
    """What a person types is not logged."""

    @pytest.mark.parametrize("written", WRITTEN)
    def test_s13_a_login(self, post, written):
        challenge = post("request", phone=written).json()["challenge"]
        assert post("confirm", challenge=challenge, code="not it").status_code == 400
        assert post("confirm", challenge=challenge, code=local.outbox[-1].code).status_code == 200

    @pytest.mark.parametrize("written", WRITTEN)
    def test_s13_requests_that_come_too_soon(self, post, written):
        assert [post("request", phone=written).status_code for _ in range(2)] == [201, 429]

    @pytest.mark.parametrize("written", [f"{each}0000" for each in WRITTEN] + [f"{PHONE} ext. 7"])
    def test_s13_what_is_no_phone(self, post, records, written):
        assert post("request", phone=written).status_code == 400
        (line,) = [line for name, line in records.lines if name == "django.request"]
        assert line.startswith("Bad Request: /api/phone/request/ ")

    def test_s20_line_breaks_in_a_phone(self, post, records):
        assert post("request", phone=f"{PHONE}\r\nforged {PHONE}").status_code == 400
        assert not [line for _name, line in records.lines if "forged" in line]

    def test_s13_a_region_that_is_not_served(self, post, phone_otp, records):
        phone_otp(ALLOWED_REGIONS=["BY"])
        assert post("request", phone=PHONE).json()["code"] == "phone_not_allowed"
        assert "guard_objected" in records.events

    def test_s13_a_channel_that_nobody_offers(self, post):
        assert post("request", phone=PHONE, channel="telegram").status_code == 400

    def test_s13_wrong_codes_until_the_phone_is_locked(self, post, phone_otp):
        phone_otp(LIMITS={"fail_phone_total": 2})
        challenge = post("request", phone=PHONE).json()["challenge"]
        codes = [post("confirm", challenge=challenge, code="not it").json() for _ in range(3)]
        assert [each["code"] for each in codes] == ["wrong_code", "wrong_code", "locked"]
        assert PhoneLedger.objects.get().disabled_at

    @pytest.mark.parametrize("signup", [True, False])
    def test_s13_unknown_challenges_and_phones(self, post, phone_otp, signup):
        phone_otp(SIGNUP=signup)
        assert post("request", phone=PHONE).status_code == 201
        assert post("confirm", challenge=PHONE, code=NATIONAL).status_code == 400
        assert post("resend", challenge=NATIONAL).status_code == 400

    def test_s13_a_device_string_of_the_phones(self, post):
        assert post("request", phone=PHONE, device=f"{PHONE}:{NATIONAL}").status_code == 201

    def test_s13_a_user_agent_with_the_phone(self, api, post):
        api.credentials(HTTP_USER_AGENT=f"app for {PHONE}")
        assert post("request", phone=PHONE).status_code == 201


class TestTrouble:
    """Neither is it where something breaks."""

    def test_s13_the_cache_is_out_of_reach(self, post, settings, records):
        settings.CACHES = {"default": {"BACKEND": "tests.broken_cache.BrokenCache"}}
        post("request", phone=PHONE)
        assert "cache_unavailable" in records.events

    def test_s13_the_database_is_out_of_reach(self, post, records):
        def fail(_execute: Any, sql: str, params: Any, _many: bool, _context: Any) -> Any:
            raise OperationalError(f"cannot run {sql} with {params} for {PHONE}")

        with connection.execute_wrapper(fail):
            assert post("request", phone=PHONE).status_code == 503
        assert records.events == ["database_unavailable"]

    def test_s13_a_listener_that_fails(self, records):
        def fail(challenge: PhoneChallenge, **_: Any) -> None:
            raise ValueError(challenge)

        signals.code_sent.connect(fail)
        try:
            with TestCase.captureOnCommitCallbacks(execute=True):
                ask()
        finally:
            signals.code_sent.disconnect(fail)
        assert "django.dispatch" in {name for name, _line in records.lines}


class TestCommands:
    """Operators are told masked phones."""

    @pytest.mark.parametrize(
        "command",
        [
            ("phone_otp_purge",),
            ("phone_otp_sweep", "--older-than", "0"),
            ("phone_otp_erase", PHONE, "--no-input"),
            ("phone_otp_unlock", PHONE),
            ("phone_otp_send", PHONE),
            ("phone_otp_export", NATIONAL),
        ],
        ids=lambda each: each[0],
    )
    def test_s13_no_command_logs_it(self, command):
        ledger = make_ledger(DAY)
        make_challenge(timedelta(hours=1), ledger, state="sending", code_digest="", sent_at=None)
        told = StringIO()
        try:
            call_command(*command, stdout=told)
        except CommandError as error:
            told.write(str(error))
        assert tells(told.getvalue()) is (command[0] == "phone_otp_export")


MAKE: dict[str, Callable[[], object]] = {
    "PhoneChallenge": lambda: PhoneChallenge.objects.get(),
    "PhoneLedger": lambda: PhoneLedger.objects.get(),
    "DeviceLedger": lambda: DeviceLedger.objects.get(),
    "DeliveryAttempt": lambda: DeliveryAttempt.objects.get(),
    "ConfirmAttempt": lambda: ConfirmAttempt.objects.get(),
    "UserPhone": lambda: UserPhone(phone=PHONE),
    "Asked": lambda: request_code(PHONE),
    "Answer": lambda: confirm_code(PhoneChallenge.objects.get().public_id, "not it"),
}


@pytest.mark.parametrize("name", MAKE)
def test_s13_no_repr_shows_it(name):
    ledger = make_ledger(DAY)
    make_challenge(DAY, ledger, device=make_device(DAY, ledger))
    made = MAKE[name]()
    assert not tells(repr(made) + str(made))


@pytest.mark.parametrize("written", WRITTEN)
def test_the_rule_sees_a_phone(written):
    assert tells(f"to {written}, at 12:00")
