"""Rows of the past, stored as requests would have left them, for tests of what becomes of them."""

from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from django_phone_otp.choices import Channel, Custody, DeliveryOutcome, Guard, Refusal, State
from django_phone_otp.models import (
    ConfirmAttempt,
    DeliveryAttempt,
    DeviceLedger,
    GuardObjection,
    PhoneChallenge,
    PhoneLedger,
)
from tests.conftest import PHONE

DAY = timedelta(days=1)
TRAILS = (DeliveryAttempt, ConfirmAttempt, GuardObjection)


def make_ledger(age: timedelta, phone: str = PHONE, **columns: Any) -> PhoneLedger:
    """Store a phone's ledger that was made, and last used, so long ago."""
    at = timezone.now() - age
    return PhoneLedger.objects.create(
        **{"phone": phone, "created_at": at, "last_sent_at": at, **columns}
    )


def make_device(
    age: timedelta, ledger: PhoneLedger, key: str = "a-device", **columns: Any
) -> DeviceLedger:
    """Store a device's ledger that was made, and last used, so long ago."""
    at = timezone.now() - age
    return DeviceLedger.objects.create(
        **{"ledger": ledger, "key": key, "created_at": at, "last_sent_at": at, **columns}
    )


def make_challenge(age: timedelta, ledger: PhoneLedger, **columns: Any) -> PhoneChallenge:
    """Store a challenge that was asked for so long ago, with one attempt of each kind."""
    at = timezone.now() - age
    challenge = PhoneChallenge.objects.create(**{**_challenge(at, ledger), **columns})
    _make_trails([challenge])
    return challenge


def make_challenges(age: timedelta, ledger: PhoneLedger, count: int) -> list[PhoneChallenge]:
    """Store many at once, with an attempt of each kind; each a second younger than the one before.

    The last of them has the age.
    """
    first = timezone.now() - age - timedelta(seconds=count - 1)
    rows = PhoneChallenge.objects.bulk_create(
        PhoneChallenge(**_challenge(first + timedelta(seconds=number), ledger))
        for number in range(count)
    )
    _make_trails(rows)
    return rows


def _challenge(at: datetime, ledger: PhoneLedger) -> dict[str, Any]:
    return {
        "phone": ledger.phone,
        "ledger": ledger,
        "state": State.SENT,
        "attempts_left": 5,
        "code_digest": "a digest",
        "code_length": 6,
        "channel": Channel.SMS,
        "custody": Custody.LOCAL,
        "created_at": at,
        "sent_at": at,
        "expires_at": at + timedelta(minutes=5),
    }


def _make_trails(challenges: list[PhoneChallenge]) -> None:
    DeliveryAttempt.objects.bulk_create(
        DeliveryAttempt(
            challenge=each,
            created_at=each.created_at,
            account="memory",
            provider="locmem",
            channel=Channel.SMS,
            outcome=DeliveryOutcome.SENT,
            duration_ms=1,
        )
        for each in challenges
    )
    ConfirmAttempt.objects.bulk_create(
        ConfirmAttempt(challenge=each, created_at=each.created_at, refusal=Refusal.WRONG_CODE)
        for each in challenges
    )
    GuardObjection.objects.bulk_create(
        GuardObjection(
            challenge=each, created_at=each.created_at, guard=Guard.REGION, blocked=False
        )
        for each in challenges
    )
