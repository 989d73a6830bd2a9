"""The sweep: deliveries whose worker died."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils import timezone

from django_phone_otp.choices import State
from django_phone_otp.flow import request_code, resend_code, sweep
from django_phone_otp.flow.sweep import sweep_deliveries
from django_phone_otp.models import DeliveryAttempt, PhoneChallenge
from django_phone_otp.providers.base import Started, StartRequest
from django_phone_otp.providers.local import LocMem
from django_phone_otp.signals import delivery_failed
from tests import steps
from tests.conftest import NOW, PHONE

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("clock")]


class WorkerDied(BaseException):
    """What no `except Exception` stops, as nothing stops SIGKILL."""


class Deadly(LocMem):
    """Kills who asks it."""

    def start(self, request: StartRequest) -> Started:
        raise WorkerDied


@pytest.fixture
def abandoned() -> PhoneChallenge:
    """A challenge whose worker died while the provider was busy."""
    deadly = {"PROVIDERS": {"deadly": {"BACKEND": "tests.test_sweep.Deadly"}}}
    with override_settings(PHONE_OTP=deadly), pytest.raises(WorkerDied):
        request_code(PHONE)
    return PhoneChallenge.objects.get()


def test_an_abandoned_delivery_is_closed_as_uncertain(abandoned):
    assert sweep_deliveries(NOW + timedelta(minutes=2, seconds=1)) == 1
    abandoned.refresh_from_db()
    attempt = DeliveryAttempt.objects.get()
    assert abandoned.state == State.FAILED
    assert (attempt.challenge, attempt.outcome) == (abandoned, "uncertain")
    assert attempt.detail == "the process that was sending it has ended"


def test_a_younger_one_may_still_be_sent(abandoned):
    assert sweep_deliveries(NOW + timedelta(minutes=2)) == 0
    abandoned.refresh_from_db()
    assert abandoned.state == State.SENDING


def test_listeners_hear_of_it(abandoned):
    heard = []

    def listen(delivery, **_kwargs):
        heard.append(delivery.outcome)

    delivery_failed.connect(listen)
    try:
        sweep_deliveries(NOW + timedelta(minutes=10))
    finally:
        delivery_failed.disconnect(listen)
    assert heard == ["uncertain"]


def test_what_is_closed_is_not_closed_again(abandoned):
    counts = [sweep_deliveries(NOW + timedelta(minutes=10)) for _ in range(2)]
    assert counts == [1, 0]


@pytest.mark.parametrize("state", [State.SENT, State.FAILED, State.CANCELLED])
def test_others_are_left_alone(abandoned, state):
    PhoneChallenge.objects.update(state=state, sent_at=NOW)
    assert sweep_deliveries(NOW + timedelta(minutes=10)) == 0


def test_an_uncertain_message_that_may_be_answered_is_left_alone(abandoned):
    PhoneChallenge.objects.update(code_digest="digits$6$0")
    assert sweep_deliveries(NOW + timedelta(minutes=10)) == 0


def test_a_resend_that_died_is_noted_and_leaves_the_code_before_it(clock):
    challenge = steps.ask()
    clock.shift(30)
    deadly = {"PROVIDERS": {"deadly": {"BACKEND": "tests.test_sweep.Deadly"}}}
    with override_settings(PHONE_OTP=deadly), pytest.raises(WorkerDied):
        resend_code(challenge.public_id)
    assert sweep_deliveries(timezone.now() + timedelta(minutes=2, seconds=1)) == 1
    attempts = DeliveryAttempt.objects.order_by("pk").values_list("outcome", flat=True)
    assert list(attempts) == ["sent", "uncertain"]
    challenge.refresh_from_db()
    assert challenge.state == State.SENT
    assert steps.answer(challenge)


def test_a_resend_works_afterwards(abandoned, clock):
    clock.shift(60)
    sweep_deliveries(timezone.now(), age=timedelta(seconds=59))
    asked = resend_code(abandoned.public_id)
    assert asked.challenge is not None
    assert asked.challenge.state == State.SENT


def test_the_message_that_may_have_gone_out_stays_counted(abandoned):
    sweep_deliveries(NOW + timedelta(minutes=10))
    assert len(PhoneChallenge.objects.get().ledger.sends) == 1


def test_the_command_says_how_many(abandoned, clock):
    clock.shift(11)
    out = StringIO()
    call_command("phone_otp_sweep", "--older-than", "10", stdout=out)
    assert out.getvalue() == "1 delivery closed.\n"


def test_the_command_takes_no_negative_age():
    with pytest.raises(CommandError, match="--older-than must not be negative"):
        call_command("phone_otp_sweep", "--older-than=-1")


def test_how_far_it_looks_back_follows_from_time_and_number(abandoned, monkeypatch):
    monkeypatch.setattr(sweep, "LOOK_BACK_COUNT", 1)
    later = NOW + timedelta(hours=2)
    newer = [
        PhoneChallenge(
            phone=PHONE,
            ledger=abandoned.ledger,
            attempts_left=5,
            code_length=6,
            channel="sms",
            custody="local",
            state=State.CANCELLED,
            created_at=later,
            expires_at=later,
        )
        for _ in range(2)
    ]
    PhoneChallenge.objects.bulk_create(newer)
    assert sweep_deliveries(later) == 0
    assert sweep_deliveries(later, look_back=timedelta(hours=2)) == 1
