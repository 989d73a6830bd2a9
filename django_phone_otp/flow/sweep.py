"""The sweep: deliveries whose worker died. Layer 4."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db import transaction

from .. import signals
from ..choices import DeliveryOutcome
from ..events import Event, log_event
from ..models import DeliveryAttempt, PhoneChallenge

logger = logging.getLogger(__name__)

# Longer than any worker is busy with a message, and short enough for a resend to help.
SWEEP_AGE = timedelta(minutes=2)
BATCH_SIZE = 500


def sweep_deliveries(now: datetime, *, age: timedelta = SWEEP_AGE) -> int:
    """Close the deliveries that nobody can be busy with any more; give their number. Writes.

    Whether the message went out nobody knows: the attempt is noted as uncertain. Nothing is sent.
    The challenge failed, and takes a resend while it lives.
    """
    return sum(_sweep(challenge) for challenge in _abandoned(now - age))


def _abandoned(before: datetime) -> Iterator[PhoneChallenge]:
    challenges = PhoneChallenge.primary().abandoned(before)
    while batch := list(challenges.order_by("pk")[:BATCH_SIZE]):
        yield from batch


def _sweep(challenge: PhoneChallenge) -> bool:
    challenges = PhoneChallenge.primary()
    with transaction.atomic(using=challenges.db, durable=True):
        # Its worker may have come back at this moment.
        if not challenges.mark_failed(challenge, account=challenge.account):
            return False
        attempt = DeliveryAttempt.objects.using(challenges.db).create(
            challenge=challenge,
            account=challenge.account,
            provider=challenge.provider,
            channel=challenge.channel,
            outcome=DeliveryOutcome.UNCERTAIN,
            detail="the process that was sending it has ended",
            duration_ms=0,
        )
        signals.send_after_commit(
            signals.delivery_failed,
            sender=PhoneChallenge,
            using=challenges.db,
            challenge=challenge,
            delivery=attempt,
        )
    log_event(logger, Event.DELIVERY_SWEPT, challenge=challenge.pk)
    return True
